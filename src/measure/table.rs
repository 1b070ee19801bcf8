//! The figures as tables, for a terminal and as Markdown.

use std::fmt::Write as _;

use crate::config::units::show_size;
use crate::measure::recommendation::Recommendation;
use crate::measure::results::{
    CONTEXT_SWITCHES, CPU, CPU_SHARE, Counted, Dropped, Figure, Results, Row, SYSTEM_CALLS,
    THROUGHPUT,
};
use crate::measure::way::Case;

/// The heads of the columns before the bar.
const HEADS: [&str; 8] =
    ["size", "way", "GiB/s", "busy", "CPU s/GiB", "calls/GiB", "switches/GiB", "copies CPU+DMA"];

/// The longest bar, in characters.
const BAR_WIDTH: f64 = 16.0;

/// What the head of the column of bars says.
const BAR_HEAD: &str = "CPU time: less is better";

const EXPLAINED: &str = "Figures are medians of the rounds, with the range behind speed and CPU time, which is that of the \
     thread that moves the bytes. Calls are system calls, switches are context switches. Copies of each \
     byte: by the CPU + by devices (DMA), as the way has them by its nature with a network card \
     that gathers. Busy: how much of the time that thread was on its CPU; well below 100% it waited, \
     and GiB/s are those of the load or the disk.";

/// Everything for a terminal: tables with a bar for CPU time, the setting, the recommendation.
pub fn text(results: &Results, recommendation: &Recommendation) -> String {
    let mut text = setting(results);
    for case in Case::ALL {
        text.push_str(&text_table(results, case));
    }
    // Writing to a String cannot fail.
    let _written = writeln!(text, "\n{EXPLAINED}\n\nRecommended\n");
    for line in recommendation.as_toml(results).lines() {
        let _written = writeln!(text, "{}", format!("  {line}").trim_end());
    }
    text.push_str(&conclusion(recommendation));
    text
}

/// Everything as Markdown.
pub fn markdown(results: &Results, recommendation: &Recommendation) -> String {
    let mut text = setting(results);
    for case in Case::ALL {
        text.push_str(&markdown_table(results, case));
    }
    // Writing to a String cannot fail.
    let _written = writeln!(text, "\n{EXPLAINED}\n\nWhat it recommends:\n\n```toml");
    text.push_str(&recommendation.as_toml(results));
    text.push_str("```\n");
    text.push_str(&conclusion(recommendation));
    text
}

/// The remarks, and what to do.
fn conclusion(recommendation: &Recommendation) -> String {
    let lines = recommendation.remarks.iter().cloned().chain([recommendation.sentence()]);
    lines.map(|line| format!("\n{line}\n")).collect()
}

/// On what it was measured, in sentences.
fn setting(results: &Results) -> String {
    let setting = &results.setting;
    let apart = match (setting.keeps_apart, setting.ends_apart) {
        (true, true) => {
            "the thread under measurement, the sender and the receiver have a core each"
        }
        (true, false) => {
            "the thread under measurement has a core for itself; the ends share one, so GiB/s between \
             sockets say little"
        }
        (false, _) => {
            "both ends share its CPU with the thread under measurement, so GiB/s say little"
        }
    };
    let counted = match &setting.counted {
        Counted::ByTracepoint { disagreement } => format!(
            "by the kernel (raw_syscalls:sys_enter); the program's own count differs by {:.2}%",
            disagreement * 100.0
        ),
        Counted::ByProgram { because } => {
            format!("by the program, where it makes them ({because})")
        }
    };
    let dropped = match &setting.dropped {
        Dropped::ByAdvice => "by posix_fadvise".to_owned(),
        Dropped::ByControl => "by /proc/sys/vm/drop_caches".to_owned(),
        Dropped::Not(because) => format!("not at all: {because}"),
    };
    format!(
        "Linux {}, {}, {} CPUs; {apart}.\n{} rounds, windows of {} ms. System calls are counted {counted}.\n\
         Scratch files: {} MiB in {}; they leave the page cache {dropped}. What a disk or a hypervisor \
         keeps in memory of its own cannot be seen from here.\n",
        setting.kernel,
        setting.cpu,
        setting.cpus,
        setting.rounds,
        setting.window_milliseconds,
        setting.scratch_bytes >> 20,
        setting.directory,
    )
}

/// Three digits that say something, as far as they stand before the point or up to four behind it.
fn show(value: f64) -> String {
    let digits = match value {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        _ => 4,
    };
    format!("{value:.digits$}")
}

fn median(row: &Row, figure: Figure) -> String {
    row.summary(figure).map_or_else(String::new, |it| show(it.median))
}

/// One for each head.
fn cells(row: &Row) -> [String; 8] {
    let copies = row.way.method.copies(row.case);
    let ranged = |figure: Figure| {
        row.summary(figure).map_or_else(String::new, |it| {
            format!("{} ({}-{})", show(it.median), show(it.low), show(it.high))
        })
    };
    [
        show_size(row.bytes),
        row.way.name.to_owned(),
        ranged(THROUGHPUT),
        row.summary(CPU_SHARE).map_or_else(String::new, |it| format!("{:.0}%", it.median * 100.0)),
        ranged(CPU),
        median(row, SYSTEM_CALLS),
        median(row, CONTEXT_SWITCHES),
        format!("{}+{}", copies.cpu, copies.dma),
    ]
}

/// What the row says beside its figures.
fn note(row: &Row) -> Option<&str> {
    row.missing().or(row.remark.as_deref())
}

/// As long as the CPU time is large among those of the same size.
fn bar(results: &Results, row: &Row) -> String {
    let medians = results.of(row.case).filter(|it| it.bytes == row.bytes);
    let largest = medians.filter_map(|it| Some(it.summary(CPU)?.median)).fold(0.0, f64::max);
    let share = row.summary(CPU).map_or(0.0, |it| it.median / largest.max(f64::MIN_POSITIVE));
    "█".repeat((share * BAR_WIDTH).round() as usize)
}

/// Why nothing of a case could be measured, where one reason keeps all of it back.
fn common_reason<'a>(rows: &[&'a Row]) -> Option<&'a str> {
    let mut reasons = rows.iter().map(|row| row.missing());
    let first = reasons.next()??;
    reasons.all(|it| it == Some(first)).then_some(first)
}

fn text_table(results: &Results, case: Case) -> String {
    let rows: Vec<&Row> = results.of(case).collect();
    if let Some(because) = common_reason(&rows) {
        return format!("\n{}\n  not measured: {because}\n", case.title());
    }
    let cells: Vec<[String; 8]> = rows.iter().map(|row| cells(row)).collect();
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| {
            let lengths = cells.iter().map(|cells| cells[column].chars().count());
            lengths.chain([HEADS[column].len()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[&str], behind: &str| {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            // Names from the left, numbers from the right.
            let _written = match column {
                0 | 1 => write!(line, "  {cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        format!("{}\n", format!("{line}  {behind}").trim_end())
    };
    let mut text = format!("\n{}\n{}", case.title(), line(&HEADS, BAR_HEAD));
    let mut last = None;
    for (row, cells) in rows.iter().zip(&cells) {
        if last.is_some_and(|bytes| bytes != row.bytes) {
            text.push('\n');
        }
        last = Some(row.bytes);
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        text.push_str(&match row.missing() {
            None => line(&cells, &bar(results, row)),
            Some(because) => line(&cells[..2], because),
        });
    }
    text.push_str(&footnotes(&rows));
    text
}

fn markdown_table(results: &Results, case: Case) -> String {
    let rows: Vec<&Row> = results.of(case).collect();
    if let Some(because) = common_reason(&rows) {
        return format!("\n**{}**: not measured: {because}.\n", case.title());
    }
    let mut text = format!(
        "\n**{}**\n\n| {} |\n|---|---|--:|--:|--:|--:|--:|--:|\n",
        case.title(),
        HEADS.join(" | ")
    );
    for row in &rows {
        let cells = cells(row);
        // Writing to a String cannot fail.
        let _written = match row.missing() {
            None => writeln!(text, "| {} |", cells.join(" | ")),
            Some(because) => {
                writeln!(text, "| {} | {} | {because} | | | | | |", cells[0], cells[1])
            }
        };
    }
    text.push_str(&footnotes(&rows));
    text
}

/// What ways say of themselves, each once.
fn footnotes(rows: &[&Row]) -> String {
    let mut said: Vec<String> = Vec::new();
    for row in rows.iter().filter(|row| row.missing().is_none()) {
        let Some(remark) = note(row) else { continue };
        let line = format!("\n{}: {remark}.\n", row.way.name);
        if !said.contains(&line) {
            said.push(line);
        }
    }
    said.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::results::Outcome;
    use crate::measure::schedule::plan;

    #[test]
    fn no_more_digits_than_say_something() {
        let check = |value: f64, expected: &str| assert_eq!(show(value), expected);
        check(1_048_576.0, "1048576");
        check(92.206, "92.2");
        check(2.591, "2.59");
        check(0.2240, "0.224");
        check(0.004_31, "0.0043");
    }

    #[test]
    fn what_keeps_a_whole_case_back_is_said_once() {
        let mut rows = plan(&[1 << 10, 1 << 20]);
        rows.iter_mut().for_each(|row| row.outcome = Outcome::Missing("no disk".to_owned()));
        let refused: Vec<&Row> = rows.iter().collect();
        assert_eq!(common_reason(&refused), Some("no disk"));
        let mut rows = rows.clone();
        rows[1].outcome = Outcome::Missing("not allowed".to_owned());
        assert_eq!(common_reason(&rows.iter().collect::<Vec<&Row>>()), None);
        rows[1].outcome = Outcome::Measured(Vec::new());
        assert_eq!(common_reason(&rows.iter().collect::<Vec<&Row>>()), None);
        assert_eq!(common_reason(&[]), None);
    }
}

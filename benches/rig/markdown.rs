//! The report for people: Markdown, compact enough for a README. What tables there are, and in
//! which order, is the benchmark's part.

use std::fmt::Write as _;

use super::kind::{Column, Kind};
use super::machine::Machine;
use super::results::{Entry, Reference, Results};
use super::targets::Verdict;
use spliceway::statistics::Summary;

/// What stands where nothing was measured.
const NOTHING: &str = "-";

/// The machine, then `tables`, then the targets, and what is missing and why.
pub fn write<K: Kind>(results: &Results<K>, tables: &str) -> String {
    let mut text = heading(results);
    text.push_str(tables);
    text.push_str(&target_table(&results.verdicts()));
    for note in results.notes() {
        line(&mut text, &format!("- {note}"));
    }
    text
}

fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _written = writeln!(text, "{content}");
}

fn heading<K: Kind>(results: &Results<K>) -> String {
    let Machine { kernel, cpu, cpus } = &results.machine;
    let mut versions: Vec<&str> =
        results.contestants.iter().filter_map(|it| it.version.as_deref()).collect();
    versions.dedup();
    let apart = if results.machine.keeps_apart(1) {
        "the proxy on one, both ends on another"
    } else {
        "the proxy and both ends share one"
    };
    let references: Vec<&str> = results.marks.references.iter().map(|it| it.name).collect();
    format!(
        "Linux {kernel}, {cpu}, {cpus} CPUs ({apart}). {}. CPU time is that of the proxy's \
         process. Medians with ranges in brackets, or with half the range as ±; ratios compare \
         CPU with that of others in the same run ({}).\n\n",
        versions.join(", "),
        references.join("; "),
    )
}

/// One table: a head, a line below it, rows. `None` where no row has anything to show.
fn table(title: &str, heads: &[String], rows: &[(&str, Vec<String>)]) -> Option<String> {
    let says_something = |row: &&(&str, Vec<String>)| row.1.iter().any(|cell| cell != NOTHING);
    let rows: Vec<_> = rows.iter().filter(says_something).collect();
    if rows.is_empty() {
        return None;
    }
    let mut text = format!("**{title}**\n\n| | {} |\n|---|", heads.join(" | "));
    line(&mut text, &"---:|".repeat(heads.len()));
    for (name, cells) in rows {
        line(&mut text, &format!("| {name} | {} |", cells.join(" | ")));
    }
    text.push('\n');
    Some(text)
}

/// A table with a row for each contestant, and all columns of the kind.
pub fn kind_table<K: Kind>(results: &Results<K>, kind: K) -> String {
    let columns = kind.columns();
    let references = if kind.compares_cpu() { results.marks.references } else { &[] };
    let mut heads: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    heads.splice(1..1, references.iter().map(|it| it.title.to_owned()));
    let row = |name: &'static str| {
        let entry = results.entry(kind, name)?;
        let mut cells: Vec<String> =
            columns.iter().enumerate().map(|(index, column)| cell(entry, index, column)).collect();
        let ratios = references.iter().map(|to| show_ratio(results.ratio(kind, name, to.name, 0)));
        cells.splice(1..1, ratios);
        Some((name, cells))
    };
    let rows: Vec<_> = results.contestants.iter().filter_map(|it| row(it.name)).collect();
    let Some(mut text) = table(&kind.title(), &heads, &rows) else { return String::new() };
    if let Some(words) = kind.explanation() {
        line(&mut text, &format!("{words}\n"));
    }
    text
}

fn cell<K>(entry: &Entry<K>, index: usize, column: &Column) -> String {
    let digits = column.digits;
    entry.summary(index).map_or(NOTHING.into(), |Summary { median, low, high }| {
        if low < high {
            format!("{median:.digits$} ({low:.digits$} - {high:.digits$})")
        } else {
            format!("{median:.digits$}")
        }
    })
}

fn show_ratio(ratio: Option<f64>) -> String {
    ratio.map_or(NOTHING.to_owned(), |ratio| format!("{ratio:.2}"))
}

/// A table with a row for each contestant and several kinds side by side, each under its head,
/// of which `show` makes a cell. Empty where there is nothing to show.
pub fn kinds_table<K: Kind>(
    results: &Results<K>,
    title: &str,
    kinds: &[(String, K)],
    show: impl Fn(&Entry<K>) -> Option<String>,
) -> String {
    let heads: Vec<String> = kinds.iter().map(|(head, _)| head.clone()).collect();
    let row = |name: &'static str| {
        let cells = kinds.iter().map(|(_, kind)| {
            let entry = results.entry(*kind, name);
            entry.and_then(&show).unwrap_or_else(|| NOTHING.to_owned())
        });
        (name, cells.collect::<Vec<String>>())
    };
    let rows: Vec<_> = results.contestants.iter().map(|it| row(it.name)).collect();
    table(title, &heads, &rows).unwrap_or_default()
}

/// A cell of [`kinds_table`]: the first column, CPU time, with half the range.
pub fn cpu_cell<K>(entry: &Entry<K>) -> Option<String> {
    let summary = entry.summary(0)?;
    let digits = if summary.median < 100.0 { 1 } else { 0 };
    Some(format!("{:.digits$} ±{:.0}%", summary.median, summary.half_range() * 100.0))
}

/// A cell of [`kinds_table`]: the first column as a multiple of that of another contestant.
pub fn ratio_cell<K: Kind>(
    results: &Results<K>,
    entry: &Entry<K>,
    to: &Reference,
) -> Option<String> {
    results.ratio(entry.kind, entry.contestant, to.name, 0).map(|it| show_ratio(Some(it)))
}

/// A cell of [`kinds_table`]: the medians of these columns.
pub fn medians_cell<K>(entry: &Entry<K>, columns: &[usize]) -> Option<String> {
    let medians = columns.iter().map(|column| entry.summary(*column).map(|it| it.median));
    let medians: Vec<Option<f64>> = medians.collect();
    medians.iter().any(Option::is_some).then(|| {
        let show = |median: &Option<f64>| median.map_or(NOTHING.into(), |it| format!("{it:.0}"));
        medians.iter().map(show).collect::<Vec<String>>().join(" / ")
    })
}

fn target_table<K: Kind>(verdicts: &[Verdict<K>]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let mut text = "**To reach**\n\n| | to reach | measured | |\n|---|---|---|---|\n".to_owned();
    for verdict in verdicts {
        let outcome = match verdict.missed.len() {
            0 => "reached".to_owned(),
            all if all == verdict.measured.len() => "**not reached**".to_owned(),
            some => format!("**not reached** in {some} of {}", verdict.measured.len()),
        };
        let Verdict { what, to_reach, .. } = verdict;
        line(&mut text, &format!("| {what} | {to_reach} | {} | {outcome} |", measured(verdict)));
    }
    text.push('\n');
    text
}

/// Each value where there are few; of many, the two at the ends.
fn measured<K: Kind>(verdict: &Verdict<K>) -> String {
    const FEW: usize = 4;
    let show = |(kind, value): &(K, f64)| format!("{kind}: {value:.2}");
    if verdict.measured.len() <= FEW {
        return verdict.measured.iter().map(show).collect::<Vec<_>>().join(", ");
    }
    let mut sorted = verdict.measured.clone();
    sorted.sort_by(|one, other| one.1.total_cmp(&other.1));
    let ends = [sorted.first(), sorted.last()].map(|it| it.map(show).unwrap_or_default());
    format!("{} values, {}", sorted.len(), ends.join(" to "))
}

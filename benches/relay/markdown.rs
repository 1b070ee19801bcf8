//! The report for people: Markdown, compact enough for a README.

use std::fmt::Write as _;

use crate::kind::{CONNECTIONS, Column, Kind, MESSAGE_BYTES, ROUND_TRIP_PERCENTILES, show_bytes};
use crate::machine::Machine;
use crate::names::{BARE_COPY, BARE_SPLICE};
use crate::results::{Entry, Results};
use crate::statistics::Summary;
use crate::targets::{self, Verdict};

/// What stands where nothing was measured.
const NOTHING: &str = "-";

/// The machine, the tables, the targets, and what is missing and why.
pub fn write(results: &Results) -> String {
    let mut text = heading(results);
    let kinds = results.kinds();
    let is_round_trip = |kind: &Kind| matches!(kind, Kind::RoundTrips { .. });
    let before = kinds.iter().position(is_round_trip).unwrap_or(kinds.len());
    let (first, rest) = kinds.split_at(before);
    first.iter().for_each(|kind| text.push_str(&kind_table(results, *kind)));
    for connections in CONNECTIONS {
        let measured =
            |bytes: &usize| kinds.contains(&Kind::RoundTrips { bytes: *bytes, connections });
        let sizes: Vec<usize> = MESSAGE_BYTES.into_iter().filter(measured).collect();
        if !sizes.is_empty() {
            text.push_str(&round_trip_tables(results, &sizes, connections));
        }
    }
    let rest = rest.iter().filter(|kind| !is_round_trip(kind));
    rest.for_each(|kind| text.push_str(&kind_table(results, *kind)));
    text.push_str(&target_table(&targets::of(results)));
    for note in results.notes() {
        line(&mut text, &format!("- {note}"));
    }
    text
}

fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _written = writeln!(text, "{content}");
}

fn heading(results: &Results) -> String {
    let Machine { kernel, cpu, cpus } = &results.machine;
    let mut versions: Vec<&str> =
        results.contestants.iter().filter_map(|it| it.version.as_deref()).collect();
    versions.dedup();
    let apart = if results.cpus_are_apart {
        "the proxy on one, both ends on another"
    } else {
        "the proxy and both ends share one"
    };
    format!(
        "Linux {kernel}, {cpu}, {cpus} CPUs ({apart}). {}. CPU time is that of the proxy's \
         process. Medians with ranges in brackets, or with half the range as ±; ratios compare \
         CPU with the bare loops of the same run.\n\n",
        versions.join(", ")
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
fn kind_table(results: &Results, kind: Kind) -> String {
    let columns = kind.columns();
    let mut heads: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    if kind.compares_cpu() {
        heads.splice(1..1, ["to bare splice".to_owned(), "to bare copy".to_owned()]);
    }
    let row = |name: &'static str| {
        let entry = results.entry(kind, name)?;
        let mut cells: Vec<String> =
            columns.iter().enumerate().map(|(index, column)| cell(entry, index, column)).collect();
        if kind.compares_cpu() {
            let ratios = [BARE_SPLICE, BARE_COPY].map(|to| results.ratio(kind, name, to, 0));
            cells.splice(1..1, ratios.map(|it| it.map_or(NOTHING.into(), |it| format!("{it:.2}"))));
        }
        Some((name, cells))
    };
    let rows: Vec<_> = results.contestants.iter().filter_map(|it| row(it.name)).collect();
    let mut text = table(&kind.title(), &heads, &rows).unwrap_or_default();
    if let Some(words) = explanation(kind) {
        line(&mut text, &format!("{words}\n"));
    }
    text
}

fn explanation(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Idle { .. } => Some(
            "Proportional set size of the process, after less before, by the number of \
             connections, each of which has carried one small message. The kernel's own memory \
             (sockets, their buffers, pipes) is not in it.",
        ),
        Kind::Fairness { .. } => Some(
            "One worker. Both ends of the bulk flows run at idle priority, so that they keep the \
             ends of the round trips from their CPU as little as can be.",
        ),
        _ => None,
    }
}

fn cell(entry: &Entry, index: usize, column: &Column) -> String {
    let digits = column.digits;
    entry.summary(index).map_or(NOTHING.into(), |Summary { median, low, high }| {
        if low < high {
            format!("{median:.digits$} ({low:.digits$} - {high:.digits$})")
        } else {
            format!("{median:.digits$}")
        }
    })
}

/// CPU and latency of the round trips: sizes side by side.
fn round_trip_tables(results: &Results, sizes: &[usize], connections: usize) -> String {
    let heads: Vec<String> = sizes.iter().map(|bytes| show_bytes(*bytes)).collect();
    let rows = |cell: fn(&Entry) -> Option<String>| {
        let row = |name: &'static str| {
            let cells = sizes.iter().map(|bytes| {
                let entry = results.entry(Kind::RoundTrips { bytes: *bytes, connections }, name);
                entry.and_then(cell).unwrap_or_else(|| NOTHING.to_owned())
            });
            (name, cells.collect::<Vec<String>>())
        };
        results.contestants.iter().map(|it| row(it.name)).collect::<Vec<_>>()
    };
    let over = match connections {
        1 => "1 connection".to_owned(),
        many => format!("{many} connections"),
    };
    let cpu = table(
        &format!("Round trips, {over}: CPU us for each, by the size of the message"),
        &heads,
        &rows(cpu_cell),
    );
    let latency =
        table(&format!("Round trips, {over}: p50 / p99 in us"), &heads, &rows(latency_cell));
    [cpu, latency].into_iter().flatten().collect()
}

fn cpu_cell(entry: &Entry) -> Option<String> {
    let summary = entry.summary(0)?;
    let digits = if summary.median < 100.0 { 1 } else { 0 };
    Some(format!("{:.digits$} ±{:.0}%", summary.median, summary.half_range() * 100.0))
}

fn latency_cell(entry: &Entry) -> Option<String> {
    let [p50, p99] = ROUND_TRIP_PERCENTILES.map(|column| entry.summary(column));
    Some(format!("{:.0} / {:.0}", p50?.median, p99?.median))
}

fn target_table(verdicts: &[Verdict]) -> String {
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
fn measured(verdict: &Verdict) -> String {
    const FEW: usize = 4;
    let show = |(kind, value): &(Kind, f64)| format!("{kind}: {value:.2}");
    if verdict.measured.len() <= FEW {
        return verdict.measured.iter().map(show).collect::<Vec<_>>().join(", ");
    }
    let mut sorted = verdict.measured.clone();
    sorted.sort_by(|one, other| one.1.total_cmp(&other.1));
    let ends = [sorted.first(), sorted.last()].map(|it| it.map(show).unwrap_or_default());
    format!("{} values, {}", sorted.len(), ends.join(" to "))
}

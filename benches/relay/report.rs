//! What was measured, as Markdown for the README and as JSON for machines.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::contestant::{BARE_COPY, BARE_SPLICE, Contestant};
use crate::kind::{Figures, Kind};
use crate::machine::{Cpus, Machine};
use crate::sample::Sample;
use crate::statistics::Summary;

/// Everything that was measured so far.
pub struct Report {
    machine: Machine,
    cpus: Cpus,
    contestants: Vec<(&'static str, Option<String>)>,
    entries: Vec<Entry>,
    failures: Vec<String>,
    cpu_disagreement: Duration,
}

/// All rounds of one contestant under one kind of load.
struct Entry {
    kind: Kind,
    contestant: &'static str,
    rounds: Vec<Figures>,
}

impl Report {
    pub fn new(machine: Machine, cpus: Cpus, contestants: &[Contestant]) -> Report {
        let contestants =
            contestants.iter().map(|it| (it.name, it.version().map(str::to_owned))).collect();
        Report {
            machine,
            cpus,
            contestants,
            entries: Vec::new(),
            failures: Vec::new(),
            cpu_disagreement: Duration::ZERO,
        }
    }

    /// Adds one sample.
    pub fn add(&mut self, kind: Kind, name: &'static str, sample: &Sample, figures: Figures) {
        self.cpu_disagreement = self.cpu_disagreement.max(sample.cpu_disagreement);
        let mut entries = self.entries.iter_mut();
        match entries.find(|entry| entry.kind == kind && entry.contestant == name) {
            Some(entry) => entry.rounds.push(figures),
            None => {
                self.entries.push(Entry { kind, contestant: name, rounds: vec![figures] });
            }
        }
    }

    /// Adds a sample that could not be taken.
    pub fn add_failure(&mut self, kind: Kind, name: &str, error: &str) {
        self.failures.push(format!("{name}, {kind}: {error}"));
    }

    pub fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// The kinds that have entries, in the order in which they were measured.
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.entries.iter().map(|entry| entry.kind).collect();
        kinds.dedup();
        let mut seen = Vec::new();
        kinds.retain(|kind| {
            !seen.contains(kind) && {
                seen.push(*kind);
                true
            }
        });
        kinds
    }

    fn entry(&self, kind: Kind, contestant: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.kind == kind && entry.contestant == contestant)
    }

    /// The machine, one table for each kind, and what is missing and why.
    pub fn to_markdown(&self) -> String {
        let mut text = self.heading();
        for kind in self.kinds() {
            text.push_str(&self.table(kind));
        }
        for note in self.notes() {
            text.push_str(&format!("- {note}\n"));
        }
        text
    }

    fn heading(&self) -> String {
        let Machine { kernel, cpu, cpus } = &self.machine;
        let mut versions: Vec<&str> =
            self.contestants.iter().filter_map(|(_, version)| version.as_deref()).collect();
        versions.dedup();
        let apart = if self.cpus.are_apart() {
            "the proxy on one, both ends on another"
        } else {
            "the proxy and both ends share one"
        };
        format!(
            "Linux {kernel}, {cpu}, {cpus} CPUs ({apart}). {}. CPU time is that of the proxy's \
             process. Medians, ranges in brackets; ratios compare CPU with the bare loops of the \
             same run.\n\n",
            versions.join(", ")
        )
    }

    fn table(&self, kind: Kind) -> String {
        let mut text = format!("**{}**\n\n| |", kind.title());
        let columns = kind.columns();
        let mut heads: Vec<&str> = columns.iter().map(|column| column.title).collect();
        heads.splice(1..1, ["to bare splice", "to bare copy"]);
        text.push_str(&format!(" {} |\n|---|{}\n", heads.join(" | "), "---:|".repeat(heads.len())));
        for (name, _) in &self.contestants {
            let Some(entry) = self.entry(kind, name) else { continue };
            let mut cells: Vec<String> = (0..columns.len())
                .map(|index| {
                    entry
                        .summary(index)
                        .map_or_else(String::new, |it| cell(it, columns[index].digits))
                })
                .collect();
            let ratios = [BARE_SPLICE, BARE_COPY].map(|loop_name| self.ratio(entry, loop_name));
            cells.splice(1..1, ratios.map(|it| it.map_or("-".into(), |it| format!("{it:.2}"))));
            // Writing to a String cannot fail.
            let _written = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
        text.push('\n');
        text
    }

    /// CPU of `entry` as a multiple of that of a bare loop.
    fn ratio(&self, entry: &Entry, loop_name: &str) -> Option<f64> {
        let base = self.entry(entry.kind, loop_name)?.summary(0)?;
        Some(entry.summary(0)?.median / base.median)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self
            .contestants
            .iter()
            .filter(|(_, version)| version.is_none())
            .map(|(name, _)| format!("{name}: not installed, not measured"))
            .collect();
        notes.extend(self.failures.iter().map(|failure| format!("FAILED {failure}")));
        if self.cpu_disagreement > Duration::ZERO {
            notes.push(format!(
                "schedstat and stat of /proc differ by {:?} more than clock ticks explain: \
                 distrust the CPU columns",
                self.cpu_disagreement
            ));
        }
        notes
    }

    /// Every value of every round, with its summary.
    pub fn to_json(&self) -> Value {
        let Machine { kernel, cpu, cpus } = &self.machine;
        let contestants: Vec<Value> = self
            .contestants
            .iter()
            .map(|(name, version)| json!({ "name": name, "version": version }))
            .collect();
        let results: Vec<Value> = self.entries.iter().map(|entry| self.entry_json(entry)).collect();
        json!({
            "machine": { "kernel": kernel, "cpu": cpu, "cpus": cpus },
            "proxy_has_its_own_cpu": self.cpus.are_apart(),
            "contestants": contestants,
            "results": results,
            "notes": self.notes(),
        })
    }

    fn entry_json(&self, entry: &Entry) -> Value {
        let columns = entry.kind.columns();
        let figures: serde_json::Map<String, Value> = columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| {
                let Summary { median, low, high } = entry.summary(index)?;
                let rounds = entry.values(index);
                let value = json!({ "median": median, "low": low, "high": high, "rounds": rounds });
                Some((column.key.to_owned(), value))
            })
            .collect();
        json!({
            "kind": entry.kind.to_string(),
            "contestant": entry.contestant,
            "cpu_to_bare_splice": self.ratio(entry, BARE_SPLICE),
            "cpu_to_bare_copy": self.ratio(entry, BARE_COPY),
            "figures": figures,
        })
    }
}

impl Entry {
    fn values(&self, column: usize) -> Vec<f64> {
        self.rounds.iter().map(|figures| figures.values[column]).collect()
    }

    fn summary(&self, column: usize) -> Option<Summary> {
        Summary::of(&self.values(column))
    }
}

fn cell(summary: Summary, digits: usize) -> String {
    let Summary { median, low, high } = summary;
    format!("{median:.digits$} ({low:.digits$} - {high:.digits$})")
}

//! What was measured: every value of every round, and the questions that the report asks of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::kind::{Figures, Kind};
use super::machine::Machine;
use super::targets::{self, Target, Verdict};
use spliceway::statistics::Summary;

/// Everything that was measured so far.
pub struct Results<K: 'static> {
    pub machine: Machine,
    pub contestants: Vec<Named>,
    pub marks: Marks<K>,
    entries: Vec<Entry<K>>,
    failures: Vec<String>,
    cpu_disagreement: Duration,
}

/// A contestant, measured or not.
pub struct Named {
    pub name: &'static str,
    /// Its program and version; `None` where it is not installed.
    pub version: Option<String>,
}

/// What figures are held against.
pub struct Marks<K: 'static> {
    /// Contestants that the CPU time of all is compared with.
    pub references: &'static [Reference],
    pub targets: &'static [Target<K>],
}

/// A contestant that others are compared with.
#[derive(Debug)]
pub struct Reference {
    pub name: &'static str,
    /// The key of the ratio in JSON.
    pub key: &'static str,
    /// The head of its column.
    pub title: &'static str,
}

/// All rounds of one contestant under one kind of load.
pub struct Entry<K> {
    pub kind: K,
    pub contestant: &'static str,
    rounds: Vec<Figures>,
}

impl<K: Kind> Results<K> {
    /// Nothing yet.
    pub fn new(machine: Machine, contestants: Vec<Named>, marks: Marks<K>) -> Results<K> {
        Results {
            machine,
            contestants,
            marks,
            entries: Vec::new(),
            failures: Vec::new(),
            cpu_disagreement: Duration::ZERO,
        }
    }

    /// Adds one sample.
    pub fn add(&mut self, kind: K, name: &'static str, figures: Figures) {
        let mut entries = self.entries.iter_mut();
        match entries.find(|entry| entry.kind == kind && entry.contestant == name) {
            Some(entry) => entry.rounds.push(figures),
            None => {
                self.entries.push(Entry { kind, contestant: name, rounds: vec![figures] });
            }
        }
    }

    /// Adds by how much the kernel's two accounts of CPU time differed in a sample.
    pub fn add_cpu_disagreement(&mut self, disagreement: Duration) {
        self.cpu_disagreement = self.cpu_disagreement.max(disagreement);
    }

    /// Adds a sample that could not be taken.
    pub fn add_failure(&mut self, kind: K, name: &str, error: &str) {
        self.failures.push(format!("{name}, {kind}: {error}"));
    }

    pub fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// The kinds that have entries, in the order in which they were measured.
    pub fn kinds(&self) -> Vec<K> {
        let mut kinds = Vec::new();
        for entry in &self.entries {
            if !kinds.contains(&entry.kind) {
                kinds.push(entry.kind);
            }
        }
        kinds
    }

    pub fn entry(&self, kind: K, contestant: &str) -> Option<&Entry<K>> {
        self.entries.iter().find(|entry| entry.kind == kind && entry.contestant == contestant)
    }

    /// The median of one column.
    pub fn median(&self, kind: K, contestant: &str, column: usize) -> Option<f64> {
        Some(self.entry(kind, contestant)?.summary(column)?.median)
    }

    /// One column's median as a multiple of that of another contestant.
    pub fn ratio(&self, kind: K, name: &str, to: &str, column: usize) -> Option<f64> {
        Some(self.median(kind, name, column)? / self.median(kind, to, column)?)
    }

    /// Every target of which something was measured, and what came of it.
    pub fn verdicts(&self) -> Vec<Verdict<K>> {
        targets::judge(self)
    }

    /// What a reader has to know: who is missing, what failed, what to distrust.
    pub fn notes(&self) -> Vec<String> {
        let missing = self.contestants.iter().filter(|it| it.version.is_none());
        let mut notes: Vec<String> =
            missing.map(|it| format!("{}: not installed, not measured", it.name)).collect();
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

    /// Every value of every round, with its summary, and the targets. A value that could not be
    /// measured is null.
    pub fn to_json(&self) -> Value {
        let Machine { kernel, cpu, cpus } = &self.machine;
        let contestants: Vec<Value> = self
            .contestants
            .iter()
            .map(|it| json!({ "name": it.name, "version": it.version }))
            .collect();
        let results: Vec<Value> = self.entries.iter().map(|entry| self.entry_json(entry)).collect();
        let targets: Vec<Value> = self.verdicts().iter().map(Verdict::to_json).collect();
        json!({
            "machine": { "kernel": kernel, "cpu": cpu, "cpus": cpus },
            "proxy_has_its_own_cpu": self.machine.keeps_apart(1),
            "contestants": contestants,
            "results": results,
            "targets": targets,
            "notes": self.notes(),
        })
    }

    fn entry_json(&self, entry: &Entry<K>) -> Value {
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
        let mut value = json!({
            "kind": entry.kind.to_string(),
            "contestant": entry.contestant,
            "figures": figures,
        });
        if entry.kind.compares_cpu() {
            for Reference { name, key, .. } in self.marks.references {
                value[*key] = json!(self.ratio(entry.kind, entry.contestant, name, 0));
            }
        }
        value
    }
}

impl<K> Entry<K> {
    fn values(&self, column: usize) -> Vec<f64> {
        self.rounds.iter().map(|figures| figures.values[column]).collect()
    }

    /// Median and range of one column; `None` where it was never measured.
    pub fn summary(&self, column: usize) -> Option<Summary> {
        Summary::of(&self.values(column))
    }
}

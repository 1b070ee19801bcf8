//! Reads typed values out of the tree. Everything that is wrong is collected, and everything
//! that is right is recorded with its origin, by the same call: what `explain` shows is what the
//! program got.

use super::error::{ConfigError, nearest};
use super::kinds::{Kind, Mismatch, ServerAddress};
use super::raw::{Node, Origin, Table, Value, join_key};
use crate::address::Address;

/// A value in force and where it came from, for `explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The path of the key, such as `listeners.web.relay.mode`.
    pub key: String,
    /// The value, as an operator would write it.
    pub value: String,
    /// Where it was written.
    pub origin: Origin,
    /// The key under which it was written, if it is not `key`: `relay.mode`, say, for a listener
    /// that does not override it.
    pub inherited_from: Option<String>,
}

/// What reading has found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) errors: Vec<ConfigError>,
    pub(super) effective: Vec<Effective>,
}

impl Report {
    /// Records what is wrong with the value at `key`.
    pub(super) fn mismatch(&mut self, key: String, origin: &Origin, mismatch: Mismatch) {
        let Mismatch { problem, expected, nearest } = mismatch;
        self.errors.push(ConfigError { origin: origin.clone(), key, problem, expected, nearest });
    }

    /// Records what is wrong with the value at `key`, where no other word is near.
    pub(super) fn error(
        &mut self,
        key: &str,
        origin: &Origin,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.errors.push(ConfigError {
            origin: origin.clone(),
            key: key.to_owned(),
            problem: problem.into(),
            expected: expected.into(),
            nearest: None,
        });
    }

    fn record(&mut self, key: &str, value: String, origin: &Origin, written_at: &str) {
        self.effective.push(Effective {
            key: key.to_owned(),
            value,
            origin: origin.clone(),
            inherited_from: (written_at != key).then(|| written_at.to_owned()),
        });
    }
}

/// A value that was read, the key under which it was written, and where.
#[derive(Debug, Clone)]
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) origin: Origin,
}

/// What holds where nothing is written.
pub(super) enum Fallback<'s, T> {
    /// This, the default of the program.
    Default(T),
    /// What holds for all.
    Inherit(&'s Setting<T>),
}

impl<'s, T> Fallback<'s, T> {
    /// What holds for all where there is such a thing, and the program's default otherwise.
    pub(super) fn new(inherited: Option<&'s Setting<T>>, default: T) -> Fallback<'s, T> {
        match inherited {
            Some(setting) => Fallback::Inherit(setting),
            None => Fallback::Default(default),
        }
    }
}

/// A table that is being read: remembers which keys were asked for, so that the others are
/// unknown.
pub(super) struct Section<'t> {
    key: String,
    origin: Origin,
    table: Option<&'t Table>,
    asked: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// The table in `node`; anything else there is an error, and reads as an empty table.
    pub(super) fn new(report: &mut Report, key: String, node: &'t Node) -> Section<'t> {
        let table = match &node.value {
            Value::Table(table) => Some(table),
            other => {
                report.error(&key, &node.origin, format!("found {other}"), "a table");
                None
            }
        };
        Section { key, origin: node.origin.clone(), table, asked: Vec::new() }
    }

    /// The table at `name`, empty if nothing is written there.
    pub(super) fn section(&mut self, report: &mut Report, name: &'static str) -> Section<'t> {
        let key = join_key(&self.key, name);
        match self.node(name) {
            Some(node) => Section::new(report, key, node),
            None => Section { key, origin: self.origin.clone(), table: None, asked: Vec::new() },
        }
    }

    /// The tables within, by the names that the operator gave them.
    pub(super) fn into_named(self, report: &mut Report) -> Vec<(&'t str, Section<'t>)> {
        let entries = self.table.into_iter().flatten();
        entries
            .map(|(name, node)| {
                (name.as_str(), Section::new(report, join_key(&self.key, name), node))
            })
            .collect()
    }

    /// The path of this table.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Where this table was written.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    fn node(&mut self, name: &'static str) -> Option<&'t Node> {
        self.asked.push(name);
        self.table.and_then(|table| table.get(name))
    }

    /// Reads the value at `name`, or what holds where nothing is written. A wrong value is
    /// reported and reads as what would hold without it.
    pub(super) fn read<K: Kind>(
        &mut self,
        report: &mut Report,
        name: &'static str,
        kind: &K,
        fallback: Fallback<'_, K::Value>,
    ) -> Setting<K::Value> {
        if let Some(setting) = self.optional(report, name, kind) {
            return setting;
        }
        let key = join_key(&self.key, name);
        let setting = match fallback {
            Fallback::Default(value) => {
                Setting { value, key: key.clone(), origin: Origin::Default }
            }
            Fallback::Inherit(setting) => setting.clone(),
        };
        report.record(&key, kind.show(&setting.value), &setting.origin, &setting.key);
        setting
    }

    /// Reads the value at `name`, if one is written.
    pub(super) fn optional<K: Kind>(
        &mut self,
        report: &mut Report,
        name: &'static str,
        kind: &K,
    ) -> Option<Setting<K::Value>> {
        let key = join_key(&self.key, name);
        let node = self.node(name)?;
        let setting = read_node(report, key, node, kind)?;
        report.record(&setting.key, kind.show(&setting.value), &setting.origin, &setting.key);
        Some(setting)
    }

    /// Reads the value at `name`, without which the table makes no sense.
    pub(super) fn require<K: Kind>(
        &mut self,
        report: &mut Report,
        name: &'static str,
        kind: &K,
        expected: &str,
    ) -> Option<Setting<K::Value>> {
        self.demand(report, name, expected);
        self.optional(report, name, kind)
    }

    /// Whether something is written at `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// Reports what is written at `name`, a key that makes no sense here.
    pub(super) fn refuse(
        &mut self,
        report: &mut Report,
        name: &'static str,
        problem: &str,
        expected: &str,
    ) {
        let key = join_key(&self.key, name);
        if let Some(node) = self.node(name) {
            report.error(&key, &node.origin, problem, expected);
        }
    }

    /// Reads the addresses at `name`, at least one: a string, a list of strings, or a list of
    /// tables with an `address` each.
    pub(super) fn addresses(
        &mut self,
        report: &mut Report,
        name: &'static str,
        expected: &str,
    ) -> Vec<Setting<Address>> {
        self.demand(report, name, expected);
        self.list(report, name, expected, element, Address::to_string)
    }

    /// Reports that nothing is written at `name`, without which the table makes no sense.
    pub(super) fn demand(&self, report: &mut Report, name: &str, expected: &str) {
        if !self.has(name) {
            report.error(&join_key(&self.key, name), &self.origin, "missing", expected);
        }
    }

    /// Reads the values at `name`, at least one if anything is written: one value of `kind`, or a
    /// list of them.
    pub(super) fn values<K: Kind>(
        &mut self,
        report: &mut Report,
        name: &'static str,
        kind: &K,
        expected: &str,
    ) -> Vec<Setting<K::Value>> {
        let read = |report: &mut Report, key, node: &Node| read_node(report, key, node, kind);
        self.list(report, name, expected, read, |value| kind.show(value))
    }

    /// Reads a list of what `read` reads; a string stands for a list of it alone. From the
    /// environment and flags, commas separate them.
    pub(super) fn list<T>(
        &mut self,
        report: &mut Report,
        name: &'static str,
        expected: &str,
        read: impl Fn(&mut Report, String, &Node) -> Option<Setting<T>>,
        show: impl Fn(&T) -> String,
    ) -> Vec<Setting<T>> {
        let key = join_key(&self.key, name);
        let Some(node) = self.node(name) else { return Vec::new() };
        let errors_before = report.errors.len();
        let values: Vec<Setting<T>> = match &node.value {
            Value::Text(text) if node.origin.is_untyped() => text
                .split(',')
                .filter_map(|part| {
                    let value = Value::Text(part.trim().to_owned());
                    read(report, key.clone(), &Node { value, origin: node.origin.clone() })
                })
                .collect(),
            Value::Text(_) => read(report, key.clone(), node).into_iter().collect(),
            Value::List(nodes) => nodes
                .iter()
                .enumerate()
                .filter_map(|(index, node)| read(report, format!("{key}[{index}]"), node))
                .collect(),
            other => {
                report.error(&key, &node.origin, format!("found {other}"), expected);
                return Vec::new();
            }
        };
        if values.is_empty() && report.errors.len() == errors_before {
            report.error(&key, &node.origin, "found an empty list", expected);
        }
        let shown: Vec<String> = values.iter().map(|value| show(&value.value)).collect();
        report.record(&key, shown.join(", "), &node.origin, &key);
        values
    }

    /// The tables in the list at `name`, `max` at most; none if nothing is written there.
    pub(super) fn tables(
        &mut self,
        report: &mut Report,
        name: &'static str,
        max: usize,
        expected: &str,
    ) -> Vec<Section<'t>> {
        let key = join_key(&self.key, name);
        let nodes = match self.node(name) {
            None => return Vec::new(),
            Some(Node { value: Value::List(nodes), .. }) if nodes.len() <= max => nodes,
            Some(Node { value: Value::List(nodes), origin }) => {
                let problem = format!("found a list of {}", nodes.len());
                report.error(&key, origin, problem, format!("at most {max}"));
                return Vec::new();
            }
            Some(Node { value, origin }) => {
                report.error(&key, origin, format!("found {value}"), expected);
                return Vec::new();
            }
        };
        let tables = nodes.iter().enumerate().map(|(index, node)| {
            let section = Section::new(report, format!("{key}[{index}]"), node);
            section.table.is_some().then_some(section)
        });
        tables.flatten().collect()
    }

    /// Reads each value within by `kind`, and the name that the operator gave it by `named`.
    pub(super) fn into_entries<N, K: Kind>(
        self,
        report: &mut Report,
        named: impl Fn(&str) -> Result<N, String>,
        kind: &K,
    ) -> Vec<(N, Setting<K::Value>)> {
        let entries = self.table.into_iter().flatten();
        entries
            .filter_map(|(name, node)| {
                let key = join_key(&self.key, name);
                let named = named(name).map_err(|why| report.error(&key, &node.origin, why, ""));
                let setting = read_node(report, key, node, kind)?;
                let Setting { value, key, origin } = &setting;
                report.record(key, kind.show(value), origin, key);
                Some((named.ok()?, setting))
            })
            .collect()
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, report: &mut Report) {
        for (name, node) in self.table.into_iter().flatten() {
            if self.asked.contains(&name.as_str()) {
                continue;
            }
            let nearest = nearest(name, self.asked.iter().copied());
            let expected = match nearest {
                Some(_) => String::new(),
                None => format!("one of {}", self.asked.join(", ")),
            };
            let key = join_key(&self.key, name);
            let mismatch = Mismatch { problem: "unknown key".to_owned(), expected, nearest };
            report.mismatch(key, &node.origin, mismatch);
        }
    }
}

/// The value of `node` at `key`; what is wrong with it is reported.
pub(super) fn read_node<K: Kind>(
    report: &mut Report,
    key: String,
    node: &Node,
    kind: &K,
) -> Option<Setting<K::Value>> {
    match kind.read(node) {
        Ok(value) => Some(Setting { value, key, origin: node.origin.clone() }),
        Err(mismatch) => {
            report.mismatch(key, &node.origin, mismatch);
            None
        }
    }
}

/// An address of a list: a string, or a table with an `address`.
fn element(report: &mut Report, key: String, node: &Node) -> Option<Setting<Address>> {
    if let Value::Table(_) = &node.value {
        let mut section = Section::new(report, key, node);
        let key = join_key(&section.key, "address");
        let address = match section.node("address") {
            Some(node) => read_node(report, key, node, &ServerAddress),
            None => {
                report.error(&key, &section.origin, "missing", ServerAddress::EXPECTED);
                None
            }
        };
        section.finish(report);
        return address;
    }
    read_node(report, key, node, &ServerAddress)
}

//! Reads typed values out of the tree. Everything that is wrong is collected, and everything
//! that is right is recorded with its origin, by the same call: what `explain` shows is what the
//! program got.

use super::error::{ConfigError, nearest};
use super::kinds::{Kind, Mismatch};
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
        let key = join_key(&self.key, name);
        if let Some(node) = self.node(name) {
            match kind.read(node) {
                Ok(value) => {
                    report.record(&key, kind.show(&value), &node.origin, &key);
                    return Setting { value, key, origin: node.origin.clone() };
                }
                Err(mismatch) => report.mismatch(key.clone(), &node.origin, mismatch),
            }
        }
        let setting = match fallback {
            Fallback::Default(value) => {
                Setting { value, key: key.clone(), origin: Origin::Default }
            }
            Fallback::Inherit(setting) => setting.clone(),
        };
        report.record(&key, kind.show(&setting.value), &setting.origin, &setting.key);
        setting
    }

    /// Reads the value at `name`, without which the table makes no sense.
    pub(super) fn require<K: Kind>(
        &mut self,
        report: &mut Report,
        name: &'static str,
        kind: &K,
        expected: &str,
    ) -> Option<Setting<K::Value>> {
        let key = join_key(&self.key, name);
        let Some(node) = self.node(name) else {
            report.error(&key, &self.origin, "missing", expected);
            return None;
        };
        match kind.read(node) {
            Ok(value) => {
                report.record(&key, kind.show(&value), &node.origin, &key);
                Some(Setting { value, key, origin: node.origin.clone() })
            }
            Err(mismatch) => {
                report.mismatch(key, &node.origin, mismatch);
                None
            }
        }
    }

    /// Reads the addresses at `name`, at least one: a string, a list of strings, or a list of
    /// tables with an `address` each. From the environment and flags, commas separate them.
    pub(super) fn addresses(
        &mut self,
        report: &mut Report,
        name: &'static str,
        expected: &str,
    ) -> Vec<Setting<Address>> {
        let key = join_key(&self.key, name);
        let Some(node) = self.node(name) else {
            report.error(&key, &self.origin, "missing", expected);
            return Vec::new();
        };
        let errors_before = report.errors.len();
        let addresses: Vec<Setting<Address>> = match &node.value {
            Value::Text(text) if node.origin.is_untyped() => text
                .split(',')
                .filter_map(|part| parse_address(report, &key, part.trim(), &node.origin))
                .collect(),
            Value::Text(text) => {
                parse_address(report, &key, text, &node.origin).into_iter().collect()
            }
            Value::List(nodes) => nodes
                .iter()
                .enumerate()
                .filter_map(|(index, node)| element(report, format!("{key}[{index}]"), node))
                .collect(),
            other => {
                report.error(&key, &node.origin, format!("found {other}"), expected);
                return Vec::new();
            }
        };
        if addresses.is_empty() && report.errors.len() == errors_before {
            report.error(&key, &node.origin, "found an empty list", expected);
        }
        let shown: Vec<String> = addresses.iter().map(|a| a.value.to_string()).collect();
        report.record(&key, shown.join(", "), &node.origin, &key);
        addresses
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

fn element(report: &mut Report, key: String, node: &Node) -> Option<Setting<Address>> {
    match &node.value {
        Value::Text(text) => parse_address(report, &key, text, &node.origin),
        Value::Table(_) => {
            let mut section = Section::new(report, key, node);
            let address = match section.node("address") {
                Some(Node { value: Value::Text(text), origin }) => {
                    parse_address(report, &join_key(&section.key, "address"), text, origin)
                }
                Some(Node { value, origin }) => {
                    let key = join_key(&section.key, "address");
                    report.error(&key, origin, format!("found {value}"), "an address");
                    None
                }
                None => {
                    let key = join_key(&section.key, "address");
                    report.error(&key, &section.origin, "missing", "an address");
                    None
                }
            };
            section.finish(report);
            address
        }
        other => {
            report.error(&key, &node.origin, format!("found {other}"), "an address");
            None
        }
    }
}

fn parse_address(
    report: &mut Report,
    key: &str,
    text: &str,
    origin: &Origin,
) -> Option<Setting<Address>> {
    match text.parse::<Address>() {
        Ok(value) => Some(Setting { value, key: key.to_owned(), origin: origin.clone() }),
        Err(reason) => {
            report.error(key, origin, format!("found {text:?}: {reason}"), "");
            None
        }
    }
}

//! One source of values, and how several become one tree.

use std::collections::HashMap;

use ::config::{Map, Source, Value, ValueKind};

use super::{Assigned, Assignment, KEY_DEPTH_MAX};
use crate::config::raw::{Node, Origin, Table, Value as RawValue};

/// The one key under which a layer hands its values to the `config` crate. That crate takes a
/// key on the first level for an expression (`a.b[0]`), but keys below it as they are; with this
/// one above them, a key of a file means itself, whatever characters it has.
const ROOT: &str = "root";

/// The path of a value: the names of the tables around it, and places in lists as `[0]`.
pub(super) type KeyPath = Vec<String>;

/// The part of a path that stands for a place in a list.
pub(super) fn index_part(index: usize) -> String {
    format!("[{index}]")
}

/// Where a value of a layer was written.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) path: KeyPath,
    pub(super) origin: Origin,
    /// Whether it is a table, which further layers add to rather than replace.
    pub(super) is_table: bool,
}

/// The values of one source, and where each was written.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) values: Map<String, Value>,
    pub(super) marks: Vec<Mark>,
}

impl Layer {
    /// Where this layer has a key of too many parts, if it has one.
    pub(super) fn too_deep(&self) -> Option<Origin> {
        let mark = self.marks.iter().find(|mark| mark.path.len() > KEY_DEPTH_MAX);
        mark.map(|mark| mark.origin.clone())
    }
}

impl From<Assignment> for Layer {
    fn from(assignment: Assignment) -> Layer {
        let Assignment { mut key, value, origin } = assignment;
        // One part too many is enough to be refused; thousands would cost their square.
        key.truncate(KEY_DEPTH_MAX + 1);
        let mut marks: Vec<Mark> = (1..=key.len())
            .map(|length| Mark {
                path: key[..length].to_vec(),
                origin: origin.clone(),
                is_table: length < key.len(),
            })
            .collect();
        let mut value = match value {
            Assigned::Text(text) => Value::from(text),
            Assigned::List(texts) => {
                marks.extend((0..texts.len()).map(|index| {
                    let mut path = key.clone();
                    path.push(index_part(index));
                    Mark { path, origin: origin.clone(), is_table: false }
                }));
                Value::from(texts)
            }
        };
        for name in key.iter().skip(1).rev() {
            value = Value::from(Map::from([(name.clone(), value)]));
        }
        let first = key.into_iter().next().unwrap_or_default();
        Layer { values: Map::from([(first, value)]), marks }
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(Map::from([(ROOT.to_owned(), Value::from(self.values.clone()))]))
    }
}

/// Merges the layers, of which later ones override earlier ones, into the tree as written.
///
/// # Errors
/// What the `config` crate could not merge.
pub(super) fn merge(
    layers: Vec<Layer>,
    root_origin: &Origin,
) -> Result<Node, ::config::ConfigError> {
    let mut origins = Origins::default();
    let mut builder = ::config::Config::builder();
    for layer in layers {
        origins.add(&layer.marks);
        builder = builder.add_source(layer);
    }
    let merged = builder.build()?.cache;
    let root = match merged.kind {
        ValueKind::Table(mut table) => table.remove(ROOT),
        _ => None,
    };
    Ok(match root {
        Some(value) => origins.node(value, &mut KeyPath::new(), root_origin),
        None => Node::empty_table(root_origin.clone()),
    })
}

/// Where each value of the merged tree was written.
#[derive(Default)]
struct Origins {
    by_path: HashMap<KeyPath, (Origin, bool)>,
}

impl Origins {
    /// Adds a layer above those that are there: its values replace theirs, while tables stay
    /// where they were written first.
    fn add(&mut self, marks: &[Mark]) {
        for mark in marks {
            let known = self.by_path.get(&mark.path);
            let added_to = mark.is_table && known.is_some_and(|(_, is_table)| *is_table);
            if !added_to {
                self.by_path.insert(mark.path.clone(), (mark.origin.clone(), mark.is_table));
            }
        }
    }

    fn node(&self, value: Value, path: &mut KeyPath, parent: &Origin) -> Node {
        let origin = self.by_path.get(path).map_or(parent, |(origin, _)| origin);
        let mut child = |part: String, value: Value| {
            path.push(part);
            let node = self.node(value, path, origin);
            path.pop();
            node
        };
        let value = match value.kind {
            ValueKind::Nil => RawValue::Null,
            ValueKind::Boolean(value) => RawValue::Boolean(value),
            ValueKind::I64(value) => RawValue::Integer(i128::from(value)),
            ValueKind::I128(value) => RawValue::Integer(value),
            ValueKind::U64(value) => RawValue::Integer(i128::from(value)),
            ValueKind::U128(value) => RawValue::Integer(i128::try_from(value).unwrap_or(i128::MAX)),
            ValueKind::Float(value) => RawValue::Float(value),
            ValueKind::String(value) => RawValue::Text(value),
            ValueKind::Array(values) => RawValue::List(
                values
                    .into_iter()
                    .enumerate()
                    .map(|(index, value)| child(index_part(index), value))
                    .collect(),
            ),
            ValueKind::Table(table) => RawValue::Table(
                table
                    .into_iter()
                    .map(|(name, value)| (name.clone(), child(name, value)))
                    .collect::<Table>(),
            ),
        };
        Node { value, origin: origin.clone() }
    }
}

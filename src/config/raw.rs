//! The configuration as written: one tree, merged from all layers, in which every value still
//! knows where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What was written.
    pub value: Value,
    /// Where it was written. A table that several layers add to has the origin of the first.
    pub origin: Origin,
}

/// What can be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `null` of JSON and YAML.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i128),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// A string; the only thing that the environment and flags can say.
    Text(String),
    /// Values in an order.
    List(Vec<Node>),
    /// Values with names.
    Table(Table),
}

/// Values by name, sorted by it.
pub type Table = BTreeMap<String, Node>;

/// Where a value was written.
///
/// The order is that of precedence, so that a sorted list of errors reads like the layers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nowhere: the default of the program.
    Default,
    /// In the configuration that is part of the program.
    Embedded(Place),
    /// In a file.
    File(Arc<Path>, Place),
    /// Supplied by a part of the program, which this names, such as the demo origin.
    Program(Arc<str>),
    /// In the environment, in the variable of this name.
    Environment(Arc<str>),
    /// On the command line, with the flag as it was typed.
    Flag(Arc<str>),
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The text as such.
    Whole,
    /// A line, counted from 1.
    Line(usize),
    /// A character, line and column counted from 1.
    Character {
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
}

impl Origin {
    /// Whether what is written there has no type but text, so that `"4"` may mean the number.
    pub fn is_untyped(&self) -> bool {
        matches!(self, Origin::Environment(_) | Origin::Flag(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Embedded(place) => write!(f, "embedded default{place}"),
            Origin::File(path, place) => write!(f, "{}{place}", path.display()),
            Origin::Program(part) => f.write_str(part),
            Origin::Environment(variable) => f.write_str(variable),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// As it follows the name of a file: `:LINE:COLUMN`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Whole => Ok(()),
            Place::Line(line) => write!(f, ":{line}"),
            Place::Character { line, column } => write!(f, ":{line}:{column}"),
        }
    }
}

impl Node {
    /// A table without entries.
    pub fn empty_table(origin: Origin) -> Node {
        Node { value: Value::Table(Table::new()), origin }
    }
}

/// What was found, in the words of an error: `"fast"`, `the number 5`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("nothing (null)"),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Integer(value) => write!(f, "the number {value}"),
            Value::Float(value) => write!(f, "the number {value}"),
            Value::Text(value) => write!(f, "{value:?}"),
            Value::List(_) => f.write_str("a list"),
            Value::Table(_) => f.write_str("a table"),
        }
    }
}

/// The path of `name` within `parent`, as TOML writes it: quoted unless it is a bare key.
pub fn join_key(parent: &str, name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        format!("{name:?}")
    };
    if parent.is_empty() { name } else { format!("{parent}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_quoted_where_toml_needs_it() {
        let check = |parent: &str, name: &str, expected: &str| {
            assert_eq!(join_key(parent, name), expected);
        };
        check("", "relay", "relay");
        check("relay", "pipe_size", "relay.pipe_size");
        check("listeners", "a.b", "listeners.\"a.b\"");
        check("listeners", "", "listeners.\"\"");
        check("listeners", "web-1", "listeners.web-1");
    }

    #[test]
    fn origins_read_like_a_compilers() {
        let check = |origin: Origin, expected: &str| assert_eq!(origin.to_string(), expected);
        let path: Arc<Path> = Arc::from(Path::new("a.toml"));
        check(Origin::Default, "default");
        check(Origin::Embedded(Place::Line(3)), "embedded default:3");
        check(Origin::File(path.clone(), Place::Whole), "a.toml");
        check(Origin::File(path.clone(), Place::Line(3)), "a.toml:3");
        check(Origin::File(path, Place::Character { line: 3, column: 7 }), "a.toml:3:7");
        check(Origin::Environment("SPLICEWAY__A".into()), "SPLICEWAY__A");
        check(Origin::Flag("--relay".into()), "--relay");
    }
}

//! Which line each value of a text stands on. The `config` crate does not say, so the text is
//! parsed once more by a parser that does.

use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, YamlData};
use toml_edit::{Document, Item, TableLike, Value};

use super::layer::{KeyPath, Mark, index_part};
use crate::config::raw::{Origin, Place};

/// Where a text breaks the rules of its format.
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) place: Place,
}

/// The line of one value: that of its key, or its own in a list.
pub(super) struct Line {
    path: KeyPath,
    line: usize,
    is_table: bool,
}

impl Line {
    pub(super) fn into_mark(self, origin: &dyn Fn(Place) -> Origin) -> Mark {
        let origin = origin(Place::Line(self.line));
        Mark { path: self.path, origin, is_table: self.is_table }
    }
}

/// The lines of all values of a TOML text.
pub(super) fn of_toml(text: &str) -> Result<Vec<Line>, SyntaxError> {
    let starts = LineStarts::of(text);
    let document = Document::parse(text).map_err(|error| SyntaxError {
        message: error.message().to_owned(),
        place: error.span().map_or(Place::Whole, |span| starts.character(text, span.start)),
    })?;
    let mut lines = Vec::new();
    let mut walk = TomlWalk { starts: &starts, path: KeyPath::new(), lines: &mut lines };
    walk.table(document.as_table());
    Ok(lines)
}

/// Where the lines of a text begin, in bytes.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn of(text: &str) -> LineStarts {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        LineStarts(std::iter::once(0).chain(after_newlines).collect())
    }

    /// The line, counted from 1, of the byte at `offset`.
    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }

    fn character(&self, text: &str, offset: usize) -> Place {
        let line = self.line(offset);
        let before = text.get(self.0[line - 1]..offset).unwrap_or_default();
        Place::Character { line, column: before.chars().count() + 1 }
    }
}

struct TomlWalk<'w> {
    starts: &'w LineStarts,
    path: KeyPath,
    lines: &'w mut Vec<Line>,
}

impl TomlWalk<'_> {
    fn table(&mut self, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            let span = table.get_key_value(name).and_then(|(key, _)| key.span());
            self.within(name.to_owned(), span, item.is_table_like(), |walk| walk.item(item));
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::None => {}
            Item::Value(value) => self.value(value),
            Item::Table(table) => self.table(table),
            Item::ArrayOfTables(tables) => {
                for (index, table) in tables.iter().enumerate() {
                    let part = index_part(index);
                    self.within(part, table.span(), true, |walk| walk.table(table));
                }
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    let is_table = value.is_inline_table();
                    let part = index_part(index);
                    self.within(part, value.span(), is_table, |walk| walk.value(value));
                }
            }
            Value::InlineTable(table) => self.table(table),
            _ => {}
        }
    }

    /// Notes the value at `part`, and then what is within it.
    fn within(
        &mut self,
        part: String,
        span: Option<std::ops::Range<usize>>,
        is_table: bool,
        inside: impl FnOnce(&mut Self),
    ) {
        self.path.push(part);
        if let Some(span) = span {
            let line = self.starts.line(span.start);
            self.lines.push(Line { path: self.path.clone(), line, is_table });
        }
        inside(self);
        self.path.pop();
    }
}

/// Where blocks of YAML may begin at most, in characters from the left. Parsers of YAML descend
/// once for each block, without a limit of their own, so this is what bounds their stack.
const INDENTATION_MAX: usize = 128;

/// The lines of all values of a YAML text.
pub(super) fn of_yaml(text: &str) -> Result<Vec<Line>, SyntaxError> {
    // Every block within a block begins further right, after nothing but these.
    let indentation = |line: &str| line.find(|c| !" \t-?:".contains(c)).unwrap_or(line.len());
    if let Some(index) = text.lines().position(|line| indentation(line) > INDENTATION_MAX) {
        return Err(SyntaxError {
            message: "it is nested too deeply".to_owned(),
            place: Place::Character { line: index + 1, column: INDENTATION_MAX + 1 },
        });
    }
    let documents = MarkedYaml::load_from_str(text).map_err(|error| SyntaxError {
        message: error.info().to_owned(),
        place: character(error.marker()),
    })?;
    let mut lines = Vec::new();
    match documents.as_slice() {
        [] => {}
        [document] => walk_yaml(document, &mut KeyPath::new(), &mut lines),
        [_, second, ..] => {
            return Err(SyntaxError {
                message: "there is more than one document in it".to_owned(),
                place: character(&second.span.start),
            });
        }
    }
    Ok(lines)
}

/// Lines of saphyr count from 1, columns from 0.
fn character(marker: &Marker) -> Place {
    Place::Character { line: marker.line(), column: marker.col() + 1 }
}

fn walk_yaml(node: &MarkedYaml<'_>, path: &mut KeyPath, lines: &mut Vec<Line>) {
    let mut within = |part: String, at: &MarkedYaml<'_>, value: &MarkedYaml<'_>| {
        path.push(part);
        let (line, is_table) = (at.span.start.line(), value.data.is_mapping());
        lines.push(Line { path: path.clone(), line, is_table });
        walk_yaml(value, path, lines);
        path.pop();
    };
    match &node.data {
        YamlData::Mapping(entries) => {
            for (key, value) in entries {
                if let Some(name) = yaml_key(key) {
                    within(name, key, value);
                }
            }
        }
        YamlData::Sequence(values) => {
            for (index, value) in values.iter().enumerate() {
                within(index_part(index), value, value);
            }
        }
        YamlData::Tagged(_, node) => walk_yaml(node, path, lines),
        _ => {}
    }
}

/// A key as the `config` crate names it.
fn yaml_key(key: &MarkedYaml<'_>) -> Option<String> {
    match &key.data {
        YamlData::Value(Scalar::String(text)) => Some(text.to_string()),
        YamlData::Value(Scalar::Integer(number)) => Some(number.to_string()),
        YamlData::Value(Scalar::Boolean(value)) => Some(value.to_string()),
        _ => None,
    }
}

/// The lines of all values of a JSON text. Its rules are checked as those of JSON; its lines
/// come from the YAML parser, for what is JSON is YAML as well (YAML 1.2, section 1.3).
pub(super) fn of_json(text: &str) -> Result<Vec<Line>, SyntaxError> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| {
        let place = Place::Character { line: error.line(), column: error.column() };
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head);
        SyntaxError { message: message.to_owned(), place }
    })?;
    of_yaml(text)
}

//! `request_headers`, `response_headers` and other tables of headers.

use super::http_kinds::{EditableName, HeaderText};
use super::reader::{Report, Section};
use crate::http::edits::{FieldTemplate, HeaderEdits};
use crate::http::field::FieldName;

/// Reads the table at `name`: what is set, added and removed.
pub(super) fn read_edits(
    parent: &mut Section<'_>,
    name: &'static str,
    report: &mut Report,
) -> HeaderEdits {
    let mut section = parent.section(report, name);
    let set = read_fields(section.section(report, "set"), report);
    let add = read_fields(section.section(report, "add"), report);
    let expected = "a list of header names, such as [\"X-Debug\"]";
    let remove = section.values(report, "remove", &EditableName, expected);
    let remove = remove.into_iter().map(|name| name.value).collect();
    let edits = HeaderEdits::new(set, add, remove).unwrap_or_else(|problem| {
        report.error(section.key(), section.origin(), problem, "");
        HeaderEdits::default()
    });
    section.finish(report);
    edits
}

/// Reads headers by their names.
pub(super) fn read_fields(section: Section<'_>, report: &mut Report) -> Vec<FieldTemplate> {
    let entries = section.into_entries(report, FieldName::editable, &HeaderText);
    let fields = entries.into_iter();
    fields.map(|(name, value)| FieldTemplate { name, value: value.value.value }).collect()
}

//! `files` of a route as written -> [`Files`], and `error_pages` of a listener.

use std::path::PathBuf;

use super::files::{AnswerHeaders, ErrorPage, ErrorStatus, Files, Transfer};
use super::kinds::{Choice, Kind, Mismatch, Switch, text};
use super::raw::Node;
use super::reader::{Fallback, Report, Section};
use super::tls_kinds::FilePath;
use crate::http::content_coding::ContentCoding;
use crate::http::edits::HeaderEdits;
use crate::http::prefix::PathEdit;

const TRANSFER: Choice<Transfer> = Choice(&[
    ("sendfile", Transfer::Sendfile),
    ("splice", Transfer::Splice),
    ("mmap", Transfer::Mmap),
    ("copy", Transfer::Copy),
]);

const CODING: Choice<ContentCoding> = Choice(&[
    ("br", ContentCoding::Brotli),
    ("zstd", ContentCoding::Zstandard),
    ("gzip", ContentCoding::Gzip),
]);

const INDEX_DEFAULT: &str = "index.html";

/// A directory that exists, which the program finds out when it reads it.
struct DirectoryPath;

impl Kind for DirectoryPath {
    type Value = PathBuf;

    fn read(&self, node: &Node) -> Result<PathBuf, Mismatch> {
        let expected = "the path of a directory, such as \"/srv/www\"";
        let path = text(node, expected)?;
        let plain = match path.trim_end_matches('/') {
            "" if path.is_empty() => return Err(Mismatch::found(&node.value, "", expected)),
            "" => return Ok("/".into()),
            plain => plain,
        };
        let value = super::raw::Value::Text(plain.to_owned());
        let plain = Node { value, origin: node.origin.clone() };
        FilePath.read(&plain).map_err(|_| Mismatch::found(&node.value, "", expected))
    }

    fn show(&self, path: &PathBuf) -> String {
        path.display().to_string()
    }
}

/// The name of a file, or its path below the root.
struct BelowRoot {
    may_have_slashes: bool,
}

impl Kind for BelowRoot {
    type Value = Box<str>;

    fn read(&self, node: &Node) -> Result<Box<str>, Mismatch> {
        let expected = match self.may_have_slashes {
            true => "the path of a file below the root, such as \"/index.html\"",
            false => "the name of a file, such as \"index.html\"",
        };
        let written = text(node, expected)?;
        let name = written.strip_prefix('/').filter(|_| self.may_have_slashes).unwrap_or(written);
        let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
        let fits = name.split('/').all(is_segment) && !name.contains('\0');
        if fits && (self.may_have_slashes || !name.contains('/')) {
            return Ok(name.into());
        }
        Err(Mismatch::found(&node.value, "", expected))
    }

    fn show(&self, name: &Box<str>) -> String {
        name.to_string()
    }
}

/// Reads the table. `None` only if something was reported.
pub(super) fn read(
    mut section: Section<'_>,
    report: &mut Report,
    path: PathEdit,
    response_headers: &HeaderEdits,
) -> Option<Files> {
    let root = section.require(report, "root", &DirectoryPath, "the directory to serve");
    let index = Fallback::Default(INDEX_DEFAULT.into());
    let index = section.read(report, "index", &BelowRoot { may_have_slashes: false }, index).value;
    let fallback = section.optional(report, "fallback", &BelowRoot { may_have_slashes: true });
    let listing = section.read(report, "listing", &Switch, Fallback::Default(false)).value;
    let hidden = section.read(report, "hidden", &Switch, Fallback::Default(false)).value;
    let transfer = Fallback::Default(Transfer::default());
    let transfer = section.read(report, "transfer", &TRANSFER, transfer).value;
    let expected = "a list of codings, such as [\"br\", \"gzip\"]";
    let mut precompressed = Vec::new();
    for coding in section.values(report, "precompressed", &CODING, expected) {
        if precompressed.contains(&coding.value) {
            report.error(&coding.key, &coding.origin, "it stands there twice", "each of them once");
        } else {
            precompressed.push(coding.value);
        }
    }
    section.finish(report);
    Some(Files {
        root: root?.value,
        index,
        fallback: fallback.map(|it| it.value),
        listing,
        hidden,
        transfer,
        precompressed,
        path,
        headers: AnswerHeaders::new(response_headers),
    })
}

/// Reads `error_pages`: files by status, single ones before those for a class.
pub(super) fn read_error_pages(listener: &mut Section<'_>, report: &mut Report) -> Vec<ErrorPage> {
    let section = listener.section(report, "error_pages");
    let entries = section.into_entries(report, ErrorStatus::parse, &FilePath).into_iter();
    let mut pages: Vec<ErrorPage> =
        entries.map(|(status, path)| ErrorPage { status, path: path.value }).collect();
    pages.sort_by_key(|page| page.status);
    pages
}

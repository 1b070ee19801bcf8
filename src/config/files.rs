//! `files` of a route: a directory that is served.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::http::content_coding::ContentCoding;
use crate::http::edits::{FieldTemplate, HeaderEdits};
use crate::http::prefix::PathEdit;

/// How the bytes of a file get to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transfer {
    /// From the page cache to the socket, by `sendfile(2)`: one system call, and no copy where the
    /// network card gathers.
    #[default]
    Sendfile,
    /// The same by way of a pipe, by `splice(2)`: two system calls.
    Splice,
    /// Mapped, and written from there: one copy, by the kernel.
    Mmap,
    /// Read into a buffer and written from there: two copies.
    Copy,
}

impl Transfer {
    /// As written in the config.
    pub fn label(self) -> &'static str {
        match self {
            Transfer::Sendfile => "sendfile",
            Transfer::Splice => "splice",
            Transfer::Mmap => "mmap",
            Transfer::Copy => "copy",
        }
    }
}

/// Directories that a worker holds open at once; past that the oldest one goes.
pub const OPEN_ROOTS_MAX: usize = 64;

/// `files`: which directory is served, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `root`
    pub root: PathBuf,
    /// `index`: the file that stands for its directory.
    pub index: Box<str>,
    /// `fallback`: the file below the root that stands for all that is not there, with status 200.
    pub fallback: Option<Box<str>>,
    /// `listing`: directories without an index are shown.
    pub listing: bool,
    /// `hidden`: files and directories are served whose names begin with a dot.
    pub hidden: bool,
    /// `transfer`
    pub transfer: Transfer,
    /// `precompressed`: in which codings files may lie beside themselves, the best first.
    pub precompressed: Vec<ContentCoding>,
    /// `strip_prefix` and `replace_prefix` of the route.
    pub path: PathEdit,
    /// `response_headers`, as answers of the route have them that are no file.
    pub headers: AnswerHeaders,
}

/// What `response_headers` set and add for answers of a route that are no file: a listing, a
/// redirect, an error. Fields that describe a file are not among them, nor those that such an
/// answer has of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerHeaders {
    /// Those that any such answer has, then those that an error does not have.
    fields: Box<[FieldTemplate]>,
    /// How many there are of the former.
    common: usize,
}

/// Fields that describe a file, or that an answer has of its own.
const OF_OTHERS: [&str; 10] = [
    "accept-ranges",
    "allow",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
    "location",
];

/// Fields that say for how long an answer may be kept: an error is no more than of the moment.
const OF_CACHES: [&str; 3] = ["cache-control", "cdn-cache-control", "expires"];

impl AnswerHeaders {
    /// Those of `edits`.
    pub fn new(edits: &HeaderEdits) -> AnswerHeaders {
        let is_among = |names: &[&str], field: &FieldTemplate| {
            names.iter().any(|name| field.name.matches(name.as_bytes()))
        };
        let fields = edits.lines().filter(|field| !is_among(&OF_OTHERS, field)).cloned();
        let (of_caches, common): (Vec<_>, Vec<_>) =
            fields.partition(|field| is_among(&OF_CACHES, field));
        let count = common.len();
        AnswerHeaders { fields: [common, of_caches].concat().into(), common: count }
    }

    /// Those of an answer with this status.
    pub fn of(&self, status: u16) -> &[FieldTemplate] {
        if status < 400 { &self.fields } else { &self.fields[..self.common] }
    }
}

impl Files {
    /// A directory with the defaults.
    pub fn of_root(root: impl AsRef<Path>) -> Files {
        Files {
            root: root.as_ref().to_owned(),
            index: "index.html".into(),
            fallback: None,
            listing: false,
            hidden: false,
            transfer: Transfer::default(),
            precompressed: Vec::new(),
            path: PathEdit::Keep,
            headers: AnswerHeaders::default(),
        }
    }
}

/// Which statuses an error page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorStatus {
    /// This one: `"404"`.
    One(u16),
    /// All of a class: `"5xx"`.
    Class(u16),
}

impl ErrorStatus {
    /// Reads it as it is written.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<ErrorStatus, String> {
        match text {
            "4xx" => return Ok(ErrorStatus::Class(4)),
            "5xx" => return Ok(ErrorStatus::Class(5)),
            _ => {}
        }
        let status = text.parse().ok().filter(|status| (400..=599).contains(status));
        status.map(ErrorStatus::One).ok_or_else(|| {
            "expected a status from 400 to 599, or \"4xx\" or \"5xx\" for all of a class".to_owned()
        })
    }

    /// Whether it is for this status.
    pub fn covers(self, status: u16) -> bool {
        match self {
            ErrorStatus::One(one) => status == one,
            ErrorStatus::Class(class) => status / 100 == class,
        }
    }
}

impl fmt::Display for ErrorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorStatus::One(status) => write!(f, "{status}"),
            ErrorStatus::Class(class) => write!(f, "{class}xx"),
        }
    }
}

/// One of `error_pages`: what clients get in place of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// For which statuses. A single one stands before its class.
    pub status: ErrorStatus,
    /// The file.
    pub path: PathBuf,
}

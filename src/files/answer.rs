//! What a client gets of a file: all of it, parts, or the word that it has it already.

use super::FileStatus;
use crate::http::conditional::{Validators, Verdict, evaluate, only};
use crate::http::entity_tag::EntityTag;
use crate::http::file_answer::Part;
use crate::http::range::{ByteRange, Selection, select};
use crate::http::request::RequestHead;

/// What is sent of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Status 200.
    Whole,
    /// Status 206 with one part.
    One(ByteRange),
    /// Status 206 with several parts.
    Many(Vec<ByteRange>),
    /// Status 304, 412 or 416: nothing of it.
    Nothing(u16),
}

impl Reply {
    /// What the answer to a `GET` or `HEAD` for a file is.
    pub fn to(request: &RequestHead, status: &FileStatus, tag: &EntityTag) -> Reply {
        let validators = Validators { tag, modified: status.modified };
        match evaluate(request, validators) {
            Verdict::NotModified => Reply::Nothing(304),
            Verdict::Failed => Reply::Nothing(412),
            Verdict::Proceed { may_select: false } => Reply::Whole,
            Verdict::Proceed { may_select: true } => match only(request, "range") {
                None => Reply::Whole,
                Some(range) => match select(range, status.size) {
                    Selection::Whole => Reply::Whole,
                    Selection::One(range) => Reply::One(range),
                    Selection::Many(ranges) => Reply::Many(ranges),
                    Selection::Unsatisfiable => Reply::Nothing(416),
                },
            },
        }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        match self {
            Reply::Whole => 200,
            Reply::One(_) | Reply::Many(_) => 206,
            Reply::Nothing(status) => *status,
        }
    }

    /// What the head says of the part.
    pub fn part(&self, size: u64) -> Part {
        match self {
            Reply::One(range) => Part::Of(*range, size),
            Reply::Nothing(416) => Part::NoneOf(size),
            Reply::Whole | Reply::Many(_) | Reply::Nothing(_) => Part::All,
        }
    }
}

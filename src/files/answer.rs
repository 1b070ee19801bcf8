//! What a client gets of a file: all of it, parts, or the word that it has it already.

use crate::http::conditional::{Validators, Verdict, evaluate, only};
use crate::http::field::Known;
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
    /// Status 304: the client has it.
    NotModified,
    /// Status 412: it is another one than the client wants.
    PreconditionFailed,
    /// Status 416: it has none of the bytes that were asked for.
    NothingInRange,
}

impl Reply {
    /// What the answer to a `GET` or `HEAD` for a file of so many bytes is.
    pub fn to(request: &RequestHead, size: u64, validators: &Validators) -> Reply {
        match evaluate(request, validators) {
            Verdict::NotModified => Reply::NotModified,
            Verdict::Failed => Reply::PreconditionFailed,
            Verdict::Proceed { may_select: false } => Reply::Whole,
            Verdict::Proceed { may_select: true } => match only(request, Known::Range) {
                None => Reply::Whole,
                Some(range) => match select(range, size) {
                    Selection::Whole => Reply::Whole,
                    Selection::One(range) => Reply::One(range),
                    Selection::Many(ranges) => Reply::Many(ranges),
                    Selection::Unsatisfiable => Reply::NothingInRange,
                },
            },
        }
    }
}

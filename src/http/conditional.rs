//! Conditions of a request: whether what the client has is still good (RFC 9110, section 13).

use super::date::HttpDate;
use super::entity_tag::EntityTag;
use super::field::Known;
use super::method::Method;
use super::request::RequestHead;

/// By what a version of a file is known.
#[derive(Debug, Clone, Copy)]
pub struct Validators {
    /// Its entity tag.
    pub tag: EntityTag,
    /// When it was modified, in seconds since the beginning of 1970.
    pub modified: u64,
    /// No other version can have been modified in that same second: the date stands for this one
    /// (RFC 9110, section 8.8.2.2).
    pub is_settled: bool,
    /// What time it is.
    pub now: u64,
}

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are met, or there are none.
    Proceed {
        /// `Range` counts: nothing of what the client has is another version.
        may_select: bool,
    },
    /// The client has it: status 304.
    NotModified,
    /// They are not met: status 412.
    Failed,
}

/// What the conditions of a request for what has these validators come to, in the order of RFC
/// 9110, section 13.2.2.
pub fn evaluate(request: &RequestHead, validators: &Validators) -> Verdict {
    let Validators { tag, modified, is_settled, now } = validators;
    let is_in = |known: Known, matches: fn(&EntityTag, &[u8]) -> bool| {
        let mut is_there = false;
        let found = request.values(known).any(|list| {
            is_there = true;
            matches(tag, list)
        });
        is_there.then_some(found)
    };
    let date = |known: Known| only(request, known).and_then(|value| HttpDate::parse(value, *now));
    match is_in(Known::IfMatch, EntityTag::is_in) {
        Some(false) => return Verdict::Failed,
        Some(true) => {}
        None if date(Known::IfUnmodifiedSince).is_some_and(|since| *modified > since) => {
            return Verdict::Failed;
        }
        None => {}
    }
    let reads = matches!(request.method(), Method::Get | Method::Head);
    match is_in(Known::IfNoneMatch, EntityTag::is_weakly_in) {
        Some(true) if reads => return Verdict::NotModified,
        Some(true) => return Verdict::Failed,
        Some(false) => {}
        // What the client has may be of the same second.
        None if reads
            && *is_settled
            && date(Known::IfModifiedSince).is_some_and(|since| *modified <= since) =>
        {
            return Verdict::NotModified;
        }
        None => {}
    }
    let may_select = request.method() == Method::Get && is_same_version(request, validators);
    Verdict::Proceed { may_select }
}

/// What `If-Range` says (RFC 9110, section 13.1.5): an exact match of what stands for one version
/// alone, or nothing.
fn is_same_version(request: &RequestHead, validators: &Validators) -> bool {
    let Validators { tag, modified, is_settled, now } = validators;
    let mut values = request.values(Known::IfRange);
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) if value.starts_with(b"\"") => tag.is(value),
        (Some(value), None) => *is_settled && HttpDate::parse(value, *now) == Some(*modified),
        (Some(_), Some(_)) => false,
    }
}

/// The value of a field that makes sense only once.
pub fn only(request: &RequestHead, known: Known) -> Option<&[u8]> {
    let mut values = request.values(known);
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::super::samples::request;
    use super::*;

    const MODIFIED: u64 = 784_111_777;
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const TAG: &str = "\"1.0-2-3\"";

    const WHOLE: Verdict = Verdict::Proceed { may_select: false };
    const ANY: Verdict = Verdict::Proceed { may_select: true };

    fn verdict(method: &str, fields: &[&str]) -> Verdict {
        verdict_if(true, method, fields)
    }

    fn verdict_if(is_settled: bool, method: &str, fields: &[&str]) -> Verdict {
        let start = format!("{method} / HTTP/1.1");
        let fields: Vec<String> = fields
            .iter()
            .map(|field| {
                field
                    .replace("TAG", TAG)
                    .replace("THEN", THEN)
                    .replace("BEFORE", BEFORE)
                    .replace("AFTER", AFTER)
            })
            .collect();
        let mut all = vec![start.as_str(), "Host: a"];
        all.extend(fields.iter().map(String::as_str));
        let strong = EntityTag::of_file(1, 0, 2, 3);
        let tag = if is_settled { strong } else { strong.weak() };
        let now = MODIFIED + 60;
        evaluate(&request(&all), &Validators { tag, modified: MODIFIED, is_settled, now })
    }

    #[test]
    fn conditions_are_judged_in_their_order() {
        let check = |fields: &[&str], expected: Verdict| {
            assert_eq!(verdict("GET", fields), expected, "{fields:?}");
            let of_head = if expected == ANY { WHOLE } else { expected };
            assert_eq!(verdict("HEAD", fields), of_head, "HEAD {fields:?}");
        };
        check(&[], ANY);
        check(&["If-None-Match: TAG"], Verdict::NotModified);
        check(&["If-None-Match: W/TAG"], Verdict::NotModified);
        check(&["If-None-Match: *"], Verdict::NotModified);
        check(&["If-None-Match: \"x\"", "if-none-match: \"y\", TAG"], Verdict::NotModified);
        check(&["If-None-Match: \"x\""], ANY);
        check(&["If-None-Match: \"x\"", "If-Modified-Since: AFTER"], ANY);
        check(&["If-Modified-Since: THEN"], Verdict::NotModified);
        check(&["If-Modified-Since: AFTER"], Verdict::NotModified);
        check(&["If-Modified-Since: BEFORE"], ANY);
        check(&["If-Modified-Since: yesterday"], ANY);
        check(&["If-Match: TAG"], ANY);
        check(&["If-Match: *"], ANY);
        check(&["If-Match: W/TAG"], Verdict::Failed);
        check(&["If-Match: \"x\""], Verdict::Failed);
        check(&["If-Match: TAG", "If-None-Match: TAG"], Verdict::NotModified);
        check(&["If-Match: TAG", "If-Unmodified-Since: BEFORE"], ANY);
        check(&["If-Unmodified-Since: THEN"], ANY);
        check(&["If-Unmodified-Since: BEFORE"], Verdict::Failed);
        check(&["If-Unmodified-Since: never"], ANY);
    }

    #[test]
    fn a_range_of_another_version_is_not_sent() {
        let check = |fields: &[&str], expected: Verdict| {
            assert_eq!(verdict("GET", fields), expected, "{fields:?}");
        };
        check(&["If-Range: TAG"], ANY);
        check(&["If-Range: THEN"], ANY);
        check(&["If-Range: W/TAG"], WHOLE);
        check(&["If-Range: \"x\""], WHOLE);
        check(&["If-Range: BEFORE"], WHOLE);
        check(&["If-Range: AFTER"], WHOLE);
        check(&["If-Range: x"], WHOLE);
        check(&["If-Range: TAG", "If-Range: TAG"], WHOLE);
    }

    /// Neither its date nor its tag says which version it is, and nobody is told that it is the one
    /// that he has, or gets a part of it for his own.
    #[test]
    fn what_was_modified_just_now_may_be_so_again() {
        let check = |fields: &[&str], expected: Verdict| {
            assert_eq!(verdict_if(false, "GET", fields), expected, "{fields:?}");
        };
        check(&[], ANY);
        check(&["If-Range: THEN"], WHOLE);
        check(&["If-Range: TAG"], WHOLE);
        check(&["If-Range: W/TAG"], WHOLE);
        check(&["If-Match: TAG"], Verdict::Failed);
        check(&["If-Match: *"], ANY);
        check(&["If-None-Match: W/TAG"], Verdict::NotModified);
        check(&["If-Modified-Since: AFTER"], ANY);
        check(&["If-Unmodified-Since: THEN"], ANY);
        check(&["If-Unmodified-Since: BEFORE"], Verdict::Failed);
    }

    #[test]
    fn what_is_not_read_fails_instead() {
        assert_eq!(verdict("POST", &["If-None-Match: TAG"]), Verdict::Failed);
        assert_eq!(verdict("POST", &["If-Modified-Since: AFTER"]), WHOLE);
    }
}

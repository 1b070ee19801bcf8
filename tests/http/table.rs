//! The table of smuggled requests, against the parser alone.

use spliceway::http::chunk::{ChunkProgress, ChunkScanner};
use spliceway::http::framing::BodyLength;
use spliceway::http::head::Parsed;
use spliceway::http::limits::{ChunkLimits, HeadLimits};
use spliceway::http::reject::Rejection;
use spliceway::http::request::RequestHead;

use crate::smuggling::{CASES, SMUGGLED, UNFINISHED, Verdict};

/// What came of one request, in words that can be compared with a [`Verdict`].
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Refused(u16, &'static str),
    RefusedInBody(u16, &'static str),
    Passes { body: String, rest: String },
}

/// Takes in the bytes in two pieces, the first of them `split` long.
fn judge(bytes: &[u8], split: usize) -> Found {
    let limits = HeadLimits::default();
    let mut head = RequestHead::default();
    let mut parsed = head.parse(&bytes[..split], &limits);
    if parsed == Parsed::Partial {
        parsed = head.parse(bytes, &limits);
    }
    match parsed {
        Parsed::Partial => Found::Passes { body: UNFINISHED.to_owned(), rest: String::new() },
        Parsed::Rejected(Rejection { status, reason }) => Found::Refused(status, reason.label()),
        Parsed::Complete { length } => judge_body(head.body(), &bytes[length..], split),
    }
}

fn judge_body(body: BodyLength, bytes: &[u8], split: usize) -> Found {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match body {
        BodyLength::None => Found::Passes { body: String::new(), rest: text(bytes) },
        BodyLength::Length(length) => {
            let (body, rest) = bytes.split_at(usize::try_from(length).unwrap());
            Found::Passes { body: text(body), rest: text(rest) }
        }
        BodyLength::Chunked => {
            let mut scanner = ChunkScanner::default();
            let (mut data, mut consumed) = (Vec::new(), 0);
            let (first, second) = bytes.split_at(split.min(bytes.len()));
            for piece in [first, second] {
                let keep = |part: &[u8]| data.extend_from_slice(part);
                match scanner.scan_data(piece, &ChunkLimits::default(), keep) {
                    Ok(scanned) => consumed += scanned.consumed,
                    Err(reason) => {
                        let Rejection { status, reason } = Rejection::of_request(reason);
                        return Found::RefusedInBody(status, reason.label());
                    }
                }
            }
            match scanner.progress() {
                ChunkProgress::End => {
                    Found::Passes { body: text(&data), rest: text(&bytes[consumed..]) }
                }
                _ => Found::Passes { body: UNFINISHED.to_owned(), rest: String::new() },
            }
        }
        BodyLength::UntilEnd => panic!("a request cannot end with its connection"),
    }
}

#[test]
fn each_case_has_its_verdict_at_every_split() {
    for case in CASES {
        let expected = match case.verdict {
            Verdict::Refused { status, reason } => Found::Refused(status, reason),
            Verdict::RefusedInBody { status, reason } => Found::RefusedInBody(status, reason),
            Verdict::Passes { body, rest } => {
                Found::Passes { body: body.to_owned(), rest: rest.to_owned() }
            }
        };
        for split in 0..=case.bytes.len() {
            assert_eq!(judge(case.bytes, split), expected, "{}, split at {split}", case.name);
        }
    }
}

#[test]
fn the_table_is_in_order() {
    for (index, case) in CASES.iter().enumerate() {
        let others = CASES[index + 1..].iter().filter(|other| other.name == case.name);
        assert_eq!(others.count(), 0, "two cases are called {}", case.name);
        if let Verdict::Passes { body, rest } = case.verdict {
            let ends_with = |end: &str| case.bytes.ends_with(end.as_bytes());
            assert!(ends_with(rest), "{}", case.name);
            assert!(body == UNFINISHED || body.len() <= case.bytes.len(), "{}", case.name);
        }
    }
    let is_smuggling = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(SMUGGLED);
    assert!(CASES.iter().filter(|case| is_smuggling(case.bytes)).count() > 50);
}

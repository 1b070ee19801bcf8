//! Which bytes of a representation a client asks for (RFC 9110, section 14).
//!
//! `Range` is a wish: whatever is strange about one is answered with the whole. That is so for a
//! unit or a syntax that nobody knows, for ranges that run backwards, that overlap, or of which
//! there are more than [`RANGES_MAX`]. Only where nothing of what was asked for exists is the
//! answer that it does not.

use super::field::trim;

/// More ranges in one request are answered with the whole. Browsers and readers of documents ask
/// for a handful; thousands are an attack.
pub const RANGES_MAX: usize = 32;

/// Some of the bytes of a representation; never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// Past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// How many bytes there are.
    pub fn length(self) -> u64 {
        self.end - self.start
    }
}

/// What of a representation is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it.
    Whole,
    /// One part: status 206 with `Content-Range`.
    One(ByteRange),
    /// Several parts, in the order in which they were asked for, none of which overlap: status 206
    /// with `multipart/byteranges`.
    Many(Vec<ByteRange>),
    /// Nothing of what was asked for is there: status 416.
    Unsatisfiable,
}

/// What the value of `Range` selects of a representation of `size` bytes.
pub fn select(value: &[u8], size: u64) -> Selection {
    let Some(set) = set_of_bytes(value) else { return Selection::Whole };
    let mut ranges = Vec::new();
    let mut members = 0;
    for member in set.split(|byte| *byte == b',').map(trim).filter(|it| !it.is_empty()) {
        members += 1;
        match parse(member, size) {
            _ if members > RANGES_MAX => return Selection::Whole,
            None => return Selection::Whole,
            Some(Wanted::Nothing) => {}
            Some(Wanted::All) => return Selection::Whole,
            Some(Wanted::Part(range)) => ranges.push(range),
        }
    }
    match ranges[..] {
        _ if members == 0 => Selection::Whole,
        [] => Selection::Unsatisfiable,
        [range] => Selection::One(range),
        _ if overlap(&ranges) => Selection::Whole,
        _ => Selection::Many(ranges),
    }
}

/// What is asked for, if it is in bytes.
fn set_of_bytes(value: &[u8]) -> Option<&[u8]> {
    let equals = value.iter().position(|byte| *byte == b'=')?;
    trim(&value[..equals]).eq_ignore_ascii_case(b"bytes").then(|| &value[equals + 1..])
}

/// What one member asks for.
enum Wanted {
    Part(ByteRange),
    /// The end of a representation that is empty.
    All,
    /// What lies behind the end.
    Nothing,
}

/// `None` for what is no range.
fn parse(member: &[u8], size: u64) -> Option<Wanted> {
    let dash = member.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&member[..dash], &member[dash + 1..]);
    let part = |start: u64, end: u64| match start < end {
        true => Wanted::Part(ByteRange { start, end }),
        false => Wanted::Nothing,
    };
    match (first, last) {
        ([], []) => None,
        ([], suffix) => match number(suffix)? {
            0 => Some(Wanted::Nothing),
            _ if size == 0 => Some(Wanted::All),
            length => Some(part(size.saturating_sub(length), size)),
        },
        (first, []) => Some(part(number(first)?, size)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| part(first, last.saturating_add(1).min(size)))
        }
    }
}

/// A number of decimal digits; one that no file is as long as is as good as any other.
fn number(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, digit: &u8| {
        digit
            .is_ascii_digit()
            .then(|| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    };
    digits.iter().try_fold(0, add)
}

fn overlap(ranges: &[ByteRange]) -> bool {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    sorted.windows(2).any(|pair| pair[1].start < pair[0].end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(parts: &[(u64, u64)]) -> Vec<ByteRange> {
        parts.iter().map(|(start, end)| ByteRange { start: *start, end: *end }).collect()
    }

    /// The examples of RFC 9110, section 14.1.2, and what stands around them.
    #[test]
    fn ranges_select() {
        let check = |value: &str, expected: Selection| {
            assert_eq!(select(value.as_bytes(), 10_000), expected, "{value}");
        };
        let one = |start, end| Selection::One(ByteRange { start, end });
        let many = |parts: &[(u64, u64)]| Selection::Many(ranges(parts));
        check("bytes=0-499", one(0, 500));
        check("bytes=500-999", one(500, 1000));
        check("bytes=-500", one(9500, 10_000));
        check("bytes=9500-", one(9500, 10_000));
        check("Bytes = 0-0", one(0, 1));
        check("bytes=0-", one(0, 10_000));
        check("bytes=0-99999999999999999999999", one(0, 10_000));
        check("bytes=-99999999999999999999999", one(0, 10_000));
        check("bytes=9999-9999", one(9999, 10_000));
        check("bytes=0-0,-1", many(&[(0, 1), (9999, 10_000)]));
        check("bytes= 0-999, 4500-5499, -1000", many(&[(0, 1000), (4500, 5500), (9000, 10_000)]));
        check("bytes=500-600,601-999", many(&[(500, 601), (601, 1000)]));
        check("bytes=601-999, ,500-600", many(&[(601, 1000), (500, 601)]));
        check("bytes=0-0,20000-", one(0, 1));
    }

    #[test]
    fn what_does_not_exist_is_said() {
        for value in ["bytes=10000-", "bytes=10000-20000", "bytes=-0", "bytes=10001-,-0"] {
            assert_eq!(select(value.as_bytes(), 10_000), Selection::Unsatisfiable, "{value}");
        }
        assert_eq!(select(b"bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(select(b"bytes=-1", 0), Selection::Whole);
    }

    #[test]
    fn what_is_strange_gets_the_whole() {
        let thousands = format!("bytes={}", "0-0,".repeat(5000));
        let apart: Vec<String> = (0..33).map(|index| format!("{0}-{0}", index * 2)).collect();
        let apart = format!("bytes={}", apart.join(","));
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=0",
            "bytes=0-1-2",
            "bytes=1-0",
            "bytes=0-1,1-0",
            "bytes=+1-2",
            "bytes=0 - 1",
            "lines=0-1",
            "bytes=0-10,5-20",
            "bytes=0-,0-",
            "bytes=5-9,0-5",
            &thousands,
            &apart,
        ] {
            assert_eq!(select(value.as_bytes(), 10_000), Selection::Whole, "{value:.40}");
        }
    }

    proptest::proptest! {
        /// Whatever is asked for, what is sent lies within the file, does not overlap, and is in
        /// sum no more than the file.
        #[test]
        fn nothing_lies_outside(value in "bytes=([0-9]{0,5}-[0-9]{0,5},? ?){0,40}", size in 0u64..20_000) {
            let parts = match select(value.as_bytes(), size) {
                Selection::One(range) => vec![range],
                Selection::Many(ranges) => ranges,
                Selection::Whole | Selection::Unsatisfiable => Vec::new(),
            };
            assert!(parts.iter().all(|range| range.start < range.end && range.end <= size));
            assert!(parts.iter().map(|range| range.length()).sum::<u64>() <= size);
        }
    }
}

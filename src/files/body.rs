//! What of a file is still to be sent, piece by piece.

use crate::http::content_range::{Part, write_content_range};
use crate::http::range::ByteRange;
use crate::http::request_id::RequestId;

/// The body of an answer: some of a file's bytes, and what stands between them where they are
/// several parts (RFC 9110, section 14.6).
#[derive(Debug)]
pub struct FileBody {
    /// What is left of the part that is being sent.
    left: ByteRange,
    /// What comes behind it, in reverse; empty unless there are several parts.
    ahead: Vec<ByteRange>,
    /// How parts are told apart, where there are several.
    parts: Option<Parts>,
}

/// How several parts are told apart.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What no part holds: nobody can foresee it.
    pub boundary: RequestId,
    /// What each of them is, as `Content-Type` has it; empty for none.
    pub media_type: Box<[u8]>,
    /// Bytes in it.
    pub size: u64,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// What was written to the buffer.
    Text,
    /// These bytes of the file; [`FileBody::moved`] says how many of them were sent.
    File(ByteRange),
    /// Nothing.
    End,
}

impl FileBody {
    /// One part of a file, or all of it.
    pub fn of_range(range: ByteRange) -> FileBody {
        FileBody { left: range, ahead: Vec::new(), parts: None }
    }

    /// Several parts.
    pub fn of_ranges(mut ranges: Vec<ByteRange>, parts: Parts) -> FileBody {
        ranges.reverse();
        FileBody { left: ByteRange::default(), ahead: ranges, parts: Some(parts) }
    }

    /// How many bytes all of it has, before any was sent.
    pub fn length(&self) -> u64 {
        let Some(parts) = &self.parts else { return self.left.length() };
        let mut text = Vec::new();
        let part = |range: &ByteRange| {
            text.clear();
            parts.write_head(*range, &mut text);
            text.len() as u64 + range.length()
        };
        let bodies: u64 = self.ahead.iter().map(part).sum();
        text.clear();
        parts.write_end(&mut text);
        bodies + text.len() as u64
    }

    /// What comes next. Text is appended to `text`, and counts as sent.
    pub fn next(&mut self, text: &mut Vec<u8>) -> Piece {
        if self.left.length() > 0 {
            return Piece::File(self.left);
        }
        let Some(parts) = &self.parts else { return Piece::End };
        match self.ahead.pop() {
            Some(range) => {
                self.left = range;
                parts.write_head(range, text);
            }
            None => {
                parts.write_end(text);
                self.parts = None;
            }
        }
        Piece::Text
    }

    /// So many of the bytes that [`FileBody::next`] spoke of were sent.
    pub fn moved(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.left.length());
        self.left.start = self.left.end.min(self.left.start + bytes);
    }

    /// Whether bytes of the file come next.
    pub fn is_in_file(&self) -> bool {
        self.left.length() > 0
    }
}

impl Parts {
    fn write_head(&self, range: ByteRange, text: &mut Vec<u8>) {
        for line in ["\r\n--", self.boundary.as_str(), "\r\n"] {
            text.extend_from_slice(line.as_bytes());
        }
        if !self.media_type.is_empty() {
            for line in [&b"Content-Type: "[..], &*self.media_type, &b"\r\n"[..]] {
                text.extend_from_slice(line);
            }
        }
        write_content_range(Part::Of(range, self.size), text);
        text.extend_from_slice(b"\r\n");
    }

    fn write_end(&self, text: &mut Vec<u8>) {
        for line in ["\r\n--", self.boundary.as_str(), "--\r\n"] {
            text.extend_from_slice(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"0123456789";

    /// The whole body, with `step` bytes of the file at a time.
    fn sent(mut body: FileBody, step: u64) -> String {
        let length = body.length();
        let mut out = Vec::new();
        loop {
            match body.next(&mut out) {
                Piece::Text => {}
                Piece::File(range) => {
                    let bytes = range.length().min(step);
                    let start = range.start as usize;
                    out.extend_from_slice(&FILE[start..start + bytes as usize]);
                    body.moved(bytes);
                }
                Piece::End => break,
            }
        }
        assert_eq!(out.len() as u64, length);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_part_is_nothing_but_its_bytes() {
        for step in 1..11 {
            let of = |start, end| sent(FileBody::of_range(ByteRange { start, end }), step);
            assert_eq!(of(0, 10), "0123456789");
            assert_eq!(of(3, 5), "34");
            assert_eq!(of(0, 0), "");
        }
    }

    #[test]
    fn several_parts_are_told_apart() {
        let ranges = vec![ByteRange { start: 8, end: 10 }, ByteRange { start: 0, end: 3 }];
        let boundary = RequestId::accept(b"B").unwrap();
        let parts = Parts { boundary, media_type: b"x/y".as_slice().into(), size: 10 };
        let expected = "\r\n--B\r\nContent-Type: x/y\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
                        \r\n--B\r\nContent-Type: x/y\r\nContent-Range: bytes 0-2/10\r\n\r\n012\
                        \r\n--B--\r\n";
        for step in 1..5 {
            let body = FileBody::of_ranges(ranges.clone(), parts.clone());
            assert_eq!(sent(body, step), expected);
        }
        let untyped = Parts { media_type: Box::default(), ..parts };
        let text = sent(FileBody::of_ranges(ranges, untyped), 1);
        assert_eq!(text, expected.replace("Content-Type: x/y\r\n", ""));
    }
}

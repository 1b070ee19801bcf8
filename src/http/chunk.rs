//! Chunked bodies (RFC 9112, section 7.1), read as they come, in pieces of any size.
//!
//! ```text
//!          digit         ; …             CR            LF
//!   Size ────────▶ Size ─────▶ Extension ───▶ SizeEnd ────▶ Data ──▶ DataEnd ─CR─LF─▶ Size
//!                                                 │
//!                                                 └ size 0 ─▶ Trailers ─▶ End
//! ```
//!
//! The sizes and line ends are checked here; the data is not looked at, and need not even pass
//! through userspace. All of it may be passed on verbatim: the grammar that is accepted is strict
//! enough for any recipient to read it in the same way. Only the trailer section is held back
//! until it is whole, and then written anew.

use super::edits::HeaderEdits;
use super::limits::ChunkLimits;
use super::reject::RejectReason;
use super::trailer::{TrailerSection, Trailers};

/// Where a chunked body stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkProgress {
    /// The next byte is one of a size line or line end: it must be read and scanned.
    Framing,
    /// The next bytes are data. They may be moved unseen, if [`ChunkScanner::skip`] is told.
    Data {
        /// How many; at least one.
        left: u64,
    },
    /// The next byte is one of the trailer section: it must be read and scanned.
    Trailers,
    /// The body is whole.
    End,
}

/// What a look at some bytes of the body has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// So many bytes from the first on may be passed on verbatim.
    pub verbatim: usize,
    /// So many bytes from the first on belong to the body. Those past `verbatim` are of the
    /// trailer section, and kept in the scanner. All bytes, but for those behind the body's end.
    pub consumed: usize,
}

/// Finds the chunks in the bytes of a body. One value serves for one body after the other.
#[derive(Debug, Clone, Default)]
pub struct ChunkScanner {
    state: State,
    /// The sizes of all chunks so far.
    announced: u64,
    /// The size of the largest of them.
    largest: u64,
    /// Bytes of the extensions of all chunks so far.
    extensions: usize,
    trailers: TrailerSection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64, length: usize },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataEnd,
    DataLineFeed,
    Trailers,
    End,
}

impl Default for State {
    fn default() -> State {
        State::Size { size: 0, digits: 0 }
    }
}

/// Digits of a chunk size: as many as 64 bits have. Zeros in front count, for otherwise they could
/// go on for ever.
const SIZE_DIGITS_MAX: u8 = 16;

/// The largest chunk, in bytes: the largest offset that a system call takes.
const SIZE_MAX: u64 = i64::MAX as u64;

impl ChunkScanner {
    /// Begins a new body; keeps the memory.
    pub fn clear(&mut self) {
        self.state = State::default();
        self.announced = 0;
        self.largest = 0;
        self.extensions = 0;
        self.trailers.clear();
    }

    /// What comes next.
    pub fn progress(&self) -> ChunkProgress {
        match self.state {
            State::Data { left } => ChunkProgress::Data { left },
            State::Trailers => ChunkProgress::Trailers,
            State::End => ChunkProgress::End,
            _ => ChunkProgress::Framing,
        }
    }

    /// The sizes of all chunks so far, in bytes, whether their data has come or not.
    pub fn announced(&self) -> u64 {
        self.announced
    }

    /// The size of the largest chunk so far, in bytes.
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// Looks at the next bytes of the body, which may go beyond its end.
    ///
    /// # Errors
    /// What is wrong with them; the body cannot go on after that.
    pub fn scan(&mut self, bytes: &[u8], limits: &ChunkLimits) -> Result<Scanned, RejectReason> {
        self.scan_data(bytes, limits, |_| ())
    }

    /// As [`ChunkScanner::scan`], and hands the data among the bytes to `data`, piece by piece in
    /// its order: for a recipient that must not see chunks.
    ///
    /// # Errors
    /// What is wrong with them; the body cannot go on after that.
    pub fn scan_data(
        &mut self,
        bytes: &[u8],
        limits: &ChunkLimits,
        mut data: impl FnMut(&[u8]),
    ) -> Result<Scanned, RejectReason> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match self.state {
                State::Data { left } => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    data(&bytes[at..at + here]);
                    self.skip(here as u64);
                    at += here;
                }
                State::Trailers => return self.scan_trailers(bytes, at, limits),
                State::End => break,
                _ => {
                    self.state = self.framing(*byte, limits)?;
                    at += 1;
                }
            }
        }
        Ok(Scanned { verbatim: at, consumed: at })
    }

    /// So many bytes of data were moved without a look at them: at most as many as
    /// [`ChunkProgress::Data`] said were left.
    pub fn skip(&mut self, bytes: u64) {
        if let State::Data { left } = self.state {
            debug_assert!(bytes <= left, "{bytes} of {left} bytes of data");
            let left = left.saturating_sub(bytes);
            self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
        }
    }

    /// The state after one byte that is no data.
    fn framing(&mut self, byte: u8, limits: &ChunkLimits) -> Result<State, RejectReason> {
        match (self.state, byte) {
            (State::Size { size, digits: 1.. }, b'\r') => Ok(State::SizeEnd { size }),
            (State::Size { size, digits: 1.. }, b';') => self.extension(size, 1, limits),
            (State::Size { size, digits }, _) => {
                let digit = char::from(byte).to_digit(16).ok_or(RejectReason::ChunkSize)?;
                let size = size << 4 | u64::from(digit);
                if digits == SIZE_DIGITS_MAX || size > SIZE_MAX {
                    return Err(RejectReason::ChunkSize);
                }
                Ok(State::Size { size, digits: digits + 1 })
            }
            (State::Extension { size, .. }, b'\r') => Ok(State::SizeEnd { size }),
            (State::Extension { size, length }, b'\t' | b' '..=b'~') => {
                self.extension(size, length + 1, limits)
            }
            (State::Extension { .. }, _) => Err(RejectReason::ChunkExtension),
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::Trailers),
            (State::SizeEnd { size }, b'\n') => {
                let announced = self.announced.checked_add(size);
                self.announced = announced.ok_or(RejectReason::ChunkSize)?;
                self.largest = self.largest.max(size);
                Ok(State::Data { left: size })
            }
            (State::SizeEnd { .. }, _) => Err(RejectReason::ChunkSize),
            (State::DataEnd, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => Ok(State::default()),
            _ => Err(RejectReason::ChunkEnd),
        }
    }

    fn extension(
        &mut self,
        size: u64,
        length: usize,
        limits: &ChunkLimits,
    ) -> Result<State, RejectReason> {
        self.extensions += 1;
        if length > limits.extension_size || self.extensions > limits.extensions_size {
            return Err(RejectReason::ChunkExtensionSize);
        }
        Ok(State::Extension { size, length })
    }

    /// An empty trailer section goes on verbatim where it is whole.
    fn scan_trailers(
        &mut self,
        bytes: &[u8],
        start: usize,
        limits: &ChunkLimits,
    ) -> Result<Scanned, RejectReason> {
        let rest = &bytes[start..];
        if self.trailers.is_empty() && rest.starts_with(b"\r\n") {
            self.state = State::End;
            let end = start + b"\r\n".len();
            return Ok(Scanned { verbatim: end, consumed: end });
        }
        match self.trailers.add(rest, limits)? {
            Trailers::Partial => Ok(Scanned { verbatim: start, consumed: bytes.len() }),
            Trailers::Complete { length } => {
                self.state = State::End;
                Ok(Scanned { verbatim: start, consumed: start + length })
            }
        }
    }

    /// Appends the trailer section as it goes on, with the empty line that ends the body, where it
    /// was held back: nothing if the body ended in what [`Scanned::verbatim`] counted. Fields that
    /// do not belong there, and those that `edits` replaces or removes, are left out.
    ///
    /// To be called once, at [`ChunkProgress::End`].
    pub fn write_trailers(&self, edits: &HeaderEdits, out: &mut Vec<u8>) {
        if !self.trailers.is_empty() {
            self.trailers.write(edits, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::edits::HeaderEdits;
    use super::super::samples::written;
    use super::*;

    const LIMITS: ChunkLimits = ChunkLimits {
        extension_size: 8,
        extensions_size: 12,
        trailer_size: 40,
        trailer_fields_max: 2,
    };

    /// Scans a body in one piece, and in pieces of one byte, which must come to the same: its
    /// data, what goes on of it, and how many bytes it has.
    fn scan(body: &str) -> Result<(String, String, usize), RejectReason> {
        let in_pieces = |size: usize| {
            let mut scanner = ChunkScanner::default();
            let (mut data, mut forwarded, mut consumed) = (Vec::new(), Vec::new(), 0);
            for piece in body.as_bytes().chunks(size) {
                let keep = |part: &[u8]| data.extend_from_slice(part);
                let scanned = scanner.scan_data(piece, &LIMITS, keep)?;
                forwarded.extend_from_slice(&piece[..scanned.verbatim]);
                consumed += scanned.consumed;
            }
            assert_eq!(scanner.announced(), data.len() as u64);
            assert_eq!(scanner.progress(), ChunkProgress::End, "{body:?}");
            scanner.write_trailers(&HeaderEdits::default(), &mut forwarded);
            let text = |bytes| String::from_utf8(bytes).unwrap();
            Ok((text(data), text(forwarded), consumed))
        };
        let whole = in_pieces(body.len());
        assert_eq!(whole, in_pieces(1), "{body:?}");
        whole
    }

    #[test]
    fn chunks_go_on_verbatim() {
        let check = |body: &str, data: &str| {
            let found = scan(&format!("{body}NEXT"));
            assert_eq!(found, Ok((data.to_owned(), body.to_owned(), body.len())), "{body:?}");
        };
        check("0\r\n\r\n", "");
        check("5\r\nhello\r\n0\r\n\r\n", "hello");
        check("00a\r\n0123456789\r\n1\r\n\n\r\n000\r\n\r\n", "0123456789\n");
        check("9\r\n\r\n0\r\n\r\n0\r\r\n0\r\n\r\n", "\r\n0\r\n\r\n0\r");
        check("1;a=b;\t\"\r\nx\r\n0; c\r\n\r\n", "x");
    }

    #[test]
    fn trailers_are_written_anew() {
        let check = |section: &str, expected: &str| {
            let body = format!("1\r\nx\r\n0\r\n{section}\r\n");
            let forwarded = format!("1\r\nx\r\n0\r\n{expected}\r\n");
            let found = scan(&format!("{body}NEXT"));
            assert_eq!(found, Ok(("x".to_owned(), forwarded, body.len())), "{section:?}");
        };
        check("", "");
        check("X-A:b\r\nX-B: \tc \r\n", "X-A: b\r\nX-B: c\r\n");
        check("Content-Length: 5\r\nX-A: b\r\n", "X-A: b\r\n");
        check("transfer_encoding: a\r\n", "");
        check("Authorization: a\r\nHOST: b\r\n", "");
    }

    #[test]
    fn trailers_are_edited() {
        let name = super::super::field::FieldName::editable("x-a").unwrap();
        let edits = HeaderEdits::new(vec![], vec![], vec![name]).unwrap();
        let mut scanner = ChunkScanner::default();
        scanner.scan(b"0\r\nX-A: b\r\nX-B: c\r\n\r\n", &LIMITS).unwrap();
        assert_eq!(written(|out| scanner.write_trailers(&edits, out)), "X-B: c\r\n\r\n");
        scanner.clear();
        scanner.scan(b"0\r\n\r\n", &LIMITS).unwrap();
        assert_eq!(written(|out| scanner.write_trailers(&edits, out)), "");
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let check = |bodies: &[&str], expected: RejectReason| {
            for body in bodies {
                assert_eq!(scan(body), Err(expected), "{body:?}");
            }
        };
        let sizes = [
            "\r\n",
            " 5\r\n",
            "5 \r\n",
            "5\t;a\r\n",
            "-5\r\n",
            "+5\r\n",
            "0x5\r\n",
            "5h\r\n",
            "g\r\n",
            "5\n",
            "\n",
            ";a\r\n",
            "5\rx",
            "5\r\r\n",
            "5,5\r\n",
            "5.0\r\n",
            "5_0\r\n",
            "\0",
            "5\0\r\n",
            "8000000000000000\r\n",
            "FFFFFFFFFFFFFFFF\r\n",
            "10000000000000005\r\n",
            "00000000000000000\r\n",
            "\u{665}\r\n",
        ];
        check(&sizes, RejectReason::ChunkSize);
        let two_too_large = format!("{0}\r\n", "7FFFFFFFFFFFFFFF");
        let mut scanner = ChunkScanner::default();
        for _ in 0..2 {
            scanner.scan(two_too_large.as_bytes(), &LIMITS).unwrap();
            scanner.skip(i64::MAX as u64);
            scanner.scan(b"\r\n", &LIMITS).unwrap();
        }
        assert_eq!(scanner.scan(b"2\r\n", &LIMITS), Err(RejectReason::ChunkSize));
        check(
            &["1\r\nxx\r\n", "1\r\nx\n", "1\r\nx\rx", "1\r\nx0\r\n", "1\r\nx\r\r\n"],
            RejectReason::ChunkEnd,
        );
        check(
            &["1;a\n", "1;\0\r\n", "1;\u{e4}\r\n", "1;\u{7f}\r\n", "1;a\n\r\n"],
            RejectReason::ChunkExtension,
        );
        check(&["1;a\rx"], RejectReason::ChunkSize);
        check(
            &["1;1234567\r\nx\r\n1;2345\r\n", "1;12345678\r\n"],
            RejectReason::ChunkExtensionSize,
        );
        check(
            &[
                "0\r\nX\r\n\r\n",
                "0\r\n X: y\r\n\r\n",
                "0\r\nX : y\r\n\r\n",
                "0\r\nX: \0\r\n\r\n",
                "0\r\nX: y\r\n z\r\n\r\n",
                "0\r\nX: a\rb\r\n\r\n",
            ],
            RejectReason::Trailer,
        );
        check(&["0\r\n\n", "0\r\nX: y\n\n"], RejectReason::BareLineFeed);
        let endless = format!("0\r\nX: {}", "y".repeat(40));
        check(&[&endless, "0\r\na:\r\nb:\r\nc:\r\n\r\n"], RejectReason::TrailerSize);
    }

    #[test]
    fn limits_hold_to_the_byte() {
        assert!(scan("1;1234567\r\nx\r\n1;234\r\nx\r\n0\r\n\r\n").is_ok());
        let longest = format!("0\r\nX: {}\r\n\r\n", "y".repeat(33));
        assert!(scan(&longest).is_ok());
        let longer = format!("0\r\nX: {}\r\n\r\n", "y".repeat(34));
        assert_eq!(scan(&longer), Err(RejectReason::TrailerSize));
    }

    #[test]
    fn data_may_be_moved_unseen() {
        let mut scanner = ChunkScanner::default();
        let scanned = scanner.scan(b"100000\r\nfirst", &LIMITS).unwrap();
        assert_eq!(scanned, Scanned { verbatim: 13, consumed: 13 });
        assert_eq!(scanner.progress(), ChunkProgress::Data { left: 0x10_0000 - 5 });
        scanner.skip(0x10_0000 - 6);
        assert_eq!(scanner.progress(), ChunkProgress::Data { left: 1 });
        scanner.skip(1);
        assert_eq!(scanner.progress(), ChunkProgress::Framing);
        let scanned = scanner.scan(b"\r\n0\r\nX-A: b", &LIMITS).unwrap();
        assert_eq!(scanned, Scanned { verbatim: 5, consumed: 11 });
        assert_eq!(scanner.progress(), ChunkProgress::Trailers);
        let scanned = scanner.scan(b"\r\n\r\nGET", &LIMITS).unwrap();
        assert_eq!(scanned, Scanned { verbatim: 0, consumed: 4 });
        assert_eq!(scanner.progress(), ChunkProgress::End);
        assert_eq!(scanner.scan(b"GET", &LIMITS), Ok(Scanned { verbatim: 0, consumed: 0 }));
    }
}

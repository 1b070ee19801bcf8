//! A body on its way: how much of what was read belongs to it, what of that goes on and in which
//! form, and how much of what is still to come may be moved without a look at it.

use crate::http::chunk::{ChunkProgress, ChunkScanner};
use crate::http::edits::HeaderEdits;
use crate::http::framing::BodyLength;
use crate::http::limits::ChunkLimits;
use crate::http::reject::RejectReason;

/// What is left of a body.
#[derive(Debug, Default)]
pub struct Body {
    rest: Rest,
    /// All that it has, where it has said so.
    length: u64,
    is_chunked: bool,
    /// Used only for a body in chunks.
    scanner: ChunkScanner,
    limits: ChunkLimits,
    /// Bytes of data that a body in chunks may announce.
    size_max: Option<u64>,
    /// The recipient gets the data without the chunks around it.
    is_unwrapped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Rest {
    #[default]
    Nothing,
    Length(u64),
    Chunks,
    UntilEnd,
}

/// What was taken of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// So many from the first on belong to the body.
    pub used: usize,
    /// So many of those go on as they are; what was written behind them replaces the others.
    pub verbatim: usize,
}

impl Body {
    /// All of a body of this length.
    pub fn new(length: BodyLength, limits: ChunkLimits) -> Body {
        let rest = match length {
            BodyLength::None | BodyLength::Length(0) => Rest::Nothing,
            BodyLength::Length(length) => Rest::Length(length),
            BodyLength::Chunked => Rest::Chunks,
            BodyLength::UntilEnd => Rest::UntilEnd,
        };
        let length = if let BodyLength::Length(length) = length { length } else { 0 };
        let is_chunked = rest == Rest::Chunks;
        Body { rest, length, is_chunked, limits, ..Body::default() }
    }

    /// The same body, refused if it turns out to have more than `size_max` bytes of data. Only
    /// chunks need that: of other bodies the length is known before.
    #[must_use]
    pub fn limited(self, size_max: Option<u64>) -> Body {
        Body { size_max, ..self }
    }

    /// The same body for a recipient that does not know chunks.
    #[must_use]
    pub fn unwrapped(self) -> Body {
        Body { is_unwrapped: true, ..self }
    }

    /// Takes what belongs to the body off the beginning of `bytes`. To `out` goes what the
    /// recipient gets behind [`Taken::verbatim`]: trailers without those that `edits` replaces or
    /// that do not belong there, or data taken out of its chunks.
    ///
    /// # Errors
    /// Why the body is refused; nothing of it can go on after that.
    pub fn take(
        &mut self,
        bytes: &[u8],
        edits: &HeaderEdits,
        out: &mut Vec<u8>,
    ) -> Result<Taken, RejectReason> {
        let used = match self.rest {
            Rest::Nothing => 0,
            Rest::Length(left) => {
                let used = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.moved(used as u64);
                used
            }
            Rest::UntilEnd => bytes.len(),
            Rest::Chunks => return self.take_chunks(bytes, edits, out),
        };
        Ok(Taken { used, verbatim: used })
    }

    fn take_chunks(
        &mut self,
        bytes: &[u8],
        edits: &HeaderEdits,
        out: &mut Vec<u8>,
    ) -> Result<Taken, RejectReason> {
        let scanned = match self.is_unwrapped {
            true => self.scanner.scan_data(bytes, &self.limits, |data| out.extend_from_slice(data)),
            false => self.scanner.scan(bytes, &self.limits),
        }?;
        if self.size_max.is_some_and(|max| self.scanner.announced() > max) {
            return Err(RejectReason::BodySize);
        }
        if self.scanner.progress() == ChunkProgress::End {
            self.rest = Rest::Nothing;
            if !self.is_unwrapped {
                self.scanner.write_trailers(edits, out);
            }
        }
        let verbatim = if self.is_unwrapped { 0 } else { scanned.verbatim };
        Ok(Taken { used: scanned.consumed, verbatim })
    }

    /// So many bytes are to come next that the recipient gets as they are, and that nobody need
    /// look at. 0 for a body whose length nobody knows.
    pub fn unseen(&self) -> u64 {
        match self.rest {
            Rest::Length(left) => left,
            Rest::Chunks => match self.scanner.progress() {
                ChunkProgress::Data { left } => left,
                _ => 0,
            },
            Rest::Nothing | Rest::UntilEnd => 0,
        }
    }

    /// So many bytes were moved without a look at them: of [`Body::unseen`], or of a body that ends
    /// with its stream.
    pub fn moved(&mut self, bytes: u64) {
        match &mut self.rest {
            Rest::Length(left) => {
                debug_assert!(bytes <= *left, "{bytes} of {left} bytes");
                *left = left.saturating_sub(bytes);
                if *left == 0 {
                    self.rest = Rest::Nothing;
                }
            }
            Rest::Chunks => self.scanner.skip(bytes),
            Rest::Nothing | Rest::UntilEnd => {}
        }
    }

    /// Whether it comes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.is_chunked
    }

    /// The largest part that came or is to come of which the length was said: all of it, or a
    /// chunk.
    pub fn largest_part(&self) -> u64 {
        self.length.max(self.scanner.largest())
    }

    /// The sender's stream has ended. Says whether that is the end of the body; otherwise, a part
    /// is missing.
    pub fn ended(&mut self) -> bool {
        if self.rest == Rest::UntilEnd {
            self.rest = Rest::Nothing;
        }
        self.is_complete()
    }

    /// Whether nothing is left.
    pub fn is_complete(&self) -> bool {
        self.rest == Rest::Nothing
    }

    /// Whether it goes on until its stream ends.
    pub fn is_until_end(&self) -> bool {
        self.rest == Rest::UntilEnd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Sum: 1\r\nHost: x\r\n\r\nGET /";

    /// What goes on of `bytes` in pieces of `size`, and how many of them belong to the body.
    fn passed(mut body: Body, bytes: &[u8], size: usize) -> (Vec<u8>, usize) {
        let (mut gone_on, mut used) = (Vec::new(), 0);
        for piece in bytes.chunks(size) {
            let mut out = Vec::new();
            let taken = body.take(piece, &HeaderEdits::default(), &mut out).unwrap();
            gone_on.extend_from_slice(&piece[..taken.verbatim]);
            gone_on.extend(out);
            used += taken.used;
            if taken.used < piece.len() {
                break;
            }
        }
        assert!(body.is_complete());
        (gone_on, used)
    }

    #[test]
    fn any_split_passes_the_same_bytes() {
        let whole = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Sum: 1\r\n\r\n";
        let length = CHUNKED.len() - b"GET /".len();
        for size in 1..=CHUNKED.len() {
            let chunked = || Body::new(BodyLength::Chunked, ChunkLimits::default());
            assert_eq!(passed(chunked(), CHUNKED, size), (whole.to_vec(), length), "{size}");
            let unwrapped = passed(chunked().unwrapped(), CHUNKED, size);
            assert_eq!(unwrapped, (b"abcdefg".to_vec(), length), "{size}");
            let counted = Body::new(BodyLength::Length(7), ChunkLimits::default());
            assert_eq!(passed(counted, b"1234567rest", size), (b"1234567".to_vec(), 7));
        }
    }

    #[test]
    fn data_may_be_moved_unseen() {
        let mut body = Body::new(BodyLength::Chunked, ChunkLimits::default());
        let mut out = Vec::new();
        let edits = HeaderEdits::default();
        assert_eq!(body.unseen(), 0);
        let taken = body.take(b"10000\r\nab", &edits, &mut out).unwrap();
        assert_eq!((taken.used, taken.verbatim, body.unseen()), (9, 9, 0xfffe));
        body.moved(0xfffe);
        assert!(body.unseen() == 0 && !body.ended());
        body.take(b"\r\n0\r\n\r\n", &edits, &mut out).unwrap();
        assert!(body.is_complete() && out.is_empty());
    }

    #[test]
    fn an_end_is_one_only_where_the_length_says_so() {
        let ended = |length| Body::new(length, ChunkLimits::default()).ended();
        assert!(ended(BodyLength::None) && ended(BodyLength::Length(0)));
        assert!(ended(BodyLength::UntilEnd));
        assert!(!ended(BodyLength::Length(1)) && !ended(BodyLength::Chunked));
    }

    #[test]
    fn chunks_that_announce_too_much_are_refused_before_they_come() {
        let body = Body::new(BodyLength::Chunked, ChunkLimits::default());
        let mut body = body.limited(Some(0xf));
        let (edits, mut out) = (HeaderEdits::default(), Vec::new());
        assert!(body.take(b"f\r\n", &edits, &mut out).is_ok());
        let refused = body.take(b"0123456789abcde\r\n1\r\n", &edits, &mut out);
        assert_eq!(refused, Err(RejectReason::BodySize));
    }
}

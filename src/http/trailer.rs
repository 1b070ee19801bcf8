//! The fields behind a chunked body (RFC 9110, section 6.5; RFC 9112, section 7.1.2).

use super::edits::HeaderEdits;
use super::field::{Known, is_alike};
use super::head::{EndScan, Field, SectionEnd, syntax_reason};
use super::limits::{ChunkLimits, HeadLimits};
use super::reject::RejectReason;
use super::rewrite::write_field;

/// What came of adding bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trailers {
    /// The section goes on.
    Partial,
    /// The section is whole, and so many of the bytes were the last of it.
    Complete { length: usize },
}

/// A trailer section, kept until it is whole.
#[derive(Debug, Clone, Default)]
pub(super) struct TrailerSection {
    bytes: Vec<u8>,
    scan: EndScan,
}

impl TrailerSection {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.scan = EndScan::default();
    }

    /// Whether not a byte of it has been kept.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds bytes, up to the section's end.
    ///
    /// # Errors
    /// [`RejectReason::Trailer`] for a field line that is none, [`RejectReason::BareLineFeed`],
    /// [`RejectReason::TrailerSize`] beyond the limits.
    pub(super) fn add(
        &mut self,
        bytes: &[u8],
        limits: &ChunkLimits,
    ) -> Result<Trailers, RejectReason> {
        let held = self.bytes.len();
        let room = limits.trailer_size.saturating_sub(held);
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        match self.scan.find(&self.bytes, limits.trailer_size) {
            SectionEnd::Ahead => Ok(Trailers::Partial),
            SectionEnd::BareLineFeed => Err(RejectReason::BareLineFeed),
            SectionEnd::TooFar => Err(RejectReason::TrailerSize),
            SectionEnd::At(length) => {
                self.bytes.truncate(length);
                self.check(limits)?;
                Ok(Trailers::Complete { length: length - held })
            }
        }
    }

    fn check(&self, limits: &ChunkLimits) -> Result<(), RejectReason> {
        let mut places = [httparse::EMPTY_HEADER; FIELD_PLACES];
        let places = &mut places[..limits.trailer_fields_max.min(FIELD_PLACES)];
        match httparse::parse_headers(&self.bytes, places) {
            Ok(httparse::Status::Complete((length, _))) if length == self.bytes.len() => Ok(()),
            Ok(_) => Err(RejectReason::Trailer),
            Err(error) => Err(match syntax_reason(error) {
                RejectReason::FieldCount => RejectReason::TrailerSize,
                _ => RejectReason::Trailer,
            }),
        }
    }

    /// Appends the fields that may go on, and the empty line. The section is whole and was
    /// checked.
    pub(super) fn write(&self, edits: &HeaderEdits, out: &mut Vec<u8>) {
        let mut places = [httparse::EMPTY_HEADER; FIELD_PLACES];
        if let Ok(httparse::Status::Complete((_, fields))) =
            httparse::parse_headers(&self.bytes, &mut places)
        {
            for field in fields {
                let name = field.name.as_bytes();
                if !is_forbidden(name) && !edits.replaces(name) {
                    write_field(&Field { name, value: field.value, known: None }, out);
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

const FIELD_PLACES: usize = *HeadLimits::FIELDS.end();

/// Fields that decide how a message is framed, routed, authenticated, cached or understood: too
/// late behind a body, and a way around checks of the head (RFC 9110, section 6.5.1). The known
/// fields are all of that kind.
const FORBIDDEN: [&str; 31] = [
    "age",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "early-data",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "origin",
    "pragma",
    "proxy-authentication-info",
    "range",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "user-agent",
    "vary",
    "warning",
    "www-authenticate",
    "accept-encoding",
    "access-control-allow-origin",
];

fn is_forbidden(name: &[u8]) -> bool {
    Known::of(name).is_some()
        || FORBIDDEN.iter().any(|forbidden| is_alike(name, forbidden.as_bytes()))
}

//! What request heads and response heads have in common: where they end, and their fields.

use std::mem::MaybeUninit;

use super::connection::ConnectionOptions;
use super::field::Known;
use super::framing::FramingFields;
use super::limits::HeadLimits;
use super::reject::{RejectReason, Rejection};

/// What came of parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The head goes on in bytes that are not here yet. Parse again with all bytes from its first
    /// on, once there are more.
    Partial,
    /// The head is whole.
    Complete {
        /// So many bytes belong to it; the body, or the next message, begins behind them.
        length: usize,
    },
    /// The message is refused, and with it its connection.
    Rejected(Rejection),
}

/// A version of HTTP that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// HTTP/1.0 (RFC 1945)
    Http10,
    /// HTTP/1.1 (RFC 9112)
    #[default]
    Http11,
}

impl Version {
    /// As start lines spell it.
    pub fn label(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }

    pub(super) fn of(minor: Option<u8>) -> Version {
        if minor == Some(0) { Version::Http10 } else { Version::Http11 }
    }
}

/// A part of the bytes of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Where `part` is within `whole`, which it is a slice of.
    pub(super) fn within(whole: &[u8], part: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        Span { start: start as u32, end: (start + part.len()) as u32 }
    }

    /// The part of the part from `start` on, `length` bytes of it.
    pub(super) fn part(self, start: usize, length: usize) -> Span {
        let start = self.start + start as u32;
        Span { start, end: start + length as u32 }
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// As text, where it was found to be ASCII.
    pub(super) fn text(self, bytes: &[u8]) -> &str {
        std::str::from_utf8(self.of(bytes)).unwrap_or_default()
    }
}

/// One field line of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it was sent; a token.
    pub name: &'a [u8],
    /// The value, without white space around it: no control characters but tabs.
    pub value: &'a [u8],
    /// Which field this is, if it is one that the proxy understands.
    pub known: Option<Known>,
}

/// Where httparse puts the fields of one head; on the stack, and not initialised.
pub(super) struct FieldPlaces<'b>([MaybeUninit<httparse::Header<'b>>; FIELD_PLACES]);

const FIELD_PLACES: usize = *HeadLimits::FIELDS.end();

impl<'b> FieldPlaces<'b> {
    pub(super) fn new() -> FieldPlaces<'b> {
        FieldPlaces([const { MaybeUninit::uninit() }; FIELD_PLACES])
    }

    /// As many of them as there may be fields.
    pub(super) fn up_to(&mut self, fields_max: usize) -> &mut [MaybeUninit<httparse::Header<'b>>] {
        &mut self.0[..fields_max.min(FIELD_PLACES)]
    }
}

/// What an error of httparse means for a head whose end has been found.
pub(super) fn syntax_reason(error: httparse::Error) -> RejectReason {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => RejectReason::Field,
        httparse::Error::TooManyHeaders => RejectReason::FieldCount,
        httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => RejectReason::StartLine,
    }
}

#[derive(Debug, Clone, Copy)]
struct FieldSpan {
    name: Span,
    value: Span,
    known: Option<Known>,
}

/// The bytes of a head and where its fields are. Used again for the next head, so that nothing is
/// allocated in the steady state.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    bytes: Vec<u8>,
    fields: Vec<FieldSpan>,
    /// Bit `known as u32`: there is such a field.
    present: u32,
}

impl Section {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.present = 0;
    }

    /// Keeps a copy of a head, and where the parser found its fields.
    pub(super) fn keep(&mut self, bytes: &[u8], fields: &[httparse::Header<'_>]) {
        self.clear();
        self.bytes.extend_from_slice(bytes);
        for field in fields {
            let known = Known::of(field.name.as_bytes());
            self.present |= known.map_or(0, |known| 1 << known as u32);
            let name = Span::within(bytes, field.name.as_bytes());
            self.fields.push(FieldSpan { name, value: Span::within(bytes, field.value), known });
        }
    }

    pub(super) fn has(&self, known: Known) -> bool {
        self.present & 1 << known as u32 != 0
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.fields.capacity() * size_of::<FieldSpan>()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn span(&self, part: &[u8]) -> Span {
        Span::within(&self.bytes, part)
    }

    pub(super) fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + Clone {
        self.fields.iter().map(|field| Field {
            name: field.name.of(&self.bytes),
            value: field.value.of(&self.bytes),
            known: field.known,
        })
    }

    pub(super) fn values(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        // Most of them are not there.
        let searched = if self.has(known) { &self.fields[..] } else { &[] };
        let found = searched.iter().filter(move |field| field.known == Some(known));
        found.map(|field| field.value.of(&self.bytes))
    }

    /// The value of the first field of this name.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        let is_it = |field: &Field<'_>| field.name.eq_ignore_ascii_case(name.as_bytes());
        self.fields().find(is_it).map(|field| field.value)
    }

    /// Reads the fields that both kinds of heads have.
    pub(super) fn examine(
        &self,
        connection: &mut ConnectionOptions,
    ) -> Result<FramingFields, RejectReason> {
        connection.clear();
        let mut framing = FramingFields::default();
        for field in self.fields() {
            let Some(known) = field.known else { continue };
            match known {
                Known::ContentLength | Known::TransferEncoding | Known::Host
                    if field.name.contains(&b'_') =>
                {
                    return Err(RejectReason::DisguisedField);
                }
                Known::ContentLength => framing.add_content_length(field.value)?,
                Known::TransferEncoding => framing.add_transfer_encoding(field.value)?,
                Known::Connection => connection.add(field.value, |part| self.span(part))?,
                _ => {}
            }
        }
        Ok(framing)
    }
}

/// What came of looking for the end of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SectionEnd {
    /// It is not here yet.
    Ahead,
    /// The section has so many bytes, with the empty line at its end.
    At(usize),
    /// A line ends without a carriage return.
    BareLineFeed,
    /// It is further away than allowed.
    TooFar,
}

/// Looks for the empty line that ends a section of lines, and looks at each byte once, however
/// many pieces they come in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EndScan {
    scanned: usize,
    line_start: usize,
}

impl EndScan {
    /// Whether no line has ended yet.
    pub(super) fn is_in_first_line(self) -> bool {
        self.line_start == 0
    }

    /// Looks on; `bytes` begins with the first byte of the section each time.
    pub(super) fn find(&mut self, bytes: &[u8], size_max: usize) -> SectionEnd {
        let allowed = &bytes[..bytes.len().min(size_max)];
        while let Some(distance) =
            allowed.get(self.scanned..).and_then(|rest| memchr::memchr(b'\n', rest))
        {
            let line_feed = self.scanned + distance;
            let line = &allowed[self.line_start..line_feed];
            self.scanned = line_feed + 1;
            match line {
                [b'\r'] => return SectionEnd::At(line_feed + 1),
                [.., b'\r'] => self.line_start = line_feed + 1,
                _ => return SectionEnd::BareLineFeed,
            }
        }
        self.scanned = self.scanned.max(allowed.len());
        if bytes.len() >= size_max { SectionEnd::TooFar } else { SectionEnd::Ahead }
    }
}

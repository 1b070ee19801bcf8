//! What a client asks for, read from the first bytes that it sends (RFC 8446, section 4.1.2; RFC
//! 5246, section 7.4.1.2), before anybody answers. Nothing is consumed: the same bytes go on to
//! whoever ends the session, here or behind the proxy.
//!
//! The bytes may be split into any segments, and the message into any records. Who reads them
//! looks at them from the start each time ([`parse`]), and is told how many there must be for
//! another look to be worth it, so that a client that sends a byte at a time costs as little as
//! one that does not.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::route::is_host_name;

/// The longest ClientHello that is read, in bytes, with the headers of its records. One with
/// keys of every kind has some two thousand; the length field of the protocol allows 16 MiB.
pub const HELLO_BYTES_MAX: usize = 16 << 10;

/// Into how many records a ClientHello may be split. Each may cost two more looks.
pub const RECORDS_MAX: usize = 32;

/// The header of a record: type, version, length (RFC 8446, section 5.1).
const RECORD_HEADER: usize = 5;
/// The header of a handshake message: type, length (RFC 8446, section 4).
const MESSAGE_HEADER: usize = 4;
/// The longest plain record (RFC 8446, section 5.1).
const RECORD_BYTES_MAX: usize = 1 << 14;

const TYPE_HANDSHAKE: u8 = 22;
const TYPE_CLIENT_HELLO: u8 = 1;
/// The part of a version that all since SSL 3.0 have.
const VERSION_MAJOR: u8 = 3;

const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ALPN: u16 = 16;
const EXTENSION_SUPPORTED_VERSIONS: u16 = 43;
const NAME_TYPE_HOST: u8 = 0;

/// What plain HTTP begins with; HTTP/2's preface looks like a method.
const METHODS: [&[u8]; 10] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
    b"PRI ",
];

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientHello {
    /// The name of the host (RFC 6066, section 3), in small letters and without a final dot;
    /// `None` where none is given, or an IP address, which has no place there.
    pub server_name: Option<Box<str>>,
    /// The protocols that the client speaks, the best first (RFC 7301).
    pub alpn: Vec<Box<[u8]>>,
    /// The versions that it speaks, as they are numbered on the wire: `0x0303` is TLS 1.2,
    /// `0x0304` TLS 1.3.
    pub versions: Vec<u16>,
}

/// What the first bytes of a client have come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peeked {
    /// All is well, but something is still to come.
    Partial {
        /// How many bytes there must be, from the first one on, before all can be there.
        needed: usize,
    },
    /// All of it is there.
    Complete(ClientHello),
    /// Whatever it is, it will never be a ClientHello.
    Refused(HelloProblem),
}

/// Why bytes are no ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HelloProblem {
    /// They do not begin like TLS.
    NotTls,
    /// They begin like a request of HTTP without TLS.
    PlainHttp,
    /// It would be longer than [`HELLO_BYTES_MAX`], or of more records than [`RECORDS_MAX`].
    TooLong,
    /// It breaks the rules of the protocol.
    Malformed,
}

impl HelloProblem {
    /// As it stands in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            HelloProblem::NotTls => "not_tls",
            HelloProblem::PlainHttp => "plain_http",
            HelloProblem::TooLong => "hello_too_long",
            HelloProblem::Malformed => "hello_malformed",
        }
    }
}

/// Reads the ClientHello from the first `bytes` of a client. What follows it is not looked at.
pub fn parse(bytes: &[u8]) -> Peeked {
    match message(bytes) {
        Ok(message) => match read_hello(&message[MESSAGE_HEADER..]) {
            Some(hello) => Peeked::Complete(hello),
            None => Peeked::Refused(HelloProblem::Malformed),
        },
        Err(Stop::Needed(needed)) => Peeked::Partial { needed },
        Err(Stop::Problem(problem)) => Peeked::Refused(problem),
    }
}

/// Why there is no whole message.
enum Stop {
    Needed(usize),
    Problem(HelloProblem),
}

/// The handshake message at the start of `bytes` with its header, put together from its records.
fn message(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Stop> {
    check_start(bytes)?;
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut at = 0;
    for _ in 0..RECORDS_MAX {
        let header = bytes.get(at..at + RECORD_HEADER).ok_or(Stop::Needed(at + RECORD_HEADER))?;
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let is_handshake = header[0] == TYPE_HANDSHAKE && header[1] == VERSION_MAJOR;
        if !is_handshake || length == 0 || length > RECORD_BYTES_MAX {
            return Err(Stop::Problem(HelloProblem::Malformed));
        }
        at += RECORD_HEADER;
        let record = &bytes[at..bytes.len().min(at + length)];
        append(&mut message, record);
        let missing = check_message(&mut message)?;
        let end = at + length.min(record.len() + missing);
        if missing == 0 {
            return Ok(message);
        }
        if end > HELLO_BYTES_MAX {
            return Err(Stop::Problem(HelloProblem::TooLong));
        }
        if record.len() < length {
            return Err(Stop::Needed(end));
        }
        at += length;
    }
    Err(Stop::Problem(HelloProblem::TooLong))
}

/// What can be told from the first bytes: whether they are of TLS at all.
fn check_start(bytes: &[u8]) -> Result<(), Stop> {
    let Some(first) = bytes.first() else { return Err(Stop::Needed(1)) };
    if *first == TYPE_HANDSHAKE {
        return match bytes.get(1) {
            Some(major) if *major != VERSION_MAJOR => Err(Stop::Problem(HelloProblem::NotTls)),
            _ => Ok(()),
        };
    }
    if METHODS.iter().any(|method| bytes.starts_with(method)) {
        return Err(Stop::Problem(HelloProblem::PlainHttp));
    }
    let candidates = METHODS.iter().filter(|method| method.starts_with(bytes));
    match candidates.map(|method| method.len()).min() {
        Some(length) => Err(Stop::Needed(length)),
        None => Err(Stop::Problem(HelloProblem::NotTls)),
    }
}

/// A message of one record is not copied.
fn append<'b>(message: &mut Cow<'b, [u8]>, record: &'b [u8]) {
    if message.is_empty() {
        *message = Cow::Borrowed(record);
    } else {
        message.to_mut().extend_from_slice(record);
    }
}

/// How many bytes of the message are missing at least; what is behind its end is cut off.
fn check_message(message: &mut Cow<'_, [u8]>) -> Result<usize, Stop> {
    if message.first().is_some_and(|it| *it != TYPE_CLIENT_HELLO) {
        return Err(Stop::Problem(HelloProblem::Malformed));
    }
    let Some(header) = message.first_chunk::<MESSAGE_HEADER>() else {
        return Ok(MESSAGE_HEADER - message.len());
    };
    let [_, high, middle, low] = *header;
    let length = MESSAGE_HEADER + u32::from_be_bytes([0, high, middle, low]) as usize;
    if length > HELLO_BYTES_MAX {
        return Err(Stop::Problem(HelloProblem::TooLong));
    }
    let missing = length.saturating_sub(message.len());
    match message {
        Cow::Borrowed(bytes) if missing == 0 => *bytes = &bytes[..length],
        Cow::Owned(bytes) if missing == 0 => bytes.truncate(length),
        _ => {}
    }
    Ok(missing)
}

/// The body of the message; `None` where it breaks the rules.
fn read_hello(body: &[u8]) -> Option<ClientHello> {
    const RANDOM: usize = 32;
    const SESSION_ID_MAX: usize = 32;
    let mut body = Bytes(body);
    let version = body.number()?;
    body.take(RANDOM)?;
    if body.short_vector()?.0.len() > SESSION_ID_MAX {
        return None;
    }
    let suites = body.vector()?.0.len();
    let compressions = body.short_vector()?.0.len();
    if suites < 2 || !suites.is_multiple_of(2) || compressions == 0 {
        return None;
    }
    let mut hello = ClientHello { versions: vec![version], ..ClientHello::default() };
    if body.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = body.vector()?;
    body.0.is_empty().then_some(())?;
    let mut seen = Vec::new();
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let content = extensions.vector()?;
        match kind {
            EXTENSION_SERVER_NAME => hello.server_name = read_server_name(content)?,
            EXTENSION_ALPN => hello.alpn = read_alpn(content)?,
            EXTENSION_SUPPORTED_VERSIONS => hello.versions = read_versions(content)?,
            _ => continue,
        }
        // What could be understood in two ways is understood in none.
        if seen.contains(&kind) {
            return None;
        }
        seen.push(kind);
    }
    Some(hello)
}

fn read_server_name(mut content: Bytes<'_>) -> Option<Option<Box<str>>> {
    let mut list = content.vector()?;
    if list.0.is_empty() || !content.0.is_empty() {
        return None;
    }
    let mut found: Option<&[u8]> = None;
    while !list.0.is_empty() {
        let kind = list.take(1)?[0];
        let name = list.vector()?.0;
        if kind == NAME_TYPE_HOST && found.replace(name).is_some() {
            return None;
        }
    }
    let Some(name) = found else { return Some(None) };
    let name = std::str::from_utf8(name).ok()?;
    if name.parse::<IpAddr>().is_ok() {
        return Some(None);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    is_host_name(name).then(|| Some(name.to_ascii_lowercase().into()))
}

fn read_alpn(mut content: Bytes<'_>) -> Option<Vec<Box<[u8]>>> {
    let mut list = content.vector()?;
    if list.0.is_empty() || !content.0.is_empty() {
        return None;
    }
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        let protocol = list.short_vector()?.0;
        (!protocol.is_empty()).then_some(())?;
        protocols.push(protocol.into());
    }
    Some(protocols)
}

fn read_versions(mut content: Bytes<'_>) -> Option<Vec<u16>> {
    let list = content.short_vector()?.0;
    if list.is_empty() || !list.len().is_multiple_of(2) || !content.0.is_empty() {
        return None;
    }
    Some(list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
}

/// What is left to read; each call takes off its part, or `None` where there is too little.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector whose length is given in one byte (RFC 8446, section 3.4).
    fn short_vector(&mut self) -> Option<Bytes<'b>> {
        let length = usize::from(self.take(1)?[0]);
        self.take(length).map(Bytes)
    }

    /// A vector whose length is given in two bytes.
    fn vector(&mut self) -> Option<Bytes<'b>> {
        let length = usize::from(self.number()?);
        self.take(length).map(Bytes)
    }
}

#[cfg(test)]
mod tests;

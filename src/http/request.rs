//! The head of a request: parsed, checked, and kept until the exchange ends.

use super::connection::ConnectionOptions;
use super::context::Scheme;
use super::field::{Known, is_token_byte, members, trim};
use super::framing::BodyLength;
use super::head::{
    EndScan, Field, FieldPlaces, Parsed, Section, SectionEnd, Span, Version, syntax_reason,
};
use super::host::Authority;
use super::limits::HeadLimits;
use super::method::Method;
use super::path;
use super::reject::{RejectReason, Rejection};
use super::target::{self, Target};

/// A request head. One value serves for one head after the other, and allocates nothing once it
/// has seen a long one.
///
/// After a rejection, the method and the target are still there if they could be told, for the
/// log.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    scan: EndScan,
    section: Section,
    method: Method,
    method_span: Span,
    target_span: Span,
    version: Version,
    target: Target,
    /// Host and port as the client gave them; empty where it gave none.
    authority: Span,
    /// In its one form, without port.
    host: String,
    /// Normalised.
    path: String,
    /// As some servers read it; empty where all read it the same.
    other_path: String,
    connection: ConnectionOptions,
    body: BodyLength,
    upgrade: Span,
    max_forwards: Option<u32>,
}

impl RequestHead {
    /// Parses a head from its first byte on. While it is partial, call again with the same bytes
    /// and more behind them; only those are looked at. The call after that begins a new head.
    ///
    /// One empty line before the request line is skipped (RFC 9112, section 2.2). All that can be
    /// wrong with a head is found here: bad syntax, framing that is not beyond doubt, a host that
    /// is missing, double or contradictory, a path that could mean two things.
    pub fn parse(&mut self, bytes: &[u8], limits: &HeadLimits) -> Parsed {
        const EMPTY_LINE: &[u8] = b"\r\n";
        let skipped = if bytes.starts_with(EMPTY_LINE) { EMPTY_LINE.len() } else { 0 };
        let head = &bytes[skipped..];
        let outcome = match self.find_end(head, limits) {
            Ok(None) => return Parsed::Partial,
            Ok(Some(length)) => self.read(&head[..length], limits).map(|()| skipped + length),
            Err(reason) => {
                self.forget();
                Err(reason)
            }
        };
        self.scan = EndScan::default();
        match outcome {
            Ok(length) => Parsed::Complete { length },
            Err(reason) => Parsed::Rejected(Rejection::of_request(reason)),
        }
    }

    /// Forgets the head and whatever was seen of the next; keeps the memory.
    pub fn clear(&mut self) {
        self.forget();
        self.scan = EndScan::default();
    }

    fn find_end(
        &mut self,
        head: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<usize>, RejectReason> {
        match head {
            [] | [b'\r'] => return Ok(None),
            // What is not HTTP at all, such as a TLS handshake, need not wait for a timeout.
            [first, ..] if !is_token_byte(*first) => return Err(RejectReason::StartLine),
            _ => {}
        }
        match self.scan.find(head, limits.head_size) {
            SectionEnd::Ahead => Ok(None),
            SectionEnd::At(length) => Ok(Some(length)),
            SectionEnd::BareLineFeed => Err(RejectReason::BareLineFeed),
            SectionEnd::TooFar if self.scan.is_in_first_line() => Err(RejectReason::TargetSize),
            SectionEnd::TooFar => Err(RejectReason::HeadSize),
        }
    }

    fn forget(&mut self) {
        self.section.clear();
        self.connection.clear();
        self.host.clear();
        self.path.clear();
        self.other_path.clear();
        self.method = Method::Other;
        self.version = Version::Http11;
        self.target = Target::default();
        self.body = BodyLength::None;
        self.max_forwards = None;
        (self.method_span, self.target_span) = Default::default();
        (self.authority, self.upgrade) = Default::default();
    }

    fn read(&mut self, head: &[u8], limits: &HeadLimits) -> Result<(), RejectReason> {
        self.forget();
        let mut places = FieldPlaces::new();
        let mut line = httparse::Request::new(&mut []);
        let result = line.parse_with_uninit_headers(head, places.up_to(limits.fields_max));
        let is_whole = matches!(result, Ok(httparse::Status::Complete(_)));
        self.section.keep(head, if is_whole { line.headers } else { &[] });
        if let Some(method) = line.method {
            self.method = Method::of(method.as_bytes());
            self.method_span = Span::within(head, method.as_bytes());
        }
        if let Some(target) = line.path {
            self.target_span = Span::within(head, target.as_bytes());
        }
        self.version = Version::of(line.version);
        match result {
            Ok(httparse::Status::Complete(length)) if length == head.len() => self.check(limits),
            Ok(_) => Err(RejectReason::StartLine),
            Err(httparse::Error::Version) => Err(version_reason(head)),
            Err(error) => Err(syntax_reason(error)),
        }
    }

    fn check(&mut self, limits: &HeadLimits) -> Result<(), RejectReason> {
        if self.target_span.of(self.section.bytes()).len() > limits.target_size {
            return Err(RejectReason::TargetSize);
        }
        if self.method == Method::Connect {
            return Err(RejectReason::Connect);
        }
        self.body = self.section.examine(&mut self.connection)?.of_request(self.version)?;
        self.check_target()?;
        self.check_host()?;
        self.check_max_forwards()?;
        self.find_upgrade();
        Ok(())
    }

    /// RFC 9110, section 7.6.2: for these two methods alone.
    fn check_max_forwards(&mut self) -> Result<(), RejectReason> {
        let mut values = self.section.values(Known::MaxForwards);
        if matches!(self.method, Method::Trace | Method::Options)
            && let Some(value) = values.next()
        {
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            if !is_number || values.next().is_some() {
                return Err(RejectReason::Field);
            }
            let add = |number: u32, digit: &u8| {
                number.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
            };
            self.max_forwards = Some(value.iter().fold(0, add));
        }
        Ok(())
    }

    fn check_target(&mut self) -> Result<(), RejectReason> {
        let target = self.target_span.of(self.section.bytes());
        self.target = target::parse(target, self.target_span, self.method)?;
        let is_asterisk = target == b"*";
        match self.target.path.of(self.section.bytes()) {
            _ if is_asterisk => self.path.push('*'),
            // RFC 9112, section 3.2.4: `OPTIONS http://host` asks for what `OPTIONS *` does.
            [] if self.method == Method::Options && self.target.query.is_empty() => {
                self.path.push('*');
            }
            [] => self.path.push('/'),
            path => {
                path::normalise(path, &mut self.path)?;
                path::other_reading(&self.path, &mut self.other_path);
            }
        }
        Ok(())
    }

    /// RFC 9112, section 3.2. Where the target itself names a host, that one counts; here, `Host`
    /// must not contradict it.
    fn check_host(&mut self) -> Result<(), RejectReason> {
        let bytes = self.section.bytes();
        let mut values = self.section.values(Known::Host);
        let value = values.next();
        if values.next().is_some() {
            return Err(RejectReason::HostDuplicate);
        }
        let parse = |text| Authority::parse(text).ok_or(RejectReason::HostInvalid);
        let named = value.map(parse).transpose()?;
        let targeted = self.target.authority.map(|span| parse(span.of(bytes))).transpose()?;
        let authority = match (targeted, named) {
            (Some(targeted), Some(named)) => {
                if !targeted.agrees_with(&named, self.target.scheme.port()) {
                    return Err(RejectReason::HostMismatch);
                }
                Some(targeted)
            }
            (targeted, named) => targeted.or(named),
        };
        if value.is_none() && self.version == Version::Http11 {
            return Err(RejectReason::HostMissing);
        }
        if let Some(authority) = authority {
            authority.write_host(&mut self.host);
        }
        self.authority =
            self.target.authority.or(value.map(|it| self.section.span(it))).unwrap_or_default();
        Ok(())
    }

    fn find_upgrade(&mut self) {
        let is_http11 = self.version == Version::Http11;
        let mut protocols = self.section.values(Known::Upgrade);
        if let (Some(protocol), None) = (protocols.next(), protocols.next())
            && is_http11
            && self.connection.has_upgrade
            && may_upgrade_to(protocol)
        {
            self.upgrade = self.section.span(protocol);
        }
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as it was sent.
    pub fn method_text(&self) -> &str {
        self.method_span.text(self.section.bytes())
    }

    /// The request-target as it was sent.
    pub fn target(&self) -> &str {
        self.target_span.text(self.section.bytes())
    }

    /// The version of the client.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The host that was asked for, in lower case, without port and final dot; an IPv6 address in
    /// brackets, in the form of RFC 5952. Empty where an HTTP/1.0 client named none.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host and port as the client gave them; empty where it gave none.
    pub fn authority(&self) -> &str {
        self.authority.text(self.section.bytes())
    }

    /// The scheme of an absolute target; `http` for any other.
    pub fn scheme(&self) -> Scheme {
        self.target.scheme
    }

    /// The path in the form that routes are compared with (see [`path::normalise`]): it begins
    /// with `/`. Or `*`, for a request about the server as a whole (RFC 9112, section 3.2.4).
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path as some servers read it, where they do so in another way than others (see
    /// [`path::other_reading`]).
    pub fn other_path(&self) -> Option<&str> {
        (!self.other_path.is_empty()).then_some(&self.other_path)
    }

    /// The query as it was sent, with its question mark; empty where there is none.
    pub fn query(&self) -> &str {
        self.target.query.text(self.section.bytes())
    }

    /// The path as it was sent; empty where an absolute target has none.
    pub(super) fn path_as_sent(&self) -> &[u8] {
        self.target.path.of(self.section.bytes())
    }

    /// The fields in the order in which they were sent.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + Clone {
        self.section.fields()
    }

    /// The values of all fields of one kind.
    pub fn values(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.section.values(known)
    }

    /// The value of the first field of this name; case does not matter.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.section.value(name)
    }

    /// How long the body is; never [`BodyLength::UntilEnd`].
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// Whether the client would use the connection for another request.
    pub fn keeps_alive(&self) -> bool {
        self.connection.keeps_alive(self.version)
    }

    /// How many proxies may still pass the request on (RFC 9110, section 7.6.2); `None` where
    /// nothing bounds that. With 0, this one must answer itself.
    pub fn max_forwards(&self) -> Option<u32> {
        self.max_forwards
    }

    /// The protocol that the client would switch to (RFC 9110, section 7.8), such as `websocket`.
    ///
    /// Never another version of HTTP, which would carry requests past the routes, nor TLS; and
    /// none where several are offered.
    pub fn upgrade(&self) -> Option<&str> {
        (!self.upgrade.is_empty()).then(|| self.upgrade.text(self.section.bytes()))
    }

    /// Whether the client takes trailers (RFC 9110, section 10.1.4).
    pub fn takes_trailers(&self) -> bool {
        let mut codings = self.section.values(Known::Te).flat_map(members);
        codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
    }

    /// Whether a field is for this hop only, by its name or because `Connection` names it.
    pub(super) fn is_hop_by_hop(&self, field: &Field<'_>) -> bool {
        field.known.is_some_and(Known::is_hop_by_hop)
            || self.connection.names(field.name, self.section.bytes())
    }

    /// Bytes of memory that it holds, for whoever bounds that.
    pub fn memory(&self) -> usize {
        let texts = [&self.host, &self.path, &self.other_path];
        self.section.memory() + texts.map(String::capacity).iter().sum::<usize>()
    }
}

/// A version that is well-formed and not supported, or no version at all.
fn version_reason(head: &[u8]) -> RejectReason {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    match (words.next().unwrap_or_default(), words.next()) {
        ([b'H', b'T', b'T', b'P', b'/', major, b'.', minor], None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            RejectReason::Version
        }
        _ => RejectReason::StartLine,
    }
}

fn may_upgrade_to(protocol: &[u8]) -> bool {
    let protocol = trim(protocol);
    let begins_with =
        |text: &[u8]| protocol.get(..text.len()).is_some_and(|it| it.eq_ignore_ascii_case(text));
    let is_protocol_byte = |byte: &u8| is_token_byte(*byte) || *byte == b'/';
    !protocol.is_empty()
        && protocol.iter().all(is_protocol_byte)
        && ![&b"h2"[..], b"http/", b"tls/"].into_iter().any(begins_with)
}

#[cfg(test)]
mod tests;

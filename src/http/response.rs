//! The head of a response: parsed, checked against its request, and kept until it is rewritten.

use super::connection::ConnectionOptions;
use super::field::Known;
use super::framing::BodyLength;
use super::head::{
    EndScan, Field, FieldPlaces, Parsed, Section, SectionEnd, Span, Version, syntax_reason,
};
use super::limits::HeadLimits;
use super::method::Method;
use super::reject::{RejectReason, Rejection};
use super::request::RequestHead;

/// A response head. One value serves for one head after the other, and allocates nothing once it
/// has seen a long one.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    scan: EndScan,
    section: Section,
    version: Version,
    status: u16,
    reason: Span,
    connection: ConnectionOptions,
    /// What the framing fields say.
    declared: BodyLength,
    body: BodyLength,
}

impl ResponseHead {
    /// Parses a head from its first byte on, in answer to `request`. While it is partial, call
    /// again with the same bytes and more behind them; only those are looked at. The call after
    /// that begins a new head, which is also the case after an interim response.
    ///
    /// All that can be wrong with a head is found here: bad syntax, framing that is not beyond
    /// doubt, and a switch to a protocol that `request` did not ask for.
    pub fn parse(&mut self, bytes: &[u8], limits: &HeadLimits, request: &RequestHead) -> Parsed {
        let outcome = match self.find_end(bytes, limits) {
            Ok(None) => return Parsed::Partial,
            Ok(Some(length)) => self.read(&bytes[..length], limits, request).map(|()| length),
            Err(reason) => Err(reason),
        };
        self.scan = EndScan::default();
        match outcome {
            Ok(length) => Parsed::Complete { length },
            Err(reason) => Parsed::Rejected(Rejection::of_response(reason)),
        }
    }

    /// Forgets the head and whatever was seen of the next; keeps the memory.
    pub fn clear(&mut self) {
        self.section.clear();
        self.connection.clear();
        self.scan = EndScan::default();
        self.version = Version::Http11;
        self.status = 0;
        self.reason = Span::default();
        (self.declared, self.body) = Default::default();
    }

    fn find_end(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<usize>, RejectReason> {
        if bytes.first().is_some_and(|first| *first != b'H') {
            return Err(RejectReason::StartLine);
        }
        match self.scan.find(bytes, limits.head_size) {
            SectionEnd::Ahead => Ok(None),
            SectionEnd::At(length) => Ok(Some(length)),
            SectionEnd::BareLineFeed => Err(RejectReason::BareLineFeed),
            SectionEnd::TooFar => Err(RejectReason::HeadSize),
        }
    }

    fn read(
        &mut self,
        head: &[u8],
        limits: &HeadLimits,
        request: &RequestHead,
    ) -> Result<(), RejectReason> {
        self.clear();
        let mut places = FieldPlaces::new();
        let mut line = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let result = parser.parse_response_with_uninit_headers(
            &mut line,
            head,
            places.up_to(limits.fields_max),
        );
        match result {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(RejectReason::StartLine),
            Err(error) => return Err(syntax_reason(error)),
        }
        self.section.keep(head, line.headers);
        self.version = Version::of(line.version);
        self.status = line.code.unwrap_or_default();
        // Where it is not ASCII, httparse gives an empty one from elsewhere.
        self.reason = line
            .reason
            .filter(|reason| !reason.is_empty())
            .map_or_else(Span::default, |reason| Span::within(head, reason.as_bytes()));
        self.check(request)
    }

    fn check(&mut self, request: &RequestHead) -> Result<(), RejectReason> {
        if !(100..=599).contains(&self.status) {
            return Err(RejectReason::StartLine);
        }
        let framing = self.section.examine(&mut self.connection)?;
        self.declared = framing.of_response(self.version)?;
        let has_none =
            request.method() == Method::Head || matches!(self.status, 100..=199 | 204 | 304);
        self.body = if has_none { BodyLength::None } else { self.declared };
        if self.is_switch() {
            let asked = request.upgrade().ok_or(RejectReason::Upgrade)?;
            let mut answered = self.section.values(Known::Upgrade);
            match (answered.next(), answered.next()) {
                (Some(protocol), None)
                    if self.connection.has_upgrade
                        && protocol.eq_ignore_ascii_case(asked.as_bytes()) => {}
                _ => return Err(RejectReason::Upgrade),
            }
        }
        Ok(())
    }

    /// The status, from 100 to 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase as it was sent; empty where it is not ASCII.
    pub fn reason(&self) -> &str {
        self.reason.text(self.section.bytes())
    }

    /// The version of the server.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether another response to the same request follows (RFC 9110, section 15.2): any 1xx but
    /// 101.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100..=199) && !self.is_switch()
    }

    /// Whether the connection speaks another protocol behind this head (RFC 9110, section
    /// 15.2.2): the one that the request asked for.
    pub fn is_switch(&self) -> bool {
        self.status == 101
    }

    /// How long the body is.
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// What the framing fields say of the body that a response like this would have, were it not
    /// one without: to `HEAD`, or with status 304.
    pub(super) fn declared(&self) -> BodyLength {
        self.declared
    }

    /// Whether the server would use the connection for another request. Not where the connection
    /// itself ends the body.
    pub fn keeps_alive(&self) -> bool {
        self.connection.keeps_alive(self.version)
            && self.body != BodyLength::UntilEnd
            && !self.is_switch()
    }

    /// The fields in the order in which they were sent.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
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

    /// Whether a field is for this hop only, by its name or because `Connection` names it.
    pub(super) fn is_hop_by_hop(&self, field: &Field<'_>) -> bool {
        field.known.is_some_and(Known::is_hop_by_hop)
            || self.connection.names(field.name, self.section.bytes())
    }

    /// Bytes of memory that it holds, for whoever bounds that.
    pub fn memory(&self) -> usize {
        self.section.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{lines, request, response, try_response};
    use super::*;

    fn get() -> RequestHead {
        request(&["GET / HTTP/1.1", "Host: a"])
    }

    fn rejected(text: &str, request: &RequestHead) -> Option<RejectReason> {
        match try_response(text, request).1 {
            Parsed::Rejected(rejection) => {
                assert_eq!(rejection.status, 502, "{text}");
                Some(rejection.reason)
            }
            _ => None,
        }
    }

    #[test]
    fn a_head_is_understood() {
        let head = response(&["HTTP/1.1 404 Not  Here", "Content-Length: 3", "X-A: b"], &get());
        assert_eq!((head.status(), head.reason()), (404, "Not  Here"));
        assert_eq!((head.version(), head.body()), (Version::Http11, BodyLength::Length(3)));
        assert_eq!((head.value("x-a"), head.fields().count()), (Some(&b"b"[..]), 2));
        assert!(head.keeps_alive() && !head.is_interim() && !head.is_switch());
        for line in ["HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.1 200 \u{e4}"] {
            assert_eq!(response(&[line], &get()).reason(), "", "{line}");
        }
    }

    #[test]
    fn bodies_depend_on_status_and_method() {
        let check = |method: &str, status: u16, field: &str, expected: BodyLength| {
            let request = request(&[&format!("{method} / HTTP/1.1"), "Host: a"]);
            let head = response(&[&format!("HTTP/1.1 {status} x"), field], &request);
            assert_eq!(head.body(), expected, "{method} {status} {field}");
        };
        check("GET", 200, "X: y", BodyLength::UntilEnd);
        check("GET", 200, "Content-Length: 5", BodyLength::Length(5));
        check("GET", 200, "Transfer-Encoding: chunked", BodyLength::Chunked);
        check("POST", 500, "X: y", BodyLength::UntilEnd);
        for field in ["X: y", "Content-Length: 5", "Transfer-Encoding: chunked"] {
            check("HEAD", 200, field, BodyLength::None);
            check("GET", 103, field, BodyLength::None);
            check("GET", 204, field, BodyLength::None);
            check("GET", 304, field, BodyLength::None);
        }
    }

    #[test]
    fn only_a_framed_response_keeps_the_connection() {
        let check = |version: &str, fields: &[&str], expected: bool| {
            let line = format!("{version} 200 OK");
            let head = response(&[&[&*line], fields].concat(), &get());
            assert_eq!(head.keeps_alive(), expected, "{version} {fields:?}");
        };
        check("HTTP/1.1", &["Content-Length: 0"], true);
        check("HTTP/1.1", &["Content-Length: 0", "Connection: close"], false);
        check("HTTP/1.1", &[], false);
        check("HTTP/1.0", &["Content-Length: 0"], false);
        check("HTTP/1.0", &["Content-Length: 0", "Connection: keep-alive"], true);
    }

    #[test]
    fn a_switch_is_one_that_was_asked_for() {
        let asking =
            request(&["GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: websocket"]);
        let switch = |fields: &[&str]| lines(&[&["HTTP/1.1 101 Switching"], fields].concat());
        let right = switch(&["Connection: Upgrade", "Upgrade: WebSocket"]);
        let (head, parsed) = try_response(&right, &asking);
        assert_eq!(parsed, Parsed::Complete { length: right.len() });
        assert!(head.is_switch() && !head.is_interim() && !head.keeps_alive());
        assert_eq!(rejected(&right, &get()), Some(RejectReason::Upgrade));
        let wrong = [
            &["Upgrade: websocket"][..],
            &["Connection: upgrade"],
            &["Connection: upgrade", "Upgrade: h2c"],
            &["Connection: upgrade", "Upgrade: websocket, h2c"],
            &["Connection: upgrade", "Upgrade: websocket", "Upgrade: websocket"],
        ];
        for fields in wrong {
            assert_eq!(rejected(&switch(fields), &asking), Some(RejectReason::Upgrade));
        }
        let interim = response(&["HTTP/1.1 103 Early Hints", "Link: </a>"], &get());
        assert!(interim.is_interim() && interim.body().is_empty());
    }

    #[test]
    fn what_is_no_response_is_refused() {
        let check = |text: &str, expected: RejectReason| {
            assert_eq!(rejected(text, &get()), Some(expected), "{text:?}");
        };
        let start_lines = [
            "HTTP/1.1 099 x",
            "HTTP/1.1 600 x",
            "HTTP/1.1 20 x",
            "HTTP/1.1 2000 x",
            "HTTP/2.0 200 x",
            "HTTP/1.1  200 x",
            "HTTP/1.1 200x",
            "HTTP/1.1 +20 x",
            "HTTP/1.1 200 a\0b",
            "HTTP 200 x",
        ];
        for line in start_lines {
            check(&lines(&[line]), RejectReason::StartLine);
        }
        check("\r\n", RejectReason::StartLine);
        check("<html>", RejectReason::StartLine);
        check("HTTP/1.1 200 OK\nX: y\n\n", RejectReason::BareLineFeed);
        for field in ["X : y", " X: y", "X", ": y", "X: a\rb", "X: a\0b"] {
            check(&lines(&["HTTP/1.1 200 OK", field]), RejectReason::Field);
        }
        let both = ["HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked"];
        check(&lines(&both), RejectReason::BothFramings);
        let differing = ["HTTP/1.1 204 No Content", "Content-Length: 5", "Content-Length: 6"];
        check(&lines(&differing), RejectReason::ContentLengthDiffering);
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(32 << 10));
        check(&endless, RejectReason::HeadSize);
    }
}

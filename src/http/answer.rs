//! Answers of the proxy itself: what went wrong, a redirect, or what a route responds.

use std::time::Duration;

use super::context::{Context, write_number};
use super::edits::FieldTemplate;
use super::field::{Known, is_alike, members, trim};
use super::framing::BodyLength;
use super::head::{Field, Version};
use super::method::Method;
use super::request::RequestHead;
use super::rewrite::{write_framing, write_line};
use super::status;
use super::template::Template;

/// What an answer says.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// The status in words and the id of the request, as text or as JSON, by `Accept`.
    Explanation,
    /// The same, and after how long to try again, in whole seconds, one at least (RFC 9110,
    /// section 10.2.3).
    TryAgain {
        /// How long.
        after: Duration,
    },
    /// Where to go instead, and an explanation.
    Redirect {
        /// The value of `Location`.
        to: &'a Template,
        /// Further field lines; none of them `Location` or `Content-Type`.
        fields: &'a [FieldTemplate],
    },
    /// What a route responds.
    Given {
        /// Field lines. Where none is a `Content-Type`, the body is plain text.
        fields: &'a [FieldTemplate],
        /// The body.
        body: &'a [u8],
    },
    /// Which methods there are, in answer to `OPTIONS` (RFC 9110, section 9.3.7).
    Methods,
    /// The head of the request, in answer to `TRACE` (RFC 9110, section 9.3.8), without what is
    /// secret.
    Echo,
}

/// An answer of the proxy itself.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status, from 200 to 599.
    pub status: u16,
    /// What it says.
    pub content: Content<'a>,
    /// Whether the client's connection goes on; not where the framing of its request is in doubt.
    pub keeps_alive: bool,
    /// The time now.
    pub date: &'a str,
}

impl Answer<'_> {
    /// Appends the answer, head and body, to a request whose head may be unknown or half known.
    pub fn write(&self, request: &RequestHead, context: &Context<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        write_number(u64::from(self.status), out);
        out.push(b' ');
        out.extend_from_slice(status::reason(self.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        let fields = match self.content {
            Content::Given { fields, .. } | Content::Redirect { fields, .. } => fields,
            Content::Explanation | Content::TryAgain { .. } | Content::Methods | Content::Echo => {
                &[]
            }
        };
        let is_given = |name: &str| fields.iter().any(|it| it.name.matches(name.as_bytes()));
        if !is_given("Date") {
            write_line("Date", self.date.as_bytes(), out);
        }
        for field in fields {
            field.write(request, context, out);
        }
        if let Content::Redirect { to, .. } = self.content {
            out.extend_from_slice(b"Location: ");
            to.render(request, context, out);
            out.extend_from_slice(b"\r\n");
        }
        if let Content::TryAgain { after } = self.content {
            out.extend_from_slice(b"Retry-After: ");
            write_number(after.as_nanos().div_ceil(1_000_000_000).max(1) as u64, out);
            out.extend_from_slice(b"\r\n");
        }
        let request_id = context.request_id.as_str();
        if !is_given("X-Request-Id") {
            write_line("X-Request-Id", request_id.as_bytes(), out);
        }
        let options: &[u8] = match (self.keeps_alive, request.version()) {
            (false, _) => b"Connection: close\r\n",
            (true, Version::Http10) => b"Connection: keep-alive\r\n",
            (true, Version::Http11) => b"",
        };
        out.extend_from_slice(options);
        match self.content {
            // RFC 9110, sections 8.6 and 15.4.5.
            _ if matches!(self.status, 204 | 304) => out.extend_from_slice(b"\r\n"),
            Content::Given { body, .. } => {
                let has_type = is_given("Content-Type") || body.is_empty();
                let media_type = (!has_type).then_some(TEXT);
                write_body(request, media_type, [body].into_iter(), out);
            }
            Content::Methods => {
                write_line("Allow", ALLOW.as_bytes(), out);
                write_body(request, None, std::iter::empty(), out);
            }
            Content::Echo => write_body(request, Some(HTTP), echo(request), out),
            Content::Explanation | Content::TryAgain { .. } | Content::Redirect { .. } => {
                self.write_explanation(request, request_id, out);
            }
        }
    }

    /// The parts hold no byte that JSON would have to escape: status, reason and id are of plain
    /// letters, digits and punctuation.
    fn write_explanation(&self, request: &RequestHead, request_id: &str, out: &mut Vec<u8>) {
        let digits = [self.status / 100, self.status / 10 % 10, self.status % 10];
        let digits = digits.map(|digit| b'0' + digit as u8);
        let reason = status::reason(self.status);
        let (media_type, [before, between, behind, end]) = match prefers_json(request) {
            true => (JSON, ["{\"status\":", ",\"error\":\"", "\",\"request_id\":\"", "\"}\n"]),
            false => (TEXT, ["", " ", "\nrequest id: ", "\n"]),
        };
        let parts = [before.as_bytes(), &digits, between.as_bytes(), reason.as_bytes()];
        let rest = [behind.as_bytes(), request_id.as_bytes(), end.as_bytes()];
        write_body(request, Some(media_type), parts.into_iter().chain(rest), out);
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTTP: &str = "message/http";

/// The methods that are passed on; any other that is a token is so too.
const ALLOW: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH";

/// Fields that `TRACE` does not show, for a script that may not read them could read its answer.
const SECRET: [&str; 4] = ["authorization", "cookie", "cookie2", "proxy-authorization"];

/// The head of a request in parts, as it was sent.
fn echo(request: &RequestHead) -> impl Iterator<Item = &[u8]> + Clone {
    let start = [request.method_text(), " ", request.target(), " ", request.version().label()];
    let is_shown =
        |field: &Field<'_>| !SECRET.iter().any(|secret| is_alike(field.name, secret.as_bytes()));
    let fields = request.fields().filter(is_shown);
    let fields = fields.flat_map(|field| [b"\r\n", field.name, b": ", field.value]);
    start.into_iter().map(str::as_bytes).chain(fields).chain([&b"\r\n\r\n"[..]])
}

/// Appends the last fields of a head, and a body in parts; only its length, in answer to `HEAD`.
fn write_body<'p>(
    request: &RequestHead,
    media_type: Option<&str>,
    parts: impl Iterator<Item = &'p [u8]> + Clone,
    out: &mut Vec<u8>,
) {
    if let Some(media_type) = media_type {
        write_line("Content-Type", media_type.as_bytes(), out);
    }
    let length = parts.clone().map(|part| part.len() as u64).sum();
    write_framing(BodyLength::Length(length), out);
    out.extend_from_slice(b"\r\n");
    if request.method() != Method::Head {
        parts.for_each(|part| out.extend_from_slice(part));
    }
}

/// Whether `Accept` names JSON, and nothing that plain text would serve better (RFC 9110, section
/// 12.5.1).
fn prefers_json(request: &RequestHead) -> bool {
    let (mut json, mut text) = (0, 0);
    for range in request.values(Known::Accept).flat_map(members) {
        let mut parameters = range.split(|byte| *byte == b';').map(trim);
        let media_type = parameters.next().unwrap_or_default();
        let weight = parameters.find_map(weight).unwrap_or(WEIGHT_MAX);
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());
        if is("application/json") || is("application/problem+json") {
            json = json.max(weight);
        } else if is("text/plain") || is("text/html") || is("text/*") {
            text = text.max(weight);
        }
    }
    json > text
}

/// `q=1`, in thousandths.
const WEIGHT_MAX: u32 = 1000;

/// The weight of a media range, in thousandths, if this parameter is one (RFC 9110, section
/// 12.4.2).
fn weight(parameter: &[u8]) -> Option<u32> {
    let digits = match parameter {
        [b'q' | b'Q', b'=', b'1', ..] => return Some(WEIGHT_MAX),
        [b'q' | b'Q', b'=', b'0', b'.', digits @ ..] => digits,
        [b'q' | b'Q', b'=', ..] => return Some(0),
        _ => return None,
    };
    let places = [100, 10, 1];
    let worth = |(digit, place): (&u8, u32)| char::from(*digit).to_digit(10).unwrap_or(0) * place;
    Some(digits.iter().zip(places).map(worth).sum())
}

#[cfg(test)]
mod tests {
    use super::super::field::FieldName;
    use super::super::request_id::RequestId;
    use super::super::samples::{context, request, try_request, written};
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn answered(
        head: &RequestHead,
        status: u16,
        content: Content<'_>,
        keeps_alive: bool,
    ) -> String {
        let request_id = RequestId::new(1);
        let answer = Answer { status, content, keeps_alive, date: DATE };
        written(|out| answer.write(head, &context(&request_id), out))
    }

    #[test]
    fn an_explanation_is_text_or_json() {
        let id = RequestId::new(1);
        let check = |accept: &str, media_type: &str, body: &str| {
            let head = request(&["GET / HTTP/1.1", "Host: a", &format!("Accept: {accept}")]);
            let expected = format!(
                "HTTP/1.1 404 Not Found\r\nDate: {DATE}\r\nX-Request-Id: {}\r\n\
                 Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
                id.as_str(),
                body.len()
            );
            assert_eq!(answered(&head, 404, Content::Explanation, true), expected, "{accept}");
        };
        let text = format!("404 Not Found\nrequest id: {}\n", id.as_str());
        let json = format!(
            "{{\"status\":404,\"error\":\"Not Found\",\"request_id\":\"{}\"}}\n",
            id.as_str()
        );
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json;q=0",
            "application/json;q=0.5, text/plain;q=0.9",
            "text/plain, application/json",
        ] {
            check(accept, "text/plain; charset=utf-8", &text);
        }
        for accept in [
            "application/json",
            "Application/JSON;charset=utf-8, */*",
            "application/problem+json",
            "text/plain;q=0.5, application/json;q=0.51",
            "application/json; q=1.0",
        ] {
            check(accept, "application/json", &json);
        }
    }

    #[test]
    fn the_connection_is_told_of() {
        let check = |line: &str, keeps_alive: bool, expected: Option<&str>| {
            let head = request(&[line, "Host: a"]);
            let text = answered(&head, 404, Content::Explanation, keeps_alive);
            let found = text.lines().find_map(|line| line.strip_prefix("Connection: "));
            assert_eq!(found, expected, "{line}");
        };
        check("GET / HTTP/1.1", true, None);
        check("GET / HTTP/1.1", false, Some("close"));
        check("GET / HTTP/1.0", true, Some("keep-alive"));
        check("GET / HTTP/1.0", false, Some("close"));
    }

    #[test]
    fn head_and_some_statuses_have_no_body() {
        let head = request(&["HEAD / HTTP/1.1", "Host: a"]);
        let text = answered(&head, 503, Content::Explanation, true);
        assert!(text.contains("Content-Length: 69\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        let head = request(&["GET / HTTP/1.1", "Host: a"]);
        let text = answered(&head, 204, Content::Given { fields: &[], body: b"" }, true);
        assert!(!text.contains("Content-") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[test]
    fn options_are_told() {
        let head = request(&["OPTIONS * HTTP/1.1", "Host: a", "Max-Forwards: 0"]);
        let text = answered(&head, 200, Content::Methods, true);
        assert!(text.contains("\r\nAllow: GET, HEAD, POST, "), "{text}");
        assert!(text.ends_with("\r\nContent-Length: 0\r\n\r\n"), "{text}");
    }

    #[test]
    fn a_traced_head_comes_back_without_secrets() {
        let head = request(&[
            "TRACE http://a/b?c HTTP/1.1",
            "Host: a",
            "COOKIE: secret",
            "Authorization: secret",
            "proxy_authorization: secret",
            "Max-Forwards: 0",
        ]);
        let text = answered(&head, 200, Content::Echo, true);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let expected = "TRACE http://a/b?c HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n";
        assert_eq!(body, expected);
        let fields = format!("Content-Type: message/http\r\nContent-Length: {}", expected.len());
        assert!(head.ends_with(&fields), "{head}");
    }

    #[test]
    fn a_refused_head_is_answered() {
        let (head, _) = try_request("GARBAGE\n");
        let text = answered(&head, 400, Content::Explanation, false);
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
        assert!(
            text.contains("\r\nConnection: close\r\n") && text.contains("\n\r\n400 Bad"),
            "{text}"
        );
    }

    #[test]
    fn redirects_say_where_to() {
        let head = request(&["GET /a%20/../b?c HTTP/1.1", "Host: A.example:8080"]);
        let location = Template::parse_location("https://{host}{path}{query}").unwrap();
        let content = Content::Redirect { to: &location, fields: &[] };
        let text = answered(&head, 308, content, true);
        assert!(text.contains("\r\nLocation: https://a.example/b?c\r\n"), "{text}");
        assert!(
            text.ends_with("\n") && text.contains("308 Permanent Redirect\nrequest id"),
            "{text}"
        );
    }

    #[test]
    fn redirects_have_the_fields_of_the_configuration() {
        let head = request(&["GET / HTTP/1.1", "Host: a"]);
        let to = Template::parse_location("/here").unwrap();
        let fields = [field("X-A", "{path}")];
        let text = answered(&head, 308, Content::Redirect { to: &to, fields: &fields }, true);
        assert!(text.contains("\r\nX-A: /\r\nLocation: /here\r\n"), "{text}");
    }

    fn field(name: &str, value: &str) -> FieldTemplate {
        FieldTemplate {
            name: FieldName::editable(name).unwrap(),
            value: Template::parse(value).unwrap(),
        }
    }

    #[test]
    fn who_is_to_try_again_is_told_when() {
        let head = request(&["GET / HTTP/1.1", "Host: a"]);
        let check = |after: u64, expected: &str| {
            let content = Content::TryAgain { after: Duration::from_millis(after) };
            let answer = answered(&head, 429, content, true);
            assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer}");
            assert!(answer.contains(&format!("\r\nRetry-After: {expected}\r\n")), "{answer}");
            assert!(answer.contains("\r\n\r\n429 Too Many Requests\n"), "{answer}");
        };
        check(0, "1");
        check(1000, "1");
        check(1001, "2");
        check(3_600_000, "3600");
    }

    #[test]
    fn routes_respond_with_what_they_are_given() {
        let head = request(&["GET /a HTTP/1.1", "Host: a"]);
        let fields = [
            field("Content-Type", "text/css"),
            field("X-Path", "{path}"),
            field("Date", "never"),
            field("X-Request-Id", "hidden"),
        ];
        let content = Content::Given { fields: &fields, body: b"a {}" };
        let expected = "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nX-Path: /a\r\nDate: never\r\n\
                        X-Request-Id: hidden\r\nContent-Length: 4\r\n\r\na {}";
        assert_eq!(answered(&head, 200, content, true), expected);
        let text = answered(&head, 200, Content::Given { fields: &[], body: b"x" }, true);
        assert!(text.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"), "{text}");
    }
}

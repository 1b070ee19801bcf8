//! Answers of the proxy itself: what went wrong, a redirect, or what a route responds.

use super::context::{Context, write_number};
use super::edits::FieldTemplate;
use super::field::{Known, members, trim};
use super::framing::BodyLength;
use super::head::Version;
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
    /// Where to go instead, in `Location`; and an explanation.
    Redirect(&'a Template),
    /// What a route responds.
    Given {
        /// Field lines. Where none is a `Content-Type`, the body is plain text.
        fields: &'a [FieldTemplate],
        /// The body.
        body: &'a [u8],
    },
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
            Content::Given { fields, .. } => fields,
            Content::Explanation | Content::Redirect(_) => &[],
        };
        let is_given = |name: &str| fields.iter().any(|it| it.name.matches(name.as_bytes()));
        if !is_given("Date") {
            write_line("Date", self.date.as_bytes(), out);
        }
        for field in fields {
            field.write(request, context, out);
        }
        if let Content::Redirect(location) = self.content {
            out.extend_from_slice(b"Location: ");
            location.render(request, context, out);
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
            Content::Explanation | Content::Redirect(_) => {
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

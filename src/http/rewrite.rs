//! Heads as they go on: what was for this hop only is gone, what the configuration and the rules
//! for proxies add is there (RFC 9110, section 7.6).
//!
//! Framing is never copied but written anew from what it was understood to be, so that the next
//! recipient cannot understand it in another way.

use super::context::{Context, write_number};
use super::edits::HeaderEdits;
use super::field::Known;
use super::forwarded::{ForwardedPolicy, Hop, write_via};
use super::framing::BodyLength;
use super::head::{Field, Version};
use super::host::HostPolicy;
use super::prefix::PathEdit;
use super::request::RequestHead;
use super::response::ResponseHead;

/// What becomes of a request head on its way to the server.
#[derive(Debug, Clone, Copy)]
pub struct RequestRewrite<'a> {
    /// What `Host` the server sees.
    pub host: &'a HostPolicy,
    /// What path it sees.
    pub path: &'a PathEdit,
    /// Fields set, added and removed; they have the last word over `forwarded`.
    pub edits: &'a HeaderEdits,
    /// What it is told of the client.
    pub forwarded: &'a ForwardedPolicy,
    /// Whether the connection to the server may carry another request after this one.
    pub keeps_alive: bool,
}

/// Appends the head of a request as the server gets it, always in HTTP/1.1.
pub fn request(
    head: &RequestHead,
    rewrite: &RequestRewrite<'_>,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(head.method_text().as_bytes());
    out.push(b' ');
    write_target(head, rewrite.path, out);
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(host(head, rewrite.host, context).as_bytes());
    out.extend_from_slice(b"\r\n");
    let hop = Hop::new(rewrite.forwarded, context);
    for field in head.fields() {
        let is_kept = match field.known {
            Some(Known::Host | Known::ContentLength) => false,
            Some(Known::Trailer) => head.body() == BodyLength::Chunked,
            // A server must not see an expectation of HTTP/1.0 (RFC 9110, section 10.1.1).
            Some(Known::Expect) => head.version() == Version::Http11,
            Some(Known::MaxForwards) => head.max_forwards().is_none(),
            _ => hop.keeps(&field),
        };
        if is_kept && !head.is_hop_by_hop(&field) && !rewrite.edits.replaces(field.name) {
            write_field(&field, out);
        }
    }
    write_framing(head.body(), out);
    write_max_forwards(head, rewrite.edits, out);
    write_request_connection(head, rewrite.keeps_alive, out);
    hop.write(head, rewrite.edits, out);
    write_edits(rewrite.edits, head, context, out);
    out.extend_from_slice(b"\r\n");
}

fn write_target(head: &RequestHead, edit: &PathEdit, out: &mut Vec<u8>) {
    match (edit.apply(head.path()), head.path_as_sent()) {
        (Some(parts), _) => {
            parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        }
        (None, []) => out.extend_from_slice(head.path().as_bytes()),
        (None, sent) => out.extend_from_slice(sent),
    }
    out.extend_from_slice(head.query().as_bytes());
}

/// An HTTP/1.0 client may have named no host, but in HTTP/1.1 there must be one.
fn host<'a>(head: &'a RequestHead, policy: &'a HostPolicy, context: &'a Context<'_>) -> &'a str {
    match policy {
        HostPolicy::Preserve if !head.authority().is_empty() => head.authority(),
        HostPolicy::Preserve | HostPolicy::Upstream => context.server_authority(),
        HostPolicy::Name(name) => name.as_str(),
    }
}

/// One less than before (RFC 9110, section 7.6.2).
fn write_max_forwards(head: &RequestHead, edits: &HeaderEdits, out: &mut Vec<u8>) {
    if let Some(left) = head.max_forwards().filter(|_| !edits.replaces(b"Max-Forwards")) {
        out.extend_from_slice(b"Max-Forwards: ");
        write_number(u64::from(left.saturating_sub(1)), out);
        out.extend_from_slice(b"\r\n");
    }
}

fn write_request_connection(head: &RequestHead, keeps_alive: bool, out: &mut Vec<u8>) {
    let takes_trailers = head.takes_trailers();
    if takes_trailers {
        out.extend_from_slice(b"TE: trailers\r\n");
    }
    if let Some(protocol) = head.upgrade() {
        write_line("Upgrade", protocol.as_bytes(), out);
    }
    let options: &[u8] = match (takes_trailers, head.upgrade().is_some(), keeps_alive) {
        (true, true, _) => b"Connection: TE, upgrade\r\n",
        (false, true, _) => b"Connection: upgrade\r\n",
        (true, false, true) => b"Connection: TE\r\n",
        (true, false, false) => b"Connection: TE, close\r\n",
        (false, false, true) => b"",
        (false, false, false) => b"Connection: close\r\n",
    };
    out.extend_from_slice(options);
}

/// How a response reaches its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The framing towards the client. Where it is [`BodyLength::UntilEnd`] and the response came
    /// in chunks, the chunks are to be taken off.
    pub body: BodyLength,
    /// Whether the client's connection may carry another request after this response.
    pub keeps_alive: bool,
}

impl Delivery {
    /// How `response` reaches whoever sent `request`: no chunks for HTTP/1.0, and no other
    /// request after a body that ends with the connection. `keeps_alive` says whether all else
    /// speaks for keeping the client's connection.
    pub fn new(response: &ResponseHead, request: &RequestHead, keeps_alive: bool) -> Delivery {
        let body = match response.body() {
            BodyLength::Chunked if request.version() == Version::Http10 => BodyLength::UntilEnd,
            body => body,
        };
        let keeps_alive = keeps_alive && request.keeps_alive() && body != BodyLength::UntilEnd;
        Delivery { body, keeps_alive }
    }
}

/// What becomes of a response head on its way to the client.
#[derive(Debug, Clone, Copy)]
pub struct ResponseRewrite<'a> {
    /// Fields set, added and removed; not in interim responses.
    pub edits: &'a HeaderEdits,
    /// Whether `Via` names this proxy.
    pub via: bool,
    /// How the client gets it.
    pub delivery: Delivery,
    /// The value of a `Set-Cookie` that is added; empty for none.
    pub cookie: &'a [u8],
    /// The time now, for a response without `Date` (RFC 9110, section 6.6.1).
    pub date: &'a str,
}

/// Appends the head of a response as the client gets it, always in HTTP/1.1 (RFC 9110, section
/// 2.5). An interim response keeps its own fields and gets no others; to a client of HTTP/1.0 it
/// must not be sent at all (section 15.2).
pub fn response(
    head: &ResponseHead,
    request: &RequestHead,
    rewrite: &ResponseRewrite<'_>,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_number(u64::from(head.status()), out);
    out.push(b' ');
    out.extend_from_slice(head.reason().as_bytes());
    out.extend_from_slice(b"\r\n");
    let is_edited = |name: &[u8]| !head.is_interim() && rewrite.edits.replaces(name);
    for field in head.fields() {
        let is_kept = match field.known {
            Some(Known::ContentLength) => false,
            Some(Known::Trailer) => rewrite.delivery.body == BodyLength::Chunked,
            _ => true,
        };
        if is_kept && !head.is_hop_by_hop(&field) && !is_edited(field.name) {
            write_field(&field, out);
        }
    }
    if !head.is_interim() {
        write_framing(response_framing(head, request, rewrite.delivery), out);
        write_response_connection(head, request, rewrite.delivery, out);
        if head.values(Known::Date).next().is_none() && !rewrite.edits.replaces(b"Date") {
            write_line("Date", rewrite.date.as_bytes(), out);
        }
        if rewrite.via && !rewrite.edits.replaces(b"Via") {
            write_via(head.version(), out);
        }
        if !rewrite.cookie.is_empty() {
            write_line("Set-Cookie", rewrite.cookie, out);
        }
        write_edits(rewrite.edits, request, context, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Where there is no body, its length may be told all the same to `HEAD` and with 304; with 1xx
/// and 204 it must not (RFC 9110, section 8.6; RFC 9112, section 6.1).
fn response_framing(head: &ResponseHead, request: &RequestHead, delivery: Delivery) -> BodyLength {
    let is_bodiless = matches!(head.status(), 100..=199 | 204);
    match (delivery.body, head.declared()) {
        (BodyLength::None, _) if is_bodiless => BodyLength::None,
        (BodyLength::None, BodyLength::Chunked) if request.version() == Version::Http10 => {
            BodyLength::None
        }
        (BodyLength::None, declared) => declared,
        (body, _) => body,
    }
}

fn write_response_connection(
    head: &ResponseHead,
    request: &RequestHead,
    delivery: Delivery,
    out: &mut Vec<u8>,
) {
    // 426 names protocols that the client could have asked for (RFC 9110, section 15.5.22).
    let offers = head.is_switch() || head.status() == 426;
    let has_upgrade = offers && head.values(Known::Upgrade).next().is_some();
    if has_upgrade {
        head.values(Known::Upgrade).for_each(|value| write_line("Upgrade", value, out));
    }
    let is_old = request.version() == Version::Http10;
    let options: &[u8] = match (has_upgrade, delivery.keeps_alive || head.is_switch()) {
        (true, true) => b"Connection: upgrade\r\n",
        (true, false) => b"Connection: upgrade, close\r\n",
        (false, true) if is_old => b"Connection: keep-alive\r\n",
        (false, true) => b"",
        (false, false) => b"Connection: close\r\n",
    };
    out.extend_from_slice(options);
}

/// Appends the field that says where the body ends.
pub(super) fn write_framing(body: BodyLength, out: &mut Vec<u8>) {
    match body {
        BodyLength::None | BodyLength::UntilEnd => {}
        BodyLength::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            write_number(length, out);
            out.extend_from_slice(b"\r\n");
        }
        BodyLength::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

/// Appends the field lines that the configuration sets and adds.
pub(super) fn write_edits(
    edits: &HeaderEdits,
    head: &RequestHead,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) {
    for field in edits.lines() {
        field.write(head, context, out);
    }
}

/// Appends a field line as it was sent, but for the white space around its value.
pub(super) fn write_field(field: &Field<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(field.name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(field.value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a field line.
pub(super) fn write_line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    write_field(&Field { name: name.as_bytes(), value, known: None }, out);
}

#[cfg(test)]
mod tests;

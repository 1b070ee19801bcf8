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
            _ => hop.keeps(&field),
        };
        if is_kept && !head.is_hop_by_hop(&field) && !rewrite.edits.replaces(field.name) {
            write_field(&field, out);
        }
    }
    write_framing(head.body(), out);
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
mod tests {
    use super::super::edits::FieldTemplate;
    use super::super::field::FieldName;
    use super::super::forwarded::TrustedPeers;
    use super::super::host::HostName;
    use super::super::prefix::PathPrefix;
    use super::super::request_id::RequestId;
    use super::super::samples::{self, context, lines, written};
    use super::super::template::Template;
    use super::*;

    fn silent() -> ForwardedPolicy {
        ForwardedPolicy {
            trust: TrustedPeers::default(),
            x_forwarded: false,
            forwarded: false,
            via: false,
            request_id: false,
        }
    }

    fn edits(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderEdits {
        let fields = |lines: &[(&str, &str)]| {
            let field = |(name, value): &(&str, &str)| FieldTemplate {
                name: FieldName::editable(name).unwrap(),
                value: Template::parse(value).unwrap(),
            };
            lines.iter().map(field).collect()
        };
        let remove = remove.iter().map(|name| FieldName::editable(name).unwrap()).collect();
        HeaderEdits::new(fields(set), fields(add), remove).unwrap()
    }

    /// What of a rewritten request matters to a test; all else is as little as can be.
    #[derive(Default)]
    struct Change {
        host: HostPolicy,
        path: PathEdit,
        edits: HeaderEdits,
        forwarded: Option<ForwardedPolicy>,
        closes: bool,
    }

    fn rewritten(head: &[&str], change: &Change) -> String {
        let head = samples::request(head);
        let request_id = RequestId::new(1);
        let rewrite = RequestRewrite {
            host: &change.host,
            path: &change.path,
            edits: &change.edits,
            forwarded: &change.forwarded.clone().unwrap_or_else(silent),
            keeps_alive: !change.closes,
        };
        written(|out| request(&head, &rewrite, &context(&request_id), out))
    }

    #[test]
    fn what_is_for_the_next_hop_stays_behind() {
        let found = rewritten(
            &[
                "POST /a?b HTTP/1.1",
                "Host: a.example",
                "Connection: keep-alive, X-Hop, close",
                "Keep-Alive: timeout=5",
                "Proxy-Connection: keep-alive",
                "Proxy-Authorization: x",
                "Proxy: http://evil.example",
                "Upgrade: h2c",
                "TE: gzip",
                "Trailer: X-T",
                "Transfer-Encoding: chunked",
                "x-hop: y",
                "X-End:  kept\tas is ",
                "Cookie: a=b",
                "Cookie: c=d",
            ],
            &Change::default(),
        );
        let expected = lines(&[
            "POST /a?b HTTP/1.1",
            "Host: a.example",
            "Trailer: X-T",
            "X-End: kept\tas is",
            "Cookie: a=b",
            "Cookie: c=d",
            "Transfer-Encoding: chunked",
        ]);
        assert_eq!(found, expected);
    }

    #[test]
    fn framing_is_written_anew() {
        let check = |fields: &[&str], expected: &[&str]| {
            let found =
                rewritten(&[&["PUT / HTTP/1.1", "Host: a"], fields].concat(), &Change::default());
            assert_eq!(found, lines(&[&["PUT / HTTP/1.1", "Host: a"], expected].concat()));
        };
        check(&[], &[]);
        check(&["Content-Length: 0"], &["Content-Length: 0"]);
        check(&["content-length: 007, 7", "Content-Length: 7"], &["Content-Length: 7"]);
        check(&["transfer-encoding: CHUNKED"], &["Transfer-Encoding: chunked"]);
        check(&["Trailer: a", "Connection: content-length"], &[]);
        check(&["Content-Length: 7", "Connection: content-length, host"], &["Content-Length: 7"]);
    }

    #[test]
    fn targets_go_on_as_they_came() {
        let check = |line: &str, expected: &str| {
            let found = rewritten(&[line, "Host: a"], &Change::default());
            assert_eq!(found.lines().next(), Some(expected), "{line}");
        };
        check("GET /a/../%62//?c=%zz HTTP/1.1", "GET /a/../%62//?c=%zz HTTP/1.1");
        check("GET http://a?b HTTP/1.1", "GET /?b HTTP/1.1");
        check("GET http://a HTTP/1.1", "GET / HTTP/1.1");
        check("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1");
        check("OPTIONS http://a HTTP/1.1", "OPTIONS * HTTP/1.1");
        check("propfind / HTTP/1.1", "propfind / HTTP/1.1");
    }

    #[test]
    fn paths_are_edited_in_their_normal_form() {
        let prefix = |text: &str| PathPrefix::parse(text).unwrap();
        let check = |path: PathEdit, line: &str, expected: &str| {
            let found = rewritten(&[line, "Host: a"], &Change { path, ..Change::default() });
            assert_eq!(found.lines().next(), Some(expected), "{line}");
        };
        let strip = || PathEdit::strip(prefix("/v1"));
        check(strip(), "GET /x/../%761//a?b=/v1 HTTP/1.1", "GET /a?b=/v1 HTTP/1.1");
        check(strip(), "GET /v1?b HTTP/1.1", "GET /?b HTTP/1.1");
        check(strip(), "GET /v10//a HTTP/1.1", "GET /v10//a HTTP/1.1");
        check(strip(), "OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1");
        let replace = PathEdit::Replace { prefix: prefix("/v1"), with: prefix("/old/api") };
        check(replace, "GET /v1/a HTTP/1.1", "GET /old/api/a HTTP/1.1");
    }

    #[test]
    fn the_host_follows_its_policy() {
        let check = |host: HostPolicy, head: &[&str], expected: &str| {
            let found = rewritten(head, &Change { host, ..Change::default() });
            assert_eq!(found.lines().nth(1), Some(&*format!("Host: {expected}")));
        };
        let modern = ["GET / HTTP/1.1", "Host: A.example:80"];
        check(HostPolicy::Preserve, &modern, "A.example:80");
        check(HostPolicy::Preserve, &["GET http://a:1/ HTTP/1.1", "Host: A:1"], "a:1");
        check(HostPolicy::Preserve, &["GET / HTTP/1.0"], "198.51.100.1:9000");
        check(HostPolicy::Upstream, &modern, "198.51.100.1:9000");
        check(HostPolicy::Name(HostName::parse("b:2").unwrap()), &modern, "b:2");
    }

    #[test]
    fn the_connection_to_the_server_has_options_of_its_own() {
        let check = |fields: &[&str], closes: bool, expected: &[&str]| {
            let head = [&["GET / HTTP/1.1", "Host: a"], fields].concat();
            let found = rewritten(&head, &Change { closes, ..Change::default() });
            assert_eq!(found, lines(&[&["GET / HTTP/1.1", "Host: a"], expected].concat()));
        };
        let upgrade = ["Connection: upgrade", "Upgrade: websocket"];
        let upgraded = ["Upgrade: websocket", "Connection: upgrade"];
        check(&["Connection: close"], false, &[]);
        check(&[], true, &["Connection: close"]);
        check(&upgrade, false, &upgraded);
        check(&upgrade, true, &upgraded);
        check(&["TE: trailers, gzip"], false, &["TE: trailers", "Connection: TE"]);
        check(&["TE: trailers"], true, &["TE: trailers", "Connection: TE, close"]);
        let both = ["TE: trailers", "Connection: upgrade", "Upgrade: websocket"];
        let expected = ["TE: trailers", "Upgrade: websocket", "Connection: TE, upgrade"];
        check(&both, false, &expected);
    }

    #[test]
    fn edits_have_the_last_word() {
        let edits = edits(
            &[("X-User", "{client_ip}"), ("X-Forwarded-Proto", "https")],
            &[("Cookie", "e=f")],
            &["X-Secret", "Via"],
        );
        let forwarded = Some(ForwardedPolicy { x_forwarded: true, via: true, ..silent() });
        let change = Change { edits, forwarded, ..Change::default() };
        let found = rewritten(
            &[
                "GET / HTTP/1.1",
                "Host: a",
                "x-user: root",
                "X_User: root",
                "X-SECRET: s",
                "Cookie: c=d",
                "Via: 1.1 other",
            ],
            &change,
        );
        let expected = lines(&[
            "GET / HTTP/1.1",
            "Host: a",
            "Cookie: c=d",
            "X-Forwarded-For: 192.0.2.7",
            "X-Forwarded-Host: a",
            "X-User: 192.0.2.7",
            "X-Forwarded-Proto: https",
            "Cookie: e=f",
        ]);
        assert_eq!(found, expected);
    }

    #[test]
    fn expectations_of_the_old_version_stay_behind() {
        let found =
            rewritten(&["PUT / HTTP/1.0", "Host: a", "Expect: 100-continue"], &Change::default());
        assert_eq!(found, lines(&["PUT / HTTP/1.1", "Host: a"]));
        let head = ["PUT / HTTP/1.1", "Host: a", "Expect: 100-continue"];
        assert_eq!(rewritten(&head, &Change::default()), lines(&head));
    }

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    /// A rewritten response to a request with this first line, and whether its connection stays.
    fn answered(request: &[&str], head: &[&str], edits: &HeaderEdits, via: bool) -> (String, bool) {
        let request = samples::request(request);
        let head = samples::response(head, &request);
        let delivery = Delivery::new(&head, &request, true);
        let rewrite = ResponseRewrite { edits, via, delivery, date: DATE };
        let request_id = RequestId::new(1);
        let out = written(|out| response(&head, &request, &rewrite, &context(&request_id), out));
        (out, delivery.keeps_alive)
    }

    #[test]
    fn responses_lose_what_was_for_this_hop() {
        let head = [
            "HTTP/1.0 200 Very OK",
            "Connection: keep-alive, X-Hop",
            "Keep-Alive: timeout=5",
            "X-Hop: y",
            "Upgrade: h2",
            "Content-Length: 007",
            "Trailer: X",
            "Date: now",
            "Set-Cookie: a",
            "Set-Cookie: b",
            "X-Server: s",
        ];
        let edits = edits(&[("X-Host", "{host}")], &[], &["X-Server"]);
        let (found, keeps_alive) = answered(&["GET / HTTP/1.1", "Host: a"], &head, &edits, true);
        let expected = lines(&[
            "HTTP/1.1 200 Very OK",
            "Date: now",
            "Set-Cookie: a",
            "Set-Cookie: b",
            "Content-Length: 7",
            "Via: 1.0 spliceway",
            "X-Host: a",
        ]);
        assert_eq!((found, keeps_alive), (expected, true));
    }

    #[test]
    fn responses_are_delivered_as_their_client_can_take_them() {
        let check = |request: &[&str], head: &[&str], expected: &[&str], keeps_alive: bool| {
            let found = answered(request, head, &HeaderEdits::default(), false);
            let date = format!("Date: {DATE}");
            let text = lines(&[&[head[0]], expected, &[&date]].concat());
            assert_eq!(found, (text, keeps_alive), "{request:?} {head:?}");
        };
        let new = ["GET / HTTP/1.1", "Host: a"];
        let closing = ["GET / HTTP/1.1", "Host: a", "Connection: close"];
        let old = ["GET / HTTP/1.0"];
        let old_keeping = ["GET / HTTP/1.0", "Connection: keep-alive"];
        let to_head = ["HEAD / HTTP/1.1", "Host: a"];
        let (ok, chunked) = ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked");
        let (length, close) = ("Content-Length: 5", "Connection: close");
        check(&new, &[ok, chunked], &[chunked], true);
        check(&new, &[ok, chunked, "Trailer: a"], &["Trailer: a", chunked], true);
        check(&new, &[ok, length], &[length], true);
        check(&closing, &[ok, length], &[length, close], false);
        check(&new, &[ok], &[close], false);
        check(&old, &[ok, length], &[length, close], false);
        check(&old_keeping, &[ok, length], &[length, "Connection: keep-alive"], true);
        check(&old_keeping, &[ok, chunked, "Trailer: a"], &[close], false);
        check(&to_head, &[ok, length], &[length], true);
        check(&to_head, &[ok, chunked], &[chunked], true);
        check(&to_head, &[ok], &[], true);
        check(&["HEAD / HTTP/1.0"], &[ok, chunked], &[close], false);
        check(&new, &["HTTP/1.1 304 Not Modified", length], &[length], true);
        check(&new, &["HTTP/1.1 204 No Content", length], &[], true);
    }

    #[test]
    fn upgrades_are_answered() {
        let asking = ["GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: websocket"];
        let upgrade = ["Upgrade: websocket", "Connection: upgrade"];
        let date = format!("Date: {DATE}");
        let none = HeaderEdits::default();
        let switch = [&["HTTP/1.1 101 Switching Protocols"], &upgrade[..]].concat();
        let (found, _) = answered(&asking, &switch, &none, false);
        assert_eq!(found, lines(&[&switch, &[&*date][..]].concat()));
        let required =
            ["HTTP/1.1 426 Upgrade Required", upgrade[0], upgrade[1], "Content-Length: 0"];
        let (found, _) = answered(&["GET / HTTP/1.1", "Host: a"], &required, &none, false);
        let expected = [required[0], "Content-Length: 0", upgrade[0], upgrade[1], &date];
        assert_eq!(found, lines(&expected));
    }

    #[test]
    fn interim_responses_stay_as_they_are() {
        let edits = edits(&[("X-A", "b")], &[], &["Link"]);
        let head = ["HTTP/1.1 103 Early Hints", "Link: </a>"];
        let request = ["GET / HTTP/1.1", "Host: a", "Connection: close"];
        assert_eq!(answered(&request, &head, &edits, true).0, lines(&head));
    }
}

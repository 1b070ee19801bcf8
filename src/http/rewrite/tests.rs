use super::super::client::ClientSource;
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
        client: ClientSource::Peer,
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
fn forwards_are_counted_down() {
    let check = |method: &str, expected: &str| {
        let line = format!("{method} / HTTP/1.1");
        let head = [&*line, "Host: a", "Max-Forwards: 10", "X: y"];
        let found = rewritten(&head, &Change::default());
        assert!(found.contains(&format!("\r\n{expected}\r\n")), "{found}");
        assert_eq!(found.matches("Max-Forwards").count(), 1, "{found}");
    };
    check("OPTIONS", "Max-Forwards: 9");
    check("TRACE", "Max-Forwards: 9");
    check("GET", "Max-Forwards: 10");
    let edits = edits(&[("max-forwards", "3")], &[], &[]);
    let head = ["OPTIONS / HTTP/1.1", "Host: a", "Max-Forwards: 10"];
    let found = rewritten(&head, &Change { edits, ..Change::default() });
    assert_eq!(found, lines(&["OPTIONS / HTTP/1.1", "Host: a", "max-forwards: 3"]));
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
        "X-Forwarded-Port: 80",
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
    let rewrite = ResponseRewrite { edits, via, delivery, cookie: b"", date: DATE };
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
    let required = ["HTTP/1.1 426 Upgrade Required", upgrade[0], upgrade[1], "Content-Length: 0"];
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

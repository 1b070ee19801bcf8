use super::super::samples::{lines, request, try_request};
use super::*;

fn rejected(text: impl AsRef<[u8]>) -> Option<RejectReason> {
    match try_request(text).1 {
        Parsed::Rejected(rejection) => Some(rejection.reason),
        _ => None,
    }
}

#[test]
fn a_head_is_understood() {
    let head = request(&[
        "POST /a/../b%20c?d=/../e HTTP/1.1",
        "Host: Example.COM.:8080",
        "content-length: 12",
        "X-A:  spaces between \t",
        "X-Empty:",
        "X-A: again",
    ]);
    assert_eq!((head.method(), head.method_text()), (Method::Post, "POST"));
    assert_eq!(head.target(), "/a/../b%20c?d=/../e");
    assert_eq!((head.path(), head.query()), ("/b%20c", "?d=/../e"));
    assert_eq!((head.host(), head.authority()), ("example.com", "Example.COM.:8080"));
    assert_eq!(head.body(), BodyLength::Length(12));
    assert_eq!(head.value("x-a"), Some(&b"spaces between"[..]));
    assert_eq!(head.value("X-Empty"), Some(&b""[..]));
    assert_eq!(head.value("X-B"), None);
    assert_eq!(head.fields().count(), 5);
    assert!(head.keeps_alive() && head.upgrade().is_none());
}

#[test]
fn a_value_serves_for_many_heads() {
    let mut head = RequestHead::default();
    let limits = HeadLimits::default();
    let long = lines(&["PUT /a HTTP/1.0", "Connection: keep-alive, x", "Content-Length: 1"]);
    assert_eq!(head.parse(long.as_bytes(), &limits), Parsed::Complete { length: long.len() });
    assert!(head.keeps_alive());
    assert_eq!(head.parse(b"GET", &limits), Parsed::Partial);
    let short = b"GET / HTTP/1.0\r\n\r\nGET";
    assert_eq!(head.parse(short, &limits), Parsed::Complete { length: 18 });
    assert_eq!((head.method(), head.path(), head.host()), (Method::Get, "/", ""));
    assert_eq!((head.body(), head.fields().count()), (BodyLength::None, 0));
    assert!(!head.keeps_alive());
}

#[test]
fn one_empty_line_in_front_is_skipped() {
    let check = |text: &str, expected: Parsed| assert_eq!(try_request(text).1, expected);
    check("\r\nGET / HTTP/1.0\r\n\r\n", Parsed::Complete { length: 20 });
    for partial in ["", "\r", "\r\n", "\r\n\r", "\r\nG", "GET / HTTP/1.0\r\n\r"] {
        check(partial, Parsed::Partial);
    }
    for text in ["\n", "\r\n\r\n", "\r\n\nGET", "\rG", " GET", "\u{16}\u{3}\u{1}"] {
        assert_eq!(rejected(text), Some(RejectReason::StartLine), "{text:?}");
    }
}

#[test]
fn forms_of_targets() {
    let check = |line: &str, path: &str, query: &str, authority: &str| {
        let head = request(&[line, "Host: a:80"]);
        assert_eq!((head.path(), head.query()), (path, query), "{line}");
        assert_eq!((head.host(), head.authority()), ("a", authority), "{line}");
    };
    check("GET /? HTTP/1.1", "/", "?", "a:80");
    check("GET //b?c?d HTTP/1.1", "/b", "?c?d", "a:80");
    check("GET http://A/b?c HTTP/1.1", "/b", "?c", "A");
    check("GET HTTP://a:80 HTTP/1.1", "/", "", "a:80");
    check("GET http://a:?c HTTP/1.1", "/", "?c", "a:");
    check("OPTIONS * HTTP/1.1", "*", "", "a:80");
    check("OPTIONS http://a HTTP/1.1", "*", "", "a");
    check("OPTIONS http://a/ HTTP/1.1", "/", "", "a");
    let head = request(&["GET https://a/ HTTP/1.1", "Host: a:443"]);
    assert_eq!((head.authority(), head.scheme()), ("a", Scheme::Https));
    assert_eq!(request(&["GET HTTP://a/ HTTP/1.1", "Host: a"]).scheme(), Scheme::Http);
}

#[test]
fn targets_that_are_none() {
    let bad = [
        "*",
        "a",
        "a:80",
        "a/b",
        "/a#b",
        "/\u{e4}",
        "http:/a",
        "http://",
        "http:///a",
        "ftp://a/",
        "http://u@a/",
        "http://a b/",
        "/a\tb",
        "/\u{7f}",
        "//%zz",
        "?a",
        "http://a\\b/",
    ];
    for target in bad {
        let found = rejected(lines(&[&format!("GET {target} HTTP/1.1"), "Host: a"]));
        let reasons = [Some(RejectReason::Target), Some(RejectReason::StartLine)];
        assert!(reasons.contains(&found), "{target}: {found:?}");
    }
}

#[test]
fn there_is_one_host() {
    let check = |fields: &[&str], expected: Option<RejectReason>| {
        let text = [&["GET http://a/ HTTP/1.1"], fields].concat();
        assert_eq!(rejected(lines(&text)), expected, "{fields:?}");
    };
    check(&["Host: A.:80"], None);
    check(&[], Some(RejectReason::HostMissing));
    check(&["Host: b"], Some(RejectReason::HostMismatch));
    check(&["Host: a:8080"], Some(RejectReason::HostMismatch));
    check(&["Host: a", "Host: a"], Some(RejectReason::HostDuplicate));
    for host in ["Host:", "Host: a, a", "Host: a/", "Host: u@a", "Host: a b"] {
        check(&[host], Some(RejectReason::HostInvalid));
    }
    let head = request(&["GET / HTTP/1.0"]);
    assert_eq!((head.host(), head.authority()), ("", ""));
}

#[test]
fn wishes_for_the_connection() {
    let check = |version: &str, fields: &[&str], keeps_alive: bool, upgrade: Option<&str>| {
        let line = format!("GET / {version}");
        let head = request(&[&[&*line, "Host: a"], fields].concat());
        assert_eq!((head.keeps_alive(), head.upgrade()), (keeps_alive, upgrade), "{fields:?}");
    };
    check("HTTP/1.1", &[], true, None);
    check("HTTP/1.1", &["Connection: x, CLOSE"], false, None);
    check("HTTP/1.1", &["Connection: keep-alive", "Connection: close"], false, None);
    check("HTTP/1.0", &[], false, None);
    check("HTTP/1.0", &["Connection: Keep-Alive"], true, None);
    let connection = "Connection: Upgrade";
    check("HTTP/1.1", &[connection, "Upgrade: websocket"], true, Some("websocket"));
    check("HTTP/1.1", &[connection, "Upgrade: SPDY/3.1"], true, Some("SPDY/3.1"));
    check("HTTP/1.0", &[connection, "Upgrade: websocket"], false, None);
    check("HTTP/1.1", &["Upgrade: websocket"], true, None);
    check("HTTP/1.1", &[connection], true, None);
    for refused in ["h2c", "H2C", "HTTP/2.0", "TLS/1.2", "websocket, h2c", "", "a b"] {
        let upgrade = format!("Upgrade: {refused}");
        check("HTTP/1.1", &[connection, &upgrade], true, None);
    }
    check("HTTP/1.1", &[connection, "Upgrade: websocket", "Upgrade: h2c"], true, None);
}

#[test]
fn trailers_are_taken_where_it_is_said() {
    let check = |value: &str, expected: bool| {
        let head = request(&["GET / HTTP/1.0", &format!("TE: {value}")]);
        assert_eq!(head.takes_trailers(), expected, "{value}");
    };
    check("a, Trailers", true);
    check("trailers;q=1", false);
    check("a", false);
}

#[test]
fn forwards_are_counted_for_two_methods() {
    let check = |method: &str, fields: &[&str], expected: Option<u32>| {
        let line = format!("{method} / HTTP/1.0");
        let head = request(&[&[&*line], fields].concat());
        assert_eq!(head.max_forwards(), expected, "{method} {fields:?}");
    };
    for method in ["TRACE", "OPTIONS"] {
        check(method, &[], None);
        check(method, &["Max-Forwards: 0"], Some(0));
        check(method, &["max-forwards: 0010"], Some(10));
        check(method, &["Max-Forwards: 99999999999999999999"], Some(u32::MAX));
        let bad = ["", "-1", "+1", "1.5", "0x1", "1 1", "1, 1", "\u{661}"];
        for value in bad.map(|it| format!("Max-Forwards: {it}")) {
            let text = lines(&[&format!("{method} / HTTP/1.0"), &value]);
            assert_eq!(rejected(text), Some(RejectReason::Field), "{value}");
        }
        let twice = ["Max-Forwards: 1", "Max-Forwards: 1"];
        let text = lines(&[&[&*format!("{method} / HTTP/1.0")], &twice[..]].concat());
        assert_eq!(rejected(text), Some(RejectReason::Field));
    }
    check("GET", &["Max-Forwards: 0"], None);
    check("GET", &["Max-Forwards: x"], None);
}

#[test]
fn connection_options_are_few_tokens() {
    let names: Vec<String> = (0..17).map(|index| format!("x{index}")).collect();
    let check = |options: &str, expected: Option<RejectReason>| {
        let text = lines(&["GET / HTTP/1.0", &format!("Connection: {options}")]);
        assert_eq!(rejected(text), expected, "{options}");
    };
    check(&names[..16].join(","), None);
    check(&names.join(","), Some(RejectReason::Field));
    check("close, a b", Some(RejectReason::Field));
    check("\"close\"", Some(RejectReason::Field));
}

#[test]
fn limits_hold_to_the_byte() {
    let limits = HeadLimits { head_size: 1024, fields_max: 3, target_size: 300 };
    let check = |text: &str, expected: Option<RejectReason>| {
        let found = RequestHead::default().parse(text.as_bytes(), &limits);
        let found = match found {
            Parsed::Rejected(rejection) => Some(rejection.reason),
            _ => None,
        };
        assert_eq!(found, expected, "{} bytes", text.len());
    };
    let target = |length: usize| format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(length - 1));
    check(&target(300), None);
    check(&target(301), Some(RejectReason::TargetSize));
    check(&"x".repeat(1023), None);
    check(&"x".repeat(1024), Some(RejectReason::TargetSize));
    let field = |size: usize| format!("GET / HTTP/1.0\r\nX: {}\r\n\r\n", "x".repeat(size - 23));
    assert_eq!(field(1024).len(), 1024);
    check(&field(1024), None);
    check(&field(1025), Some(RejectReason::HeadSize));
    check(&format!("GET / HTTP/1.0\r\n{}\r\n", "X: y\r\n".repeat(3)), None);
    let many = format!("GET / HTTP/1.0\r\n{}\r\n", "X: y\r\n".repeat(4));
    check(&many, Some(RejectReason::FieldCount));
}

#[test]
fn a_refused_head_tells_what_it_can() {
    let (head, parsed) = try_request(lines(&["GET /a?b HTTP/1.1", "X y: z"]));
    let rejection = Rejection { status: 400, reason: RejectReason::Field };
    assert_eq!(parsed, Parsed::Rejected(rejection));
    assert_eq!((head.method(), head.target()), (Method::Get, "/a?b"));
    let (head, _) = try_request("GET /a HTTP/1.1\nHost: a\n\n");
    assert_eq!((head.method_text(), head.target(), head.path()), ("", "", ""));
    let (_, parsed) = try_request(lines(&["GET / HTTP/2.0"]));
    let rejection = Rejection { status: 505, reason: RejectReason::Version };
    assert_eq!(parsed, Parsed::Rejected(rejection));
}

//! h11, a parser of HTTP/1.1 that shares nothing with ours and is strict: as the server it judges
//! what the proxy sends on, as the client what it answers.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::eventually;
use crate::support::http::{Connection, HttpOrigin, Message};
use crate::support::in_each_mode;
use crate::support::proxy::Launch;
use crate::support::python::{Script, python_with};

/// The requests: what the client sends, and what h11 must make of it.
struct Case {
    sent: &'static str,
    method: &'static str,
    target: &'static str,
    body: &'static str,
    trailers: &'static [[&'static str; 2]],
}

const fn case(
    sent: &'static str,
    method: &'static str,
    target: &'static str,
    body: &'static str,
) -> Case {
    Case { sent, method, target, body, trailers: &[] }
}

const CASES: [Case; 13] = [
    case("GET /a?b=c HTTP/1.1\r\nHost: a.example\r\n\r\n", "GET", "/a?b=c", ""),
    case("GET http://a.example/a HTTP/1.1\r\nHost: a.example\r\n\r\n", "GET", "/a", ""),
    case("GET http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n", "GET", "/", ""),
    case("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", "OPTIONS", "*", ""),
    case("\r\nGET / HTTP/1.1\r\nHost:a.example\r\nX:\t y \t\r\nX-Empty:\r\n\r\n", "GET", "/", ""),
    case("GET /%7euser/%E4?%e4 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET", "", ""),
    case("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nhello", "POST", "/", "hello"),
    case(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\nhello",
        "POST",
        "/",
        "hello",
    ),
    case(
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n\
         002;a=\"b;c\"\r\nhe\r\n3 \t\r\nllo\r\n0;x\r\n\r\n",
        "",
        "",
        "",
    ),
    case(
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         002;a=\"b;c\"\r\nhe\r\n3\r\nllo\r\n000\r\n\r\n",
        "PUT",
        "/",
        "hello",
    ),
    Case {
        sent: "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n\
               5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: b\r\nContent-Length: 9\r\n\r\n",
        method: "PUT",
        target: "/",
        body: "hello",
        trailers: &[["x-sum", "1"]],
    },
    case("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", "POST", "/", "hello"),
    case(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop, Content-Length\r\nX-Hop: 1\r\n\
         Keep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nTE: gzip\r\n\r\n",
        "GET",
        "/",
        "",
    ),
];

#[test]
fn what_is_sent_on_is_beyond_doubt() {
    let Some(python) = python_with("h11") else { return };
    in_each_mode(|mode| {
        let judge = Script::start(python, include_str!("h11_server.py"), &[]);
        let proxy = Launch::http(mode, &[&judge.address()]).start();
        let mut seen = 1;
        for case in &CASES {
            let mut client = Connection::open(&proxy.address());
            let response = client.exchange(case.sent);
            if response.status() == 400 {
                assert_eq!(case.method, "", "{mode}: {}: {}", case.sent, response.text());
                continue;
            }
            assert_eq!(response.status(), 200, "{mode}: {}: {}", case.sent, response.text());
            seen += 1;
            let line = eventually("the verdict", || judge.lines().get(seen - 1).cloned());
            let verdict: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(verdict["error"], Value::Null, "{mode}: {}: {line}", case.sent);
            if !case.target.is_empty() {
                assert_eq!(verdict["target"], case.target, "{mode}: {}", case.sent);
            }
            assert_eq!(verdict["method"], case.method, "{mode}: {}: {line}", case.sent);
            assert_eq!(verdict["body"], case.body, "{mode}: {}", case.sent);
            let trailers = serde_json::to_value(case.trailers).unwrap();
            assert_eq!(verdict["trailers"], trailers, "{mode}: {}", case.sent);
            let fields = verdict["fields"].to_string().to_lowercase();
            for hop in ["x-hop", "keep-alive", "proxy-connection", "h2c", "gzip"] {
                assert!(!fields.contains(hop), "{mode}: {hop} in {fields}");
            }
            let hosts = verdict["fields"].as_array().unwrap().iter().filter(|it| it[0] == "host");
            assert_eq!(hosts.count(), 1, "{mode}: {fields}");
        }
    });
}

/// A server that answers in every framing, some of them old.
fn in_every_framing() -> HttpOrigin {
    HttpOrigin::start(|request: &Message, connection| {
        let long = "x".repeat(100_000);
        let response = match request.target() {
            "/length" => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            "/chunked" => {
                let chunks = format!("5\r\nhello\r\n{:x};a=b\r\n{long}\r\n0\r\nX-Sum: 1\r\n\r\n", long.len());
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
            }
            "/until-close" => format!("HTTP/1.1 200 OK\r\n\r\n{long}"),
            "/old" => "HTTP/1.0 200 OK\r\n\r\nhello".to_owned(),
            "/no-reason" => "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n".to_owned(),
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            "/hints" => "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".to_owned(),
        };
        connection.try_send(response).is_ok()
            && !matches!(request.target(), "/until-close" | "/old")
    })
}

/// Responses in every framing; each is read by h11 as the client, twice over one connection.
#[test]
fn what_is_answered_is_beyond_doubt() {
    let Some(python) = python_with("h11") else { return };
    in_each_mode(|mode| {
        let origin = in_every_framing();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let output = Command::new(python)
            .args(["-c", include_str!("h11_client.py"), &proxy.address().to_string()])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{mode}: {errors}");
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            "/length 200 5",
            "/chunked 200 100005",
            "/until-close 200 100000",
            "/old 200 5",
            "/no-reason 200 0",
            "/204 204 0",
            "/hints 200 0",
            "/bad 502 *",
            "/../ 400 *",
        ];
        assert_eq!(lines.len(), 2 * expected.len(), "{mode}: {text}");
        for (line, expected) in lines.iter().zip(expected.iter().flat_map(|it| [it, it])) {
            let matches =
                expected.strip_suffix('*').map_or(line == expected, |it| line.starts_with(it));
            assert!(matches, "{mode}: {line} is not {expected}");
        }
    });
}

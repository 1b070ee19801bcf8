//! Bodies of every framing, both ways, in every mode; messages without one.

use crate::support::http::{Connection, HttpOrigin, get, ok, post};
use crate::support::in_each_mode;
use crate::support::pattern::Pattern;
use crate::support::proxy::Launch;

/// Sizes around what a buffer, a page, a pipe and a read hold.
const SIZES: [usize; 14] =
    [0, 1, 2, 100, 4095, 4096, 16_384, 32_767, 32_768, 65_535, 65_536, 65_537, 300_000, 3_000_000];

fn pattern(bytes: usize) -> Vec<u8> {
    let mut body = vec![0; bytes];
    Pattern::new(bytes as u64).fill(&mut body);
    body
}

/// A body in chunks of these sizes, over and over, the last of them `bytes` long at most.
fn chunked(body: &[u8], sizes: &[usize], trailers: &str) -> Vec<u8> {
    let mut coded = Vec::new();
    let (mut rest, mut sizes) = (body, sizes.iter().cycle());
    while !rest.is_empty() {
        let (chunk, left) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        coded.extend_from_slice(chunk);
        coded.extend_from_slice(b"\r\n");
        rest = left;
    }
    coded.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    coded
}

/// Sends back the body that came, in the framing that it came in.
fn mirror() -> HttpOrigin {
    HttpOrigin::start(|request, connection| {
        let body = &request.body;
        let coded = match request.field("content-length") {
            Some(_) => {
                [ok("").replace("0\r\n", &format!("{}\r\n", body.len())).as_bytes(), body].concat()
            }
            None => {
                let head =
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n";
                let sizes = [1, 17, 100_000, 70_000, 3, 65_536];
                [head.as_bytes(), &chunked(body, &sizes, "X-Sum: abc\r\n")].concat()
            }
        };
        connection.try_send(coded).is_ok()
    })
}

#[test]
fn a_body_of_known_length_arrives_both_ways() {
    in_each_mode(|mode| {
        let origin = mirror();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for size in SIZES {
            let body = pattern(size);
            let head = format!("PUT /{size} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
            client.send([head.as_bytes(), &body].concat());
            let response = client.read_response("PUT");
            assert_eq!(response.field("content-length"), Some(&*size.to_string()), "{mode}");
            assert!(response.body == body, "{mode}: {size} bytes came back as others");
        }
        assert_eq!(origin.accepted(), 1, "{mode}: all over one connection");
        assert_eq!(client.unused(), b"");
    });
}

#[test]
fn a_chunked_body_arrives_both_ways_with_its_trailers() {
    in_each_mode(|mode| {
        let origin = mirror();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        for (index, size) in SIZES.into_iter().enumerate() {
            let body = pattern(size);
            let head = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\
                        Connection: TE\r\n\r\n";
            let sizes = [[200_000, 5, 70_000, 1], [1, 2, 3, 40_000], [65_536, 65_536, 65_536, 10]];
            let coded = chunked(&body, &sizes[index % 3], "X-Check: 1\r\nContent-Length: 7\r\n");
            client.send([head.as_bytes(), &coded].concat());
            let response = client.read_response("PUT");
            assert!(response.body == body, "{mode}: {size} bytes came back as others");
            assert_eq!(response.trailers, [("X-Sum".to_owned(), "abc".to_owned())], "{mode}");
            let requests = origin.requests();
            let trailers = &requests.last().unwrap().trailers;
            let names: Vec<&str> = trailers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["X-Check"], "{mode}: framing is no trailer");
        }
        assert_eq!(origin.accepted(), 1, "{mode}: all over one connection");
    });
}

/// Chunks that come a byte at a time, and sizes that are cut anywhere.
#[test]
fn chunks_may_come_in_any_pieces() {
    in_each_mode(|mode| {
        let origin = mirror();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        let body = pattern(300);
        let coded = chunked(&body, &[7, 100, 1], "A: b\r\n");
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for byte in &coded {
            client.send([*byte]);
        }
        assert!(client.read_response("PUT").body == body, "{mode}");
    });
}

#[test]
fn some_responses_have_no_body_whatever_they_say() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::start(|request, connection| {
            let head = match request.target() {
                "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
                "/head-chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 55\r\nETag: \"a\"\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            };
            connection.try_send(head).is_ok()
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        let mut ask = |method: &str, target: &str| {
            client.exchange(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
        };
        assert_eq!(ask("HEAD", "/head").field("content-length"), Some("1000000"), "{mode}");
        assert_eq!(ask("HEAD", "/head-chunked").status(), 200, "{mode}");
        let no_content = ask("GET", "/204");
        assert_eq!(
            (no_content.status(), no_content.field("content-length")),
            (204, None),
            "{mode}"
        );
        let not_modified = ask("GET", "/304");
        assert_eq!(
            (not_modified.status(), not_modified.field("etag")),
            (304, Some("\"a\"")),
            "{mode}"
        );
        assert_eq!(ask("GET", "/").text(), "hi", "{mode}: the connection is where it should be");
        assert_eq!(origin.accepted(), 1, "{mode}");
    });
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    in_each_mode(|mode| {
        let body = pattern(500_000);
        let coded = chunked(&body, &[100_000, 10], "A: b\r\n");
        let origin = HttpOrigin::start(move |_, connection| {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            connection.try_send(&coded).is_ok()
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let head = client.read_head().unwrap().unwrap();
        assert_eq!(head.field("transfer-encoding"), None, "{mode}");
        assert_eq!(head.field("connection"), Some("close"), "{mode}");
        assert!(client.read_to_end().unwrap() == body, "{mode}");
    });
}

#[test]
fn a_client_of_http_1_0_is_kept_if_it_asks_and_the_length_is_known() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("auto", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    for _ in 0..2 {
        let response =
            client.exchange("GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(response.field("connection"), Some("keep-alive"), "{response:?}");
    }
    let response = client.exchange("GET /a HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!((response.text().as_str(), response.status()), ("GET /a ", 200));
    client.expect_end();
}

/// A server that says the length by closing: the client gets chunks and keeps its connection, or
/// gets a close as well; either way it can tell that the body is whole.
#[test]
fn a_body_that_ends_with_the_connection_arrives_whole() {
    in_each_mode(|mode| {
        let body = pattern(400_000);
        let sent = body.clone();
        let origin = HttpOrigin::start(move |_, connection| {
            connection.send("HTTP/1.0 200 OK\r\nServer: old\r\n\r\n");
            connection.send(&sent);
            // So that the end comes alone.
            connection.stream().await_delivered();
            false
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        for version in ["1.1", "1.0"] {
            let mut client = Connection::open(&proxy.address());
            let response = client.exchange(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"));
            assert!(response.body == body, "{mode} {version}");
            assert!(response.start.starts_with("HTTP/1.1 200"), "{}", response.start);
        }
    });
}

/// To the server it is HTTP/1.1, whatever the client speaks.
#[test]
fn requests_are_sent_on_as_http_1_1() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    client.send("POST /a HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.read_response("POST").text(), "POST /a hi");
    let request = &origin.requests()[0];
    assert_eq!(request.start, "POST /a HTTP/1.1");
    assert!(request.field("host").is_some(), "HTTP/1.1 has a Host: {request:?}");
}

#[test]
fn a_body_larger_than_allowed_is_refused_before_it_is_read() {
    let origin = HttpOrigin::echo();
    let proxy =
        Launch::http("splice", &[origin.address()]).set("http.request_body_max", "10B").start();
    let mut client = Connection::open(&proxy.address());
    assert_eq!(client.exchange(post("/", "0123456789")).status(), 200);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    assert_eq!(client.read_response("POST").status(), 413);
    assert_eq!(origin.requests().len(), 1);

    let mut client = Connection::open(&proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n");
    client.send("6\r\n012345\r\n0\r\n\r\n");
    assert_eq!(client.read_response("POST").status(), 413);
    assert_eq!(origin.requests().len(), 1, "it never is a whole request");
    assert_eq!(Connection::open(&proxy.address()).exchange(get("/")).status(), 200);
}

//! Clients that mean harm, or are broken: bounded memory, a clear answer or none, and the next
//! client unharmed.

use crate::support::http::{Connection, HttpOrigin, get, ok};
use crate::support::proxy::Launch;
use crate::support::{eventually, in_each_mode, settled};
use crate::{await_none_in_flight, logged};

/// What may be held for one client's head, whatever it sends.
const HEAD_MEMORY_KIB: u64 = 4096;

#[test]
fn headers_without_end_are_431() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut first = Connection::open(&proxy.address());
    assert_eq!(first.exchange(get("/")).status(), 200);
    let before = proxy.resident_kib();
    for endless in ["X: y\r\n", "X-Long: ", &format!("X: {}\r\n", "z".repeat(1000))] {
        let mut client = Connection::open(&proxy.address());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n");
        // Until it is told to stop.
        while client.try_send(endless.repeat(10)).is_ok() {
            if client.stream().has_input() {
                break;
            }
        }
        // What was on its way when the proxy closed may turn the close into a reset, behind the
        // answer.
        let answer = client.read_response("GET");
        assert_eq!(answer.status(), 431, "{endless:.10}");
    }
    let mut client = Connection::open(&proxy.address());
    client.send(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(20_000)));
    assert_eq!(client.read_response("GET").status(), 414);
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < HEAD_MEMORY_KIB, "{grown} KiB more");
    assert_eq!(first.exchange(get("/")).status(), 200, "others are unharmed");
    assert_eq!(logged(&proxy, "rejection", "target_size")["status"], 414);
    assert_eq!(origin.requests().len(), 2, "no such head reaches the server");
}

#[test]
fn trailers_without_end_are_refused() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::echo();
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
        while client.try_send("X: y\r\n".repeat(100)).is_ok() {
            if client.stream().has_input() {
                break;
            }
        }
        assert_eq!(client.read_response("PUT").status(), 431, "{mode}");
        assert!(origin.requests().is_empty(), "{mode}: no whole request reaches the server");
        assert_eq!(logged(&proxy, "rejection", "trailer_size")["reason"], "rejected", "{mode}");
    });
}

#[test]
fn chunk_extensions_without_end_are_refused() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("splice", &[origin.address()]).start();
    // One that is too long, and many that are too many.
    for endless in ["x".repeat(100), "\r\na\r\n1;abcdefghijklmnop".to_owned()] {
        let mut client = Connection::open(&proxy.address());
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=");
        for _ in 0..100_000 {
            if client.try_send(&endless).is_err() || client.stream().has_input() {
                break;
            }
        }
        assert_eq!(client.read_response("PUT").status(), 400, "{endless:.5}");
    }
    assert!(origin.requests().is_empty());
    assert_eq!(logged(&proxy, "rejection", "chunk_extension_size")["status"], 400);
}

/// The proxy does not read ahead of the answers that it can deliver.
#[test]
fn a_client_that_pipelines_and_never_reads_is_not_served_without_end() {
    in_each_mode(|mode| {
        let body = "x".repeat(100_000);
        let origin = HttpOrigin::answering(ok(&body));
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut honest = Connection::open(&proxy.address());
        assert_eq!(honest.exchange(get("/")).status(), 200);
        let before = proxy.resident_kib();

        let client = Connection::open(&proxy.address());
        client.stream().receive_little_ahead();
        let mut sender = client.stream().try_clone().unwrap();
        sender.set_write_timeout(std::time::Duration::from_secs(1));
        let requests = get("/").repeat(1000);
        for _ in 0..200 {
            // Its send blocks once the proxy reads no more.
            if std::io::Write::write_all(&mut sender, requests.as_bytes()).is_err() {
                break;
            }
        }
        let served = settled(|| origin.requests().len() as u64);
        assert!(served < 1000, "{mode}: {served} requests served for nobody");
        let grown = proxy.resident_kib().saturating_sub(before);
        assert!(grown < 16 << 10, "{mode}: {grown} KiB more");
        assert_eq!(honest.exchange(get("/")).status(), 200, "{mode}: others are unharmed");
        client.reset();
        await_none_in_flight(&proxy);
    });
}

#[test]
fn a_client_gone_in_mid_upload_leaves_nothing_behind() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::by_connection(|connection| {
            let _all = connection.read_to_end();
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        for framing in
            ["Content-Length: 10000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n989680\r\n"]
        {
            for by_reset in [true, false] {
                let mut client = Connection::open(&proxy.address());
                client.send(format!("PUT /gone HTTP/1.1\r\nHost: a\r\n{framing}"));
                client.send(vec![b'x'; 300_000]);
                eventually("some of it reaches the server", || {
                    (!origin.raw_text().is_empty()).then_some(())
                });
                if by_reset { client.reset() } else { drop(client) }
            }
        }
        await_none_in_flight(&proxy);
        let open = "spliceway_upstream_connections";
        proxy.await_metric(open, &[], |open| open == 0.0);
        proxy.await_metric("spliceway_pipes", &[("state", "busy")], |busy| busy == 0.0);
        let line = logged(&proxy, "path", "/gone");
        assert_eq!(line["status"], serde_json::Value::Null, "{mode}: {line}");
        let reason = line["reason"].as_str().unwrap();
        assert!(reason.starts_with("client_"), "{mode}: {line}");
    });
}

#[test]
fn a_client_gone_in_mid_download_leaves_nothing_behind() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::start(|_, connection| {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            let piece = vec![b'x'; 100_000];
            while connection.try_send(&piece).is_ok() {}
            false
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        client.send(get("/gone"));
        client.read_bytes(500_000).unwrap();
        client.reset();
        await_none_in_flight(&proxy);
        proxy.await_metric("spliceway_upstream_connections", &[], |open| open == 0.0);
        let line = logged(&proxy, "path", "/gone");
        assert_eq!(
            (&line["reason"], &line["status"]),
            (&"client_reset".into(), &200.into()),
            "{mode}"
        );
    });
}

/// A request that is cut by an orderly end is no request.
#[test]
fn half_a_request_is_none() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("splice", &[origin.address()]).start();
    for half in [
        "GET / HT",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n",
    ] {
        let mut client = Connection::open(&proxy.address());
        client.send(half);
        client.end_sending();
        // A refusal, or a cut: anything but an answer of the server.
        match client.try_read_response("PUT") {
            Ok(answer) => assert!(answer.status() >= 400, "{half:?}: {answer:?}"),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{half:?}"),
        }
    }
    await_none_in_flight(&proxy);
    assert!(origin.requests().is_empty());
}

/// Bytes of one client never become another's.
#[test]
fn what_one_client_left_unread_is_nobodys() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::start(|request, connection| {
            connection.try_send(ok(&request.target().repeat(2000))).is_ok()
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        for round in 0..100 {
            let mut rude = Connection::open(&proxy.address());
            rude.send(get(&format!("/rude/{round}")));
            if round % 2 == 0 {
                rude.reset();
            } else {
                drop(rude);
            }
            let mut polite = Connection::open(&proxy.address());
            let target = format!("/polite/{round}");
            assert_eq!(polite.exchange(get(&target)).text(), target.repeat(2000), "{mode}");
        }
    });
}

/// A body that is refused in its middle is refused once, however much comes behind that.
#[test]
fn nonsense_in_a_body_is_answered_whatever_follows() {
    in_each_mode(|mode| {
        let origin = HttpOrigin::by_connection(|connection| {
            let _all = connection.read_to_end();
        });
        let proxy = Launch::http(mode, &[origin.address()]).start();
        for round in 0..10 {
            let mut client = Connection::open(&proxy.address());
            client
                .send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
            eventually("the request is with the server", || {
                (origin.accepted() > round).then_some(())
            });
            client.send(format!("nonsense\r\n{}", "1\r\na\r\nnonsense\r\n".repeat(20_000)));
            assert_eq!(client.read_response("PUT").status(), 400, "{mode} {round}");
        }
    });
}

/// What was answered arrives, whatever comes of the next request.
#[test]
fn half_a_request_does_not_take_the_answer_before_it() {
    let body = "x".repeat(3_000_000);
    let origin = HttpOrigin::answering(ok(&body));
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    client.send(format!("{}GET /half HTTP/1.1\r\nHo", get("/")));
    client.end_sending();
    proxy.await_closed("client_error", 1.0);
    assert_eq!(client.read_response("GET").body.len(), body.len());
}

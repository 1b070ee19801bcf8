//! What metrics and access log say of exchanges.

use serde_json::Value;

use crate::support::http::{Connection, HttpOrigin, get, ok};
use crate::support::proxy::Launch;
use crate::support::{eventually, in_each_mode};
use crate::{await_none_in_flight, logged};

const REQUESTS: &str = "spliceway_http_requests_total";

#[test]
fn requests_are_counted_by_method_and_code() {
    let origin = HttpOrigin::start(|request, connection| {
        let status = &request.target()[1..];
        connection.try_send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).is_ok()
    });
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let seeded = proxy.metrics();
    assert_eq!(seeded.sum(REQUESTS, &[]), 0.0);
    let mut client = Connection::open(&proxy.address());
    for (method, status) in
        [("GET", 200), ("GET", 200), ("GET", 418), ("POST", 503), ("BREW", 200), ("get", 200)]
    {
        let request =
            format!("{method} /{status} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.exchange(request).status(), status, "{method}");
    }
    proxy.await_metric(REQUESTS, &[], |count| count == 6.0);
    let metrics = proxy.metrics();
    let check = |method: &str, code: &str, expected: f64| {
        let labels =
            [("listener", "http"), ("upstream", "http"), ("method", method), ("code", code)];
        assert_eq!(metrics.sum(REQUESTS, &labels), expected, "{method} {code}");
    };
    check("GET", "200", 2.0);
    check("GET", "4xx", 1.0);
    check("POST", "503", 1.0);
    check("other", "200", 2.0);
    let duration = "spliceway_http_request_duration_seconds";
    assert_eq!(metrics.sum(&format!("{duration}_count"), &[("upstream", "http")]), 6.0);
    assert!(metrics.sum(&format!("{duration}_sum"), &[]) > 0.0);
    assert_eq!(metrics.sum(&format!("{duration}_bucket"), &[("le", "+Inf")]), 6.0);
    let series = proxy.get("/metrics").unwrap().text();
    assert!(!series.contains("BREW") && !series.contains("\"418\""), "a client makes no labels");
}

/// However many kinds of requests clients make up.
#[test]
fn series_are_bounded_whatever_clients_send() {
    let origin = HttpOrigin::answering(ok(""));
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    for round in 0..500 {
        client.exchange(format!(
            "M{round} /{round} HTTP/1.1\r\nHost: h{round}.example\r\nUser-Agent: u{round}\r\n\r\n"
        ));
    }
    proxy.await_metric(REQUESTS, &[("method", "other")], |count| count == 500.0);
    let text = proxy.get("/metrics").unwrap().text();
    let series = text.lines().filter(|line| line.starts_with("spliceway_http_requests_total{"));
    assert!(series.count() < 10);
}

#[test]
fn a_line_says_everything_of_its_request() {
    in_each_mode(|mode| {
        let body = "x".repeat(200_000);
        let origin = HttpOrigin::answering(ok(&body));
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut client = Connection::open(&proxy.address());
        let request = "PUT /a%20b?c=d HTTP/1.1\r\nHost: Shop.Example:8080\r\nReferer: http://r/\r\n\
                       User-Agent: test/1 (x)\r\nContent-Length: 100000\r\n\r\n";
        client.send(request);
        client.send("y".repeat(100_000));
        assert_eq!(client.read_response("PUT").status(), 200);
        let line = logged(&proxy, "method", "PUT");
        let check = |key: &str, expected: Value| assert_eq!(line[key], expected, "{mode}: {key}");
        check("path", "/a%20b?c=d".into());
        check("host", "Shop.Example:8080".into());
        check("protocol", "HTTP/1.1".into());
        check("status", 200.into());
        check("referer", "http://r/".into());
        check("user_agent", "test/1 (x)".into());
        check("listener", "http".into());
        check("upstream", "http".into());
        check("server", origin.address().to_string().into());
        check("reused", false.into());
        check("retries", 0.into());
        check("rejection", Value::Null);
        check("reason", "completed".into());
        check("fallbacks", Value::Array(Vec::new()));
        let bytes = |key: &str| line[key].as_u64().unwrap();
        for (direction, length) in [("upstream", 100_000), ("downstream", 200_000)] {
            let sum = bytes(&format!("{direction}_bytes"));
            let spliced = bytes(&format!("{direction}_bytes_spliced"));
            let copied = bytes(&format!("{direction}_bytes_copied"));
            assert_eq!(sum, spliced + copied, "{mode}");
            assert!((length..length + 1000).contains(&sum), "{mode}: {direction}: {sum}");
            assert!(mode != "copy" || spliced == 0, "{mode}");
            assert!(mode != "splice" || spliced > 0, "{mode}: {line}");
        }
        let seconds = |key: &str| line[key].as_f64().unwrap();
        assert!(seconds("queue_seconds") >= 0.0 && seconds("connect_seconds") > 0.0, "{line}");
        assert!(seconds("head_seconds") >= seconds("connect_seconds"), "{line}");
        assert!(seconds("total_seconds") >= seconds("head_seconds"), "{line}");

        client.exchange(get("/again"));
        let line = logged(&proxy, "path", "/again");
        assert_eq!((&line["reused"], &line["connect_seconds"]), (&true.into(), &Value::Null));
        assert_eq!(line["user_agent"], Value::Null);
        // The log and the metrics count the same bytes.
        await_none_in_flight(&proxy);
        let lines: Vec<Value> =
            proxy.stdout_lines().iter().map(|it| serde_json::from_str(it).unwrap()).collect();
        for direction in ["upstream", "downstream"] {
            let key = format!("{direction}_bytes");
            let logged: u64 = lines.iter().map(|line| line[&key].as_u64().unwrap()).sum();
            let labels = [("direction", direction)];
            proxy.await_metric("spliceway_relay_bytes_total", &labels, |it| it == logged as f64);
        }
    });
}

#[test]
fn the_combined_format_is_the_web_servers() {
    let origin = HttpOrigin::answering(ok("hello"));
    let proxy =
        Launch::http("splice", &[origin.address()]).set("access_log.format", "combined").start();
    let mut client = Connection::open(&proxy.address());
    client.exchange(
        "GET /a?b HTTP/1.1\r\nHost: a.example\r\nReferer: http://r/\"x\r\n\
         User-Agent: \"evil\" \\ agent\x09\r\n\r\n",
    );
    let line = eventually("its line", || proxy.stdout_lines().into_iter().next());
    let quoted: Vec<&str> = line.split('"').collect();
    assert_eq!(quoted.len(), 7, "six quotes, whatever the client sends: {line}");
    assert!(quoted[0].starts_with("127.0.0.1:") && quoted[0].contains(" - http ["), "{line}");
    assert_eq!(quoted[1], "GET /a?b HTTP/1.1");
    assert!(quoted[2].starts_with(" 200 "), "{line}");
    assert_eq!(quoted[3], "http://r/\\x22x");
    assert_eq!(quoted[5], "\\x22evil\\x22 \\x5C agent");
    assert!(quoted[6].contains(" host=a.example request_id="), "{line}");
    assert!(quoted[6].ends_with(" rejection=- reason=completed"), "{line}");
}

/// A line for what is no request, too, once something of it was answered.
#[test]
fn what_is_refused_is_logged_as_far_as_it_is_known() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("splice", &[origin.address()]).start();
    for garbage in
        ["\x16\x03\x01", "GET /x HTTP/9.9\r\n\r\n", "GET /y HTTP/1.1\r\nHost : a\r\n\r\n"]
    {
        let mut client = Connection::open(&proxy.address());
        client.send(garbage);
        assert!(client.read_response("GET").status() >= 400, "{garbage:?}");
    }
    let line = logged(&proxy, "rejection", "start_line");
    assert_eq!(
        (&line["status"], &line["upstream"], &line["reason"]),
        (&400.into(), &Value::Null, &"rejected".into())
    );
    assert_eq!(logged(&proxy, "rejection", "version")["status"], 505);
    assert_eq!(logged(&proxy, "rejection", "field")["method"], "GET");
    proxy.await_metric(REQUESTS, &[("upstream", "")], |count| count == 3.0);
    await_none_in_flight(&proxy);
}

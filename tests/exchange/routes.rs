//! Where requests go, what is rewritten on the way, and what the proxy answers by itself.

use serde_json::Value;

use crate::logged;
use crate::support::http::{Connection, HttpOrigin, Message, ok};
use crate::support::proxy::{Launch, Proxy};

/// An origin that says its name, its request's target and its fields.
fn named(name: &'static str) -> HttpOrigin {
    HttpOrigin::start(move |request, connection| {
        let mut body = format!("{name} {}\n", request.start);
        for (field, value) in &request.fields {
            body += &format!("{}: {value}\n", field.to_lowercase());
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: {name}\r\nX-Internal: secret\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let body = if request.method() == "HEAD" { "" } else { &body };
        connection.try_send(head + body).is_ok()
    })
}

struct Site {
    proxy: Proxy,
    _origins: [HttpOrigin; 2],
}

fn site() -> Site {
    let origins = [named("site"), named("api")];
    let toml = format!(
        r#"
[access_log]
path = "stdout"

[listeners.web]
bind = "127.0.0.1:0"
protocol = "http"
upstream = "site"

[listeners.web.response_headers]
set.X-Frame-Options = "DENY"
remove = ["Server"]

[listeners.web.forwarded]
trust = ["127.0.0.0/8"]
forwarded = true

[[listeners.web.routes]]
host = "api.example"
path = "/v1"
upstream = "api"
strip_prefix = true
host_header = "upstream"
[listeners.web.routes.request_headers]
set.X-Client = "{{client_ip}} via {{listener}}"
add.X-Path = "{{path}}"
remove = ["X-Debug", "Cookie"]
[listeners.web.routes.response_headers]
set.X-Served-By = "{{upstream}}/{{server}}"
remove = ["X-Internal"]

[[listeners.web.routes]]
host = "*.old.example"
redirect = {{ to = "https://new.example{{path}}{{query}}", status = 301 }}

[[listeners.web.routes]]
path = "/admin"
respond = {{ status = 403, body = "Not for you.\n", headers = {{ X-Why = "rule" }} }}

[[listeners.web.routes]]
path = "/write"
methods = ["POST"]
headers.X-Token = "yes"
upstream = "api"

[[listeners.web.routes]]
path = "/gone"
respond.status = 410

[upstreams.site]
servers = ["{}"]
[upstreams.api]
servers = ["{}"]
"#,
        origins[0].address(),
        origins[1].address()
    );
    Site { proxy: Launch::configured(&toml).start(), _origins: origins }
}

impl Site {
    /// One request: start without the version, and its field lines.
    fn ask(&self, start: &str, fields: &[&str]) -> Message {
        let mut client = Connection::open(&self.proxy.address());
        client.exchange(format!("{start} HTTP/1.1\r\n{}\r\n\r\n", fields.join("\r\n")))
    }

    fn first_line(&self, start: &str, fields: &[&str]) -> String {
        self.ask(start, fields).text().lines().next().unwrap_or_default().to_owned()
    }
}

#[test]
fn requests_find_their_upstream() {
    let site = site();
    let check = |start: &str, fields: &[&str], expected: &str| {
        assert_eq!(site.first_line(start, fields), expected, "{start} {fields:?}");
    };
    check("GET /a", &["Host: a.example"], "site GET /a HTTP/1.1");
    check("GET /v1/users?b=c", &["Host: api.example"], "api GET /users?b=c HTTP/1.1");
    check("GET /v1", &["Host: API.example:80"], "api GET / HTTP/1.1");
    check("GET /v12", &["Host: api.example"], "site GET /v12 HTTP/1.1");
    check("GET http://api.example/v1/x", &["Host: api.example"], "api GET /x HTTP/1.1");
    check("GET /write", &["Host: a", "X-Token: yes"], "site GET /write HTTP/1.1");
    check("POST /write", &["Host: a", "X-Token: no"], "site POST /write HTTP/1.1");
    check("POST /write", &["Host: a", "X-Token: yes"], "api POST /write HTTP/1.1");
}

/// No spelling of a path walks around a route.
#[test]
fn a_route_cannot_be_walked_around() {
    let site = site();
    for path in [
        "/admin",
        "/admin/",
        "/admin/x",
        "/%61dmin",
        "/a/../admin",
        "/./admin",
        "/a/%2e%2e/admin",
        "/admin?x",
        "/ADMIN/../admin",
    ] {
        let answer = site.ask(&format!("GET {path}"), &["Host: a.example"]);
        assert_eq!(answer.status(), 403, "{path}: {}", answer.text());
    }
    for path in [
        "/../admin",
        "/a/..%2f..%2fadmin",
        "/admin%00",
        "/admin;x",
        "/admin;/x",
        "/admin%2fx",
        "/admin%5Cx",
        "/a/x%2Fy/../../admin",
        "/a/;/../admin",
    ] {
        assert_eq!(site.ask(&format!("GET {path}"), &["Host: a.example"]).status(), 400, "{path}");
    }
}

#[test]
fn requests_are_rewritten() {
    let site = site();
    let response = site.ask(
        "GET /v1/a",
        &[
            "Host: api.example",
            "X-Debug: 1",
            "cookie: c",
            "Connection: X-Hop",
            "X-Hop: 1",
            "Keep-Alive: x",
            "TE: gzip",
            "X-Path: given",
            "X-Forwarded-For: 10.1.1.1",
            "X-Request-Id: abc-123",
        ],
    );
    let text = response.text();
    let has = |line: &str| text.lines().any(|it| it == line);
    assert!(has("x-client: 10.1.1.1 via web"), "a trusted peer names the client: {text}");
    assert!(has("x-path: given") && has("x-path: /v1/a"), "{text}");
    assert!(has("x-forwarded-for: 10.1.1.1, 127.0.0.1"), "{text}");
    assert!(has("x-forwarded-host: api.example") && has("x-forwarded-proto: http"), "{text}");
    assert!(has("x-forwarded-port: 80"), "{text}");
    assert!(has("x-request-id: abc-123"), "a trusted client names its request: {text}");
    assert!(text.contains("forwarded: ") && text.contains("via: 1.1 "), "{text}");
    for gone in ["x-debug", "cookie", "x-hop", "keep-alive", "connection", "te"] {
        assert!(!text.contains(&format!("\n{gone}: ")), "{gone}: {text}");
    }
    // The name of the server itself.
    let host = text.lines().find(|line| line.starts_with("host: ")).unwrap();
    assert!(host.starts_with("host: 127.0.0.1:"), "{host}");
    let line = logged(&site.proxy, "request_id", "abc-123");
    assert_eq!((&line["host"], &line["client"]), (&"api.example".into(), &"10.1.1.1".into()));
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
}

#[test]
fn responses_are_rewritten() {
    let site = site();
    let response = site.ask("GET /v1/a", &["Host: api.example"]);
    assert_eq!(response.field("server"), None);
    assert_eq!(response.field("x-internal"), None);
    assert_eq!(response.field("x-frame-options"), Some("DENY"));
    let served = response.field("x-served-by").unwrap();
    assert!(served.starts_with("api/127.0.0.1:"), "{served}");
    let other = site.ask("GET /", &["Host: a.example"]);
    assert_eq!(other.field("x-internal"), Some("secret"), "another route has other rules");
}

/// Whoever is not trusted cannot say where a request comes from.
#[test]
fn a_stranger_cannot_forge_its_origin() {
    let origin = named("site");
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    let text = client
        .exchange(
            "GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 10.1.1.1\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: bank.example\r\nX-Request-Id: mine\r\n\
             Forwarded: for=10.1.1.1\r\nX-Forwarded-Prefix: /bank\r\n\r\n",
        )
        .text();
    for forged in ["10.1.1.1", "https", "bank", ": mine"] {
        assert!(!text.contains(forged), "{forged}: {text}");
    }
    assert!(text.contains("\nx-forwarded-for: 127.0.0.1\n"), "{text}");
    assert!(text.contains("\nx-forwarded-host: a.example\n"), "{text}");
    assert!(text.contains("\nhost: a.example\n"), "the client's host is kept: {text}");
    let line = logged(&proxy, "status", 200);
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert_eq!(line["client"], line["peer"]);
}

#[test]
fn redirects_lead_elsewhere() {
    let site = site();
    let response = site.ask("GET /a/b?c=d", &["Host: shop.old.example"]);
    assert_eq!(
        (response.status(), response.field("location")),
        (301, Some("https://new.example/a/b?c=d"))
    );
    assert_eq!(response.field("x-frame-options"), Some("DENY"));
    let line = logged(&site.proxy, "status", 301);
    assert_eq!(line["upstream"], Value::Null);
    // The bare domain is not below itself.
    assert_eq!(site.first_line("GET /", &["Host: old.example"]), "site GET / HTTP/1.1");
}

#[test]
fn own_answers_say_what_the_route_says() {
    let site = site();
    let mut client = Connection::open(&site.proxy.address());
    let answer = client.exchange("POST /admin HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!((answer.status(), answer.text().as_str()), (403, "Not for you.\n"));
    assert_eq!(answer.field("x-why"), Some("rule"));
    assert_eq!(answer.field("content-length"), Some("13"));
    // Its body was read, so the connection goes on.
    let head = client.exchange("HEAD /admin HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.status(), head.field("content-length")), (403, Some("13")));
    assert_eq!(client.exchange("GET /gone HTTP/1.1\r\nHost: a\r\n\r\n").status(), 410);
    site.proxy.await_metric(
        "spliceway_http_requests_total",
        &[("upstream", ""), ("code", "403")],
        |it| it == 2.0,
    );
}

/// As text or as JSON, with the id that the log has too.
#[test]
fn own_answers_speak_the_clients_language() {
    let proxy = Launch::http("splice", &[&crate::support::stream::refusing()]).start();
    let mut client = Connection::open(&proxy.address());
    let mut ask =
        |accept: &str| client.exchange(format!("GET / HTTP/1.1\r\nHost: a\r\n{accept}\r\n"));
    let text = ask("");
    assert_eq!(text.field("content-type"), Some("text/plain; charset=utf-8"), "{text:?}");
    let json = ask("Accept: text/html;q=0.1, application/json\r\n");
    assert_eq!(json.field("content-type"), Some("application/json"), "{json:?}");
    let parsed: Value = serde_json::from_slice(&json.body).unwrap();
    let ids: Vec<String> = [&text, &json]
        .map(|answer| {
            let lines = crate::support::eventually("two lines", || {
                Some(proxy.stdout_lines()).filter(|lines| lines.len() == 2)
            });
            let mut ids = lines.iter().map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["request_id"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            });
            ids.find(|id| answer.text().contains(id)).expect("the answer has the id of the log")
        })
        .into();
    assert_ne!(ids[0], ids[1]);
    assert!(parsed.to_string().contains("503"), "{parsed}");
}

#[test]
fn a_host_without_a_route_and_without_a_default_is_misdirected() {
    let origin = HttpOrigin::answering(ok("found"));
    let proxy = Launch::configured(&format!(
        "[access_log]\npath = \"stdout\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
         [[listeners.web.routes]]\nhost = \"a.example\"\nupstream = \"app\"\n\
         [upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start();
    let mut client = Connection::open(&proxy.address());
    let ask = |client: &mut Connection, host: &str| {
        client.exchange(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status()
    };
    let found = [
        ask(&mut client, "a.example"),
        ask(&mut client, "b.example"),
        ask(&mut client, "a.example."),
    ];
    assert_eq!(found, [200, 421, 200], "a final dot names the same host");
    let secure = "GET https://a.example/ HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
    assert_eq!(client.exchange(secure).status(), 421, "not in plain text");
}

/// The last proxy that a request may pass answers in the server's stead, and the others count.
#[test]
fn requests_go_no_further_than_they_may() {
    let origin = named("site");
    let proxy = Launch::http("splice", &[origin.address()]).start();
    let mut client = Connection::open(&proxy.address());
    let mut ask = |method: &str, left: &str| {
        client.exchange(format!(
            "{method} /a HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nMax-Forwards: {left}\r\n\
             Content-Length: 2\r\n\r\nhi"
        ))
    };
    for method in ["OPTIONS", "TRACE", "GET"] {
        let passed = ask(method, "7").text();
        assert!(passed.starts_with(&format!("site {method} /a HTTP/1.1\n")), "{passed}");
        let expected = if method == "GET" { "7" } else { "6" };
        assert!(passed.contains(&format!("\nmax-forwards: {expected}\n")), "{passed}");
    }
    assert!(ask("GET", "0").text().starts_with("site GET"), "GET is not bounded");
    let seen = origin.requests().len();
    let options = ask("OPTIONS", "0");
    assert_eq!((options.status(), options.text().as_str()), (200, ""));
    assert!(options.field("allow").unwrap().contains("GET, HEAD"), "{options:?}");
    let trace = ask("TRACE", "0");
    assert_eq!((trace.status(), trace.field("content-type")), (200, Some("message/http")));
    let echo = "TRACE /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(trace.text(), echo);
    assert_eq!(origin.requests().len(), seen, "no server has seen the last two");
    assert_eq!(ask("OPTIONS", "one").status(), 400);
}

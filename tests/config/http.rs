//! HTTP listeners: what their keys become, and every error with its exact words.

use std::net::IpAddr;
use std::time::Duration;

use spliceway::config::{Action, Config, Http, RelayMode};
use spliceway::http::client::ClientSource;
use spliceway::http::edits::FieldTemplate;
use spliceway::http::host::HostPolicy;
use spliceway::http::prefix::PathEdit;

use super::errors::check_in;
use super::{Case, HTTP, VALID};

/// Puts `line` into [`HTTP`].
fn check(table: &str, line: &str, expected: &[&str]) {
    check_in(HTTP, table, line, expected);
}

/// Puts one route into [`HTTP`], and expects these errors of it.
fn check_route(route: &str, expected: &[&str]) {
    let expected: Vec<String> =
        expected.iter().map(|error| format!("a.toml:@: listeners.web.routes[0]{error}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check("listeners.web", &format!("routes = [{{ {route} }}]"), &expected);
}

/// The same for a route that has what to do.
fn check_upstream_route(keys: &str, expected: &[&str]) {
    check_route(&format!("upstream = \"app\", {keys}"), expected);
}

#[test]
fn keys_of_http_need_http() {
    let of_http = "a key of HTTP, and this listener speaks TCP; expected protocol = \"http\" in \
                   [listeners.web]";
    let refused = |line: &str, key: &str| {
        check_in(VALID, "listeners.web", line, &[&format!("a.toml:@: {key}: {of_http}")]);
    };
    refused("routes = []", "listeners.web.routes");
    refused("http = { head_size = \"1KiB\" }", "listeners.web.http");
    refused("forwarded.via = false", "listeners.web.forwarded");
    refused("host_header = \"upstream\"", "listeners.web.host_header");
    refused("request_headers.remove = [\"A\"]", "listeners.web.request_headers");
    refused("response_headers.remove = [\"A\"]", "listeners.web.response_headers");
    for key in ["request_head", "request_body", "response_head", "response_body", "keep_alive"] {
        refused(&format!("timeouts.{key} = \"1s\""), &format!("listeners.web.timeouts.{key}"));
    }
    refused("timeouts.lingering = \"1s\"", "listeners.web.timeouts.lingering");
}

#[test]
fn a_protocol_that_is_misspelt_is_the_only_error() {
    check_in(
        VALID,
        "listeners.web",
        "protocol = \"https\" # and keys of HTTP\nhttp.headers_max = 7",
        &["a.toml:3: listeners.web.protocol: found \"https\"; expected \"tcp\" or \"http\"; did \
           you mean \"http\"?"],
    );
}

#[test]
fn the_idle_time_of_pools_is_not_a_listeners() {
    for (valid, protocol) in [(VALID, "tcp"), (HTTP, "http")] {
        check_in(
            valid,
            "listeners.web",
            "timeouts.upstream_idle = \"1s\"",
            &[
                "a.toml:@: listeners.web.timeouts.upstream_idle: an upstream is the same for all of \
               its listeners; expected it in [timeouts], or idle_timeout in [upstreams.NAME.pool]",
            ],
        );
        assert!(valid.contains("http") == (protocol == "http"));
    }
}

#[test]
fn a_listener_leads_somewhere() {
    let text = HTTP.replace("upstream = \"app\"\n", "");
    assert_eq!(
        Case::file("a.toml", &text).errors(),
        ["a.toml:2: listeners.web.upstream: missing; expected the name of an upstream, or routes \
          that say what to do"]
    );
    check(
        "listeners.web",
        "upstream = \"ap\"",
        &[
            "a.toml:@: listeners.web.upstream: there is no upstream named \"ap\"; expected \"app\"; \
           did you mean \"app\"?",
        ],
    );
    check("listeners.web", "routes = []", &[]);
    let only_routes = text.replace("protocol", "routes = [{ upstream = \"app\" }]\nprotocol");
    assert_eq!(Case::file("a.toml", &only_routes).errors(), [""; 0]);
    let nothing = text.replace("protocol", "routes = []\nprotocol");
    assert_eq!(
        Case::file("a.toml", &nothing).errors(),
        ["a.toml:2: listeners.web.upstream: missing; expected the name of an upstream, or routes \
          that say what to do"]
    );
}

#[test]
fn routes_are_a_list_of_tables() {
    let expected = "expected a list of tables, such as [[listeners.NAME.routes]]";
    check(
        "listeners.web",
        "routes = { host = \"a\" }",
        &[&format!("a.toml:@: listeners.web.routes: found a table; {expected}")],
    );
    check(
        "listeners.web",
        "routes = [\"app\"]",
        &["a.toml:@: listeners.web.routes[0]: found \"app\"; expected a table"],
    );
    let many = format!("routes = [{}]", "{ upstream = \"app\" },".repeat(1001));
    check(
        "listeners.web",
        &many,
        &["a.toml:@: listeners.web.routes: found a list of 1001; expected at most 1000"],
    );
}

#[test]
fn a_route_does_one_thing() {
    check_route(
        "host = \"a\"",
        &[".upstream: missing; expected what to do with a request: upstream, files, redirect or \
           respond"],
    );
    let problem = "a route does one thing, and this one has";
    let expected = "expected a route of its own for it";
    check_upstream_route(
        "respond = {}, redirect = { to = \"/\" }",
        &[
            &format!(".redirect: {problem} upstream already; {expected}"),
            &format!(".respond: {problem} upstream already; {expected}"),
        ],
    );
    check_route(
        "respond = {}, redirect = { to = \"/\" }",
        &[&format!(".respond: {problem} redirect already; {expected}")],
    );
    check_route(
        "host = \"a\", upstream = \"api\"",
        &[".upstream: there is no upstream named \"api\"; expected \"app\"; did you mean \"app\"?"],
    );
    check_upstream_route("hots = \"a\"", &[".hots: unknown key; did you mean \"host\"?"]);
    for key in ["strip_prefix = true", "replace_prefix = \"/\"", "host_header = \"upstream\""] {
        let name = key.split(' ').next().unwrap();
        let or_files = if name == "host_header" { "" } else { " or files" };
        check_route(
            &format!("path = \"/a\", respond = {{}}, {key}"),
            &[&format!(
                ".{name}: a route with respond sends nothing on; expected it in a route with \
                 upstream{or_files}"
            )],
        );
    }
    check_route(
        "redirect = { to = \"/\" }, relay = { mode = \"copy\" }, request_headers = {}",
        &[
            ".request_headers: a route with redirect sends nothing on; expected it in a route with \
             upstream",
            ".relay: a route with redirect sends nothing on; expected it in a route with upstream",
        ],
    );
}

#[test]
fn conditions_of_routes() {
    let host = "expected a host such as \"www.example.com\", or \"*.example.com\" for all below it";
    check_upstream_route(
        "host = \"a:80\"",
        &[&format!(".host: found \"a:80\": a port has no place in it; {host}")],
    );
    check_upstream_route("host = 5", &[&format!(".host: found the number 5; {host}")]);
    let path = "expected the beginning of a path, such as \"/api\"";
    check_upstream_route(
        "path = \"api\"",
        &[&format!(".path: found \"api\": a path begins with /; {path}")],
    );
    check_upstream_route(
        "path = \"/a/../b\"",
        &[&format!(
            ".path: found \"/a/../b\": requests are matched in their plain form; write \"/b\"; \
             {path}"
        )],
    );
    let method = "expected a method in capital letters, such as \"GET\"";
    check_upstream_route(
        "methods = [\"get\", \"M-SEARCH\", \"PO ST\", \"\"]",
        &[
            &format!(".methods[0]: found \"get\"; {method}; did you mean \"GET\"?"),
            &format!(".methods[2]: found \"PO ST\"; {method}; did you mean \"POST\"?"),
            &format!(".methods[3]: found \"\"; {method}"),
        ],
    );
    check_upstream_route(
        "methods = [\"GET\", \"CONNECT\"]",
        &[".methods[1]: found \"CONNECT\": it is refused before any route; expected another \
           method"],
    );
    let methods = "expected a list of methods, such as [\"GET\", \"HEAD\"]";
    check_upstream_route("methods = []", &[&format!(".methods: found an empty list; {methods}")]);
    check_upstream_route("methods = true", &[&format!(".methods: found true; {methods}")]);
    let header = "expected the value that the header must have, or true for any";
    check_upstream_route(
        "headers = { X-A = false, X-B = 1 }",
        &[
            &format!(".headers.X-A: found false; {header}"),
            &format!(".headers.X-B: found the number 1; {header}"),
        ],
    );
    check_upstream_route(
        "headers = { X-A = \" 1\", \"X B\" = true }",
        &[
            ".headers.\"X B\": a field name cannot hold ' '; expected letters, digits and \
             !#$%&'*+-.^_`|~",
            ".headers.X-A: found \" 1\": no header has such a value; expected visible ASCII \
             without white space around it",
        ],
    );
}

#[test]
fn routes_that_no_request_reaches() {
    check(
        "listeners.web",
        "routes = [{ host = \"A\", respond = {} }, { host = \"a\", upstream = \"app\" }]",
        &["a.toml:@: listeners.web.routes[1]: no request comes here: listeners.web.routes[0] \
           (a.toml:@) has the same conditions; expected other conditions"],
    );
    check(
        "listeners.web",
        "routes = [{ upstream = \"app\" }]",
        &["a.toml:6: listeners.web.upstream: no request comes here: listeners.web.routes[0] \
           (a.toml:@) has the same conditions; expected other conditions"],
    );
    check(
        "listeners.web",
        "routes = [{ methods = [\"GET\", \"PUT\"], upstream = \"app\" }, \
         { methods = [\"PUT\", \"GET\", \"GET\"], path = \"/\", upstream = \"app\" }]",
        &[],
    );
}

#[test]
fn edits_of_paths() {
    check_upstream_route(
        "strip_prefix = true",
        &[".strip_prefix: there is no prefix; expected path, which says what it is"],
    );
    check_upstream_route(
        "replace_prefix = \"/b\"",
        &[".replace_prefix: there is no prefix; expected path, which says what it is"],
    );
    check_upstream_route(
        "path = \"/a\", strip_prefix = true, replace_prefix = \"/b\"",
        &[".replace_prefix: the prefix is stripped already; expected one of the two"],
    );
    check_upstream_route(
        "path = \"/a\", strip_prefix = \"/a\"",
        &[".strip_prefix: found \"/a\"; expected true or false"],
    );
    check_upstream_route("path = \"/a\", strip_prefix = false, replace_prefix = \"/b\"", &[]);
}

#[test]
fn edits_of_headers() {
    check(
        "listeners.web",
        "request_headers.set = { Content-Length = \"1\", Host = \"a\", X-A = \"{nobody}\" }",
        &[
            "a.toml:@: listeners.web.request_headers.set.Content-Length: Content-Length belongs to \
             the connection, and the proxy writes it itself",
            "a.toml:@: listeners.web.request_headers.set.Host: Host is not edited like other \
             fields; use host_header",
            "a.toml:@: listeners.web.request_headers.set.X-A: found \"{nobody}\": there is no \
             placeholder {nobody}; expected one of {client_ip} {client_port} {host} {method} \
             {path} {query} {scheme} {request_id} {listener} {upstream} {server} \
             {tls_version} {tls_cipher} {tls_server_name} {tls_client_subject} \
             {tls_client_fingerprint}",
        ],
    );
    check(
        "listeners.web",
        "request_headers.add = { X-A = \"a\\r\\nX-B: b\", X-C = \"{\", X-D = 5 }",
        &[
            "a.toml:@: listeners.web.request_headers.add.X-A: found \"a\\r\\nX-B: b\": a field \
             value cannot hold '\\r'; expected visible ASCII",
            "a.toml:@: listeners.web.request_headers.add.X-C: found \"{\": a { without its pair; \
             {{ stands for {",
            "a.toml:@: listeners.web.request_headers.add.X-D: found the number 5; expected the \
             value of a header, such as \"max-age=60\" or \"{client_ip}\"",
        ],
    );
    check(
        "listeners.web",
        "response_headers = { remove = [\"X-A\", \"Transfer-Encoding\", 5], replace = {} }",
        &[
            "a.toml:@: listeners.web.response_headers.remove[1]: found \"Transfer-Encoding\": \
             Transfer-Encoding belongs to the connection, and the proxy writes it itself",
            "a.toml:@: listeners.web.response_headers.remove[2]: found the number 5; expected the \
             name of a header, such as \"X-Debug\"",
            "a.toml:@: listeners.web.response_headers.replace: unknown key; expected one of set, \
             add, remove",
        ],
    );
    check(
        "listeners.web",
        "response_headers = { remove = [\"x-a\"], set = { X-A = \"1\" } }",
        &["a.toml:@: listeners.web.response_headers: X-A is both set and removed"],
    );
    check_upstream_route(
        "request_headers = { set = { \"\" = \"1\" } }",
        &[".request_headers.set.\"\": a field name cannot be empty"],
    );
}

#[test]
fn answers_of_routes() {
    let expected = "expected where to, such as \"https://{host}{path}{query}\"";
    check_route("redirect = {}", &[&format!(".redirect.to: missing; {expected}")]);
    check_route(
        "redirect = \"/\"",
        &[
            ".redirect: found \"/\"; expected a table",
            &format!(".redirect.to: missing; {expected}"),
        ],
    );
    check_route(
        "redirect = { to = \"ftp://a\", status = 200 }",
        &[
            ".redirect.to: found \"ftp://a\": expected a path, or a URL that begins with http://, \
             https://, {scheme}:// or {path}",
            ".redirect.status: found the number 200; expected 301, 302, 303, 307 or 308",
        ],
    );
    check_route(
        "respond = { status = 101 }",
        &[".respond.status: found the number 101; expected a whole number from 200 to 599"],
    );
    check_route(
        "respond = { status = 204, body = \"x\" }",
        &[".respond.body: an answer with status 204 has no body; expected another status, or no \
           body"],
    );
    check_route("path = \"/a\", respond = { status = 204, body = \"\" }", &[]);
    check_route(
        "respond = { headers = { Content-Length = \"0\", A = true } }",
        &[
            ".respond.headers.A: found true; expected the value of a header, such as \
             \"max-age=60\" or \"{client_ip}\"",
            ".respond.headers.Content-Length: Content-Length belongs to the connection, and the \
             proxy writes it itself",
        ],
    );
    check_route(
        &format!("respond = {{ body = \"{}\" }}", "x".repeat(65_537)),
        &[".respond.body: found a text of 65537 bytes; expected at most 64KiB"],
    );
}

#[test]
fn hosts_for_servers() {
    let expected = "expected \"preserve\", \"upstream\", or a host, such as \"app.example.com\"";
    let refused = |value: &str, rest: &str| {
        let error = format!("a.toml:@: listeners.web.host_header: found {value}; {expected}{rest}");
        check("listeners.web", &format!("host_header = {value}"), &[&error]);
    };
    refused("\"upstraem\"", "; did you mean \"upstream\"?");
    refused("\"a/b\"", "");
    refused("true", "");
}

#[test]
fn limits_and_trust() {
    check(
        "http",
        "head_size = \"64\"",
        &[
            "a.toml:@: http.head_size: found \"64\": the unit is missing; expected a size from 1KiB \
           to 1MiB with its unit, such as \"256KiB\"",
        ],
    );
    check(
        "listeners.web",
        "http.head_size = \"2KiB\"",
        &["a.toml:@: listeners.web.http.head_size: 2KiB has no room for http.target_size = 8KiB; \
           expected at least as much"],
    );
    check(
        "http",
        "target_size = \"33KiB\"",
        &[
            "a.toml:@: http.target_size: 33KiB does not fit into http.head_size = 32KiB; expected at \
           most as much",
        ],
    );
    check(
        "http",
        "request_body_max = \"none\"",
        &[
            "a.toml:@: http.request_body_max: found \"none\": it does not begin with a whole number; \
           expected \"off\" or a size from 0B to 1024GiB with its unit, such as \"256MiB\"",
        ],
    );
    check(
        "forwarded",
        "trust = [\"10.0.0.1/8\"]",
        &["a.toml:@: forwarded.trust: found \"10.0.0.1/8\": bits are set past the mask; write \
           \"10.0.0.0/8\""],
    );
    check(
        "forwarded",
        "trust = [\"localhost\"]",
        &[
            "a.toml:@: forwarded.trust: found \"localhost\": not a network; expected \"10.0.0.0/8\", \
           \"2001:db8::/32\", an IP address or \"unix\"",
        ],
    );
    check(
        "forwarded",
        "client = \"x-forwarded-for\"",
        &["a.toml:@: forwarded.client: found \"x-forwarded-for\"; expected \"x_forwarded_for\", \
           \"forwarded\" or \"peer\"; did you mean \"x_forwarded_for\"?"],
    );
    let list = "expected a list of networks, such as [\"10.0.0.0/8\", \"unix\"]";
    check(
        "forwarded",
        "trust = true",
        &[&format!("a.toml:@: forwarded.trust: found true; {list}")],
    );
    check(
        "forwarded",
        "trust = [8]",
        &["a.toml:@: forwarded.trust: found the number 8; expected a network, or \"unix\""],
    );
    check(
        "upstreams.app.pool",
        "idle_max = 10001",
        &[
            "a.toml:@: upstreams.app.pool.idle_max: found the number 10001; expected a whole number \
           from 0 to 10000",
        ],
    );
}

/// A proxy that is its own upstream through one of its routes goes in circles as well.
#[test]
fn routes_do_not_lead_back() {
    let text = format!(
        "{HTTP}[upstreams.me]\nservers = [\"127.0.0.1:80\"]\n\
         [[listeners.web.routes]]\npath = \"/a\"\nupstream = \"me\"\n\
         [[listeners.web.routes]]\npath = \"/b\"\nupstream = \"me\"\n"
    );
    assert_eq!(
        Case::file("a.toml", &text).errors(),
        ["a.toml:10: upstreams.me.servers[0]: 127.0.0.1:80 is where listeners.web itself listens \
          (a.toml:3): its connections would go in circles; expected the address of another service"]
    );
}

fn config(text: &str) -> Config {
    Case::file("a.toml", &format!("{HTTP}{text}")).loaded().config
}

fn http(config: &Config) -> &Http {
    config.listeners[0].http().unwrap()
}

#[test]
fn a_listener_without_routes_has_one() {
    let config = config("");
    let http = http(&config);
    assert!(http.router.patterns()[0].is_any());
    assert_eq!((http.routes.len(), http.upstream()), (1, config.listeners[0].upstream()));
    assert!(config.listeners[0].upstream().is_some());
    assert_eq!(http.limits.head, spliceway::http::limits::HeadLimits::default());
    assert_eq!(http.limits.chunk, spliceway::http::limits::ChunkLimits::default());
    assert_eq!(http.limits.request_body_max, None);
    assert_eq!(http.forwarded, spliceway::http::forwarded::ForwardedPolicy::default());
}

/// Each key has a value of its own, so that two that are mixed up are found.
#[test]
fn every_value_arrives_where_it_belongs() {
    let values = [
        ("timeouts.request_head", "1s"),
        ("timeouts.request_body", "2s"),
        ("timeouts.response_head", "3s"),
        ("timeouts.response_body", "4s"),
        ("timeouts.keep_alive", "5s"),
        ("timeouts.lingering", "6s"),
        ("timeouts.upstream_idle", "7s"),
        ("http.head_size", "8KiB"),
        ("http.headers_max", "9"),
        ("http.target_size", "7KiB"),
        ("http.chunk_extension_size", "6KiB"),
        ("http.trailer_size", "5KiB"),
        ("http.request_body_max", "4KiB"),
        ("forwarded.trust", "10.0.0.0/8, unix"),
        ("forwarded.client", "forwarded"),
        ("forwarded.x_forwarded", "false"),
        ("forwarded.forwarded", "true"),
        ("forwarded.via", "false"),
        ("forwarded.request_id", "false"),
        ("upstreams.app.pool.idle_max", "3"),
    ];
    let case = values
        .iter()
        .fold(Case::file("a.toml", HTTP), |case, (key, value)| case.flag(key, value, "--set"));
    let config = case.loaded().config;
    let http = http(&config);
    let seconds = |duration: Duration| duration.as_secs();
    assert_eq!(seconds(http.timeouts.request_head), 1);
    assert_eq!(seconds(http.timeouts.request_body), 2);
    assert_eq!(seconds(http.timeouts.response_head), 3);
    assert_eq!(seconds(http.timeouts.response_body), 4);
    assert_eq!(seconds(http.timeouts.keep_alive), 5);
    assert_eq!(seconds(http.timeouts.lingering), 6);
    assert_eq!(seconds(config.upstreams[0].pool.idle_timeout), 7);
    assert_eq!(http.limits.head.head_size, 8 << 10);
    assert_eq!(http.limits.head.fields_max, 9);
    assert_eq!(http.limits.head.target_size, 7 << 10);
    assert_eq!(http.limits.chunk.extension_size, 6 << 10);
    assert_eq!(http.limits.chunk.trailer_size, 5 << 10);
    assert_eq!(http.limits.request_body_max, Some(4 << 10));
    let trusted = |ip: Option<&str>| {
        http.forwarded.trust.contains(ip.map(|ip| ip.parse::<IpAddr>().unwrap()))
    };
    assert!(trusted(Some("10.1.2.3")) && trusted(None) && !trusted(Some("11.0.0.1")));
    assert_eq!(http.forwarded.client, ClientSource::Forwarded);
    let told = &http.forwarded;
    assert_eq!(
        [told.x_forwarded, told.forwarded, told.via, told.request_id],
        [false, true, false, false]
    );
    assert_eq!(config.upstreams[0].pool.idle_max, 3);
}

#[test]
fn a_listener_has_what_holds_for_all_unless_it_says_otherwise() {
    let check = |key: &str, for_all: &str, own: &str| {
        let own_key = format!("listeners.web.{key}");
        let shared = || Case::file("a.toml", HTTP).flag(key, for_all, "--all");
        assert_eq!(shared().effective(&own_key), format!("{for_all} from {key}, --all"));
        let overridden = shared().flag(&own_key, own, "--own");
        assert_eq!(overridden.effective(&own_key), format!("{own} from --own"));
    };
    for key in [
        "request_head",
        "request_body",
        "response_head",
        "response_body",
        "keep_alive",
        "lingering",
    ] {
        check(&format!("timeouts.{key}"), "1s", "2s");
    }
    check("http.head_size", "9KiB", "10KiB");
    check("http.headers_max", "9", "10");
    check("http.target_size", "1KiB", "2KiB");
    check("http.chunk_extension_size", "1KiB", "2KiB");
    check("http.trailer_size", "1KiB", "2KiB");
    check("http.request_body_max", "off", "0B");
    check("forwarded.trust", "::1/128", "unix, 10.0.0.0/8");
    check("forwarded.client", "forwarded", "peer");
    check("forwarded.x_forwarded", "false", "true");
    check("forwarded.forwarded", "true", "false");
    check("forwarded.via", "false", "true");
    check("forwarded.request_id", "false", "true");
    let pool = Case::file("a.toml", HTTP).flag("timeouts.upstream_idle", "9s", "--all");
    assert_eq!(
        pool.effective("upstreams.app.pool.idle_timeout"),
        "9s from timeouts.upstream_idle, --all"
    );
}

#[test]
fn a_route_has_what_its_listener_has_unless_it_says_otherwise() {
    let config = config(
        r#"
        [listeners.web.relay]
        mode = "auto"
        [listeners.web.request_headers]
        set = { X-A = "listener", X-B = "listener" }
        [listeners.web.response_headers]
        remove = ["Server"]

        [[listeners.web.routes]]
        path = "/own"
        upstream = "app"
        host_header = "app.internal:8080"
        strip_prefix = true
        relay = { mode = "copy" }
        request_headers = { set = { x-b = "route" }, add = { X-C = "route" } }
        response_headers = { set = { Server = "us" } }

        [[listeners.web.routes]]
        path = "/inherited"
        upstream = "app"
        replace_prefix = "/new/"
        "#,
    );
    let [own, inherited, default] = &http(&config).routes[..] else { panic!("three routes") };
    let names = |edits: &spliceway::http::edits::HeaderEdits| {
        edits.lines().map(|line| line.name.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let forward = own.action.forward().unwrap();
    assert_eq!(forward.relay.mode, RelayMode::Copy);
    assert!(
        matches!(&forward.host, HostPolicy::Name(name) if name.as_str() == "app.internal:8080")
    );
    assert_eq!(names(&forward.request_headers), "X-A x-b X-C");
    assert_eq!(names(&own.response_headers), "Server");
    assert_eq!(forward.path.apply("/own/a").map(|parts| parts.concat()).as_deref(), Some("/a"));
    let forward = inherited.action.forward().unwrap();
    assert_eq!(forward.relay.mode, RelayMode::Auto);
    assert_eq!(forward.host, HostPolicy::Preserve);
    assert_eq!(names(&forward.request_headers), "X-A X-B");
    assert!(inherited.response_headers.replaces(b"server"));
    let path = forward.path.apply("/inherited/a").map(|parts| parts.concat());
    assert_eq!(path.as_deref(), Some("/new/a"));
    assert_eq!(default.action.forward().unwrap().path, PathEdit::Keep);
    assert_eq!(default.response_headers, inherited.response_headers);
}

#[test]
fn answers_are_taken_as_they_are_written() {
    let config = config(
        r#"
        [listeners.web.response_headers]
        set = { X-Frame-Options = "DENY", content-type = "text/x", LOCATION = "/" }
        remove = ["X-Powered-By"]

        [[listeners.web.routes]]
        host = "*.example"
        redirect.to = "https://{host}{path}{query}"

        [[listeners.web.routes]]
        path = "/robots.txt"
        respond.headers = { X-Env = "{listener}", X-Powered-By = "us", x-own = "?" }
        respond.body = "Disallow: /\n"
        response_headers.set.X-Own = "1"
        "#,
    );
    let http = http(&config);
    let names = |headers: &[FieldTemplate]| {
        headers.iter().map(|line| line.name.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let Action::Redirect(redirect) = &http.routes[0].action else { panic!("a redirect") };
    assert_eq!((redirect.status, &*names(&redirect.headers)), (308, "X-Frame-Options"));
    let Action::Respond(respond) = &http.routes[1].action else { panic!("an answer") };
    assert_eq!((respond.status, &*respond.body), (200, "Disallow: /\n"));
    assert_eq!(names(&respond.headers), "X-Env LOCATION X-Frame-Options content-type X-Own");
}

/// Names of headers are keys, of which case matters to whoever reads them.
#[test]
fn headers_keep_their_case_in_every_format() {
    let yaml = "listeners:\n  web:\n    bind: 127.0.0.1:80\n    protocol: http\n    upstream: app\n\
                \x20   request_headers:\n      set:\n        X-Env: prod\n\
                upstreams:\n  app:\n    servers: [127.0.0.1:1]\n";
    let case = Case::file("a.yaml", yaml);
    let key = "listeners.web.request_headers.set.X-Env";
    assert_eq!(case.effective(key), "prod from a.yaml:8");
    let toml = format!("{HTTP}[listeners.web.request_headers]\nset.X-Env = \"prod\"\n");
    assert_eq!(Case::file("a.toml", &toml).effective(key), "prod from a.toml:10");
}

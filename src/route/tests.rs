use proptest::prelude::*;

use super::*;
use crate::http::head::Parsed;
use crate::http::limits::HeadLimits;

/// The head of a request.
fn head(method: &str, host: &str, path: &str, headers: &str) -> RequestHead {
    let text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    let mut head = RequestHead::default();
    let parsed = head.parse(text.as_bytes(), &HeadLimits::default());
    assert_eq!(parsed, Parsed::Complete { length: text.len() }, "{text}");
    head
}

/// A pattern from a line such as `GET,HEAD a.example/path X-A=1 X-B=*`; `*` is any host.
fn pattern(line: &str) -> Pattern {
    let mut words = line.split(' ').peekable();
    let is_methods = |word: &&str| !word.contains('/') && !word.contains('=');
    let methods = words.next_if(is_methods).unwrap_or_default();
    let (host, path) = words.next().and_then(|word| word.split_once('/')).unwrap_or(("*", ""));
    let header = |word: &str| {
        let (name, value) = word.split_once('=').unwrap();
        let value = (value != "*").then(|| value.into());
        HeaderPattern { name: FieldName::parse(name).unwrap(), value }
    };
    Pattern {
        host: if host == "*" { HostPattern::Any } else { HostPattern::parse(host).unwrap() },
        path: Some(PathPrefix::parse(&format!("/{path}")).unwrap()),
        methods: methods.split(',').filter(|method| !method.is_empty()).map(Box::from).collect(),
        headers: words.map(header).collect(),
    }
}

fn router(lines: &[&str]) -> Router {
    Router::new(lines.iter().map(|line| pattern(line)).collect())
}

/// The line of the route that is found.
fn found<'l>(lines: &[&'l str], request: &RequestHead) -> Result<&'l str, Miss> {
    router(lines).find(request).map(|id| lines[id.index()])
}

#[test]
fn the_most_specific_host_wins() {
    let lines = ["*/", "*.example/", "*.b.example/", "a.b.example/", "[::1]/", "127.0.0.1/"];
    let check = |host: &str, expected: &str| {
        assert_eq!(found(&lines, &head("GET", host, "/", "")), Ok(expected), "{host}");
    };
    check("a.b.example", "a.b.example/");
    check("A.B.Example:8080", "a.b.example/");
    check("a.b.example.", "a.b.example/");
    check("c.b.example", "*.b.example/");
    check("a.a.b.example", "*.b.example/");
    check("b.example", "*.example/");
    check("xb.example", "*.example/");
    check("example", "*/");
    check("[::1]:80", "[::1]/");
    check("127.0.0.1", "127.0.0.1/");
    check(&format!("{}b.example", "a.".repeat(130)), "*/");
}

#[test]
fn a_host_without_the_path_leaves_it_to_less_specific_hosts() {
    let lines = ["a.example/v1", "*.example/v1/x", "*.example/v2", "*/"];
    let check = |path: &str, expected: &str| {
        assert_eq!(found(&lines, &head("GET", "a.example", path, "")), Ok(expected), "{path}");
    };
    check("/v1/x", "a.example/v1");
    check("/v2", "*.example/v2");
    check("/v3", "*/");
}

#[test]
fn the_longest_path_wins_however_it_is_spelled() {
    let lines = ["*/", "*/api", "*/api/admin", "*/apix"];
    let check = |path: &str, expected: &str| {
        assert_eq!(found(&lines, &head("GET", "x", path, "")), Ok(expected), "{path}");
    };
    check("/", "*/");
    check("/ap", "*/");
    check("/API", "*/");
    check("/api", "*/api");
    check("/api?/admin", "*/api");
    check("/api/adminx", "*/api");
    check("/api/admin", "*/api/admin");
    check("/api/admin/", "*/api/admin");
    check("/x/../api/./admin/users", "*/api/admin");
    check("/api/%61dmin", "*/api/admin");
    check("//api//admin", "*/api/admin");
    check("/api/admin/../public", "*/api");
    check("http://x/api/admin", "*/api/admin");
}

#[test]
fn methods_and_headers_decide_among_equal_paths() {
    let lines = ["*/", "*/ X-A=*", "*/ X-A=1", "GET,HEAD */", "GET */ X-A=1 X-B=2", "POST */x"];
    let check = |method: &str, path: &str, headers: &str, expected: &str| {
        let head = head(method, "x", path, headers);
        assert_eq!(found(&lines, &head), Ok(expected), "{method} {path} {headers}");
    };
    check("PUT", "/", "", "*/");
    check("PUT", "/", "X-A: 2\r\n", "*/ X-A=*");
    // Of two that ask for as much, the first.
    check("PUT", "/", "x-a: 1\r\n", "*/ X-A=*");
    check("GET", "/", "", "GET,HEAD */");
    check("HEAD", "/x", "X-A: 1\r\n", "GET,HEAD */");
    check("GET", "/", "X-A: 1\r\nX-B: 2\r\n", "GET */ X-A=1 X-B=2");
    // Each line of a header that comes twice counts.
    check("GET", "/", "X-A: 3\r\nX-B: 2\r\nX-A: 1\r\n", "GET */ X-A=1 X-B=2");
    check("POST", "/x/y", "X-A: 1\r\n", "POST */x");
    check("get", "/", "", "*/");
}

#[test]
fn a_miss_says_whether_the_host_is_known() {
    let lines = ["a.example/v1", "*.b.example/", "GET c.example/"];
    let check = |method: &str, host: &str, path: &str, expected: Miss| {
        assert_eq!(found(&lines, &head(method, host, path, "")), Err(expected), "{host} {path}");
    };
    check("GET", "a.example", "/v2", Miss::Path);
    check("PUT", "c.example", "/", Miss::Path);
    check("GET", "b.example", "/", Miss::Host);
    check("GET", "example", "/", Miss::Host);
    assert_eq!(found(&[], &head("GET", "a", "/", "")), Err(Miss::Host));
    assert_eq!(found(&["*/v1"], &head("GET", "a", "/", "")), Err(Miss::Path));
}

#[test]
fn only_a_route_without_a_path_takes_a_request_for_none() {
    let options = head("OPTIONS", "a", "*", "");
    assert_eq!(found(&["*/"], &options), Err(Miss::Path));
    assert_eq!(Router::new(vec![Pattern::default()]).find(&options), Ok(RouteId(0)));
}

#[test]
fn a_path_that_servers_may_read_as_another_routes_is_refused() {
    let lines = ["*/", "*/admin", "*/api", "*/api/admin", "*/g%2Fp", "*/v;1"];
    let check = |path: &str, expected: Result<&str, Miss>| {
        assert_eq!(found(&lines, &head("GET", "x", path, "")), expected, "{path}");
    };
    for path in [
        "/admin;x",
        "/admin;x/y",
        "/admin%2Fx",
        "/admin%2fx",
        "/admin%5Cx",
        "/admin%3Bx",
        "/%2Fadmin",
        "/;/admin",
        "/api%2Fadmin",
        "/api;v=1/admin",
        "/api/;/admin",
        "/api/admin;x",
        "/api/%2Fadmin",
    ] {
        check(path, Err(Miss::Ambiguous));
    }
    // Where both come to the same route, there is nothing to doubt.
    check("/x%2Fy", Ok("*/"));
    check("/x;y", Ok("*/"));
    check("/administrator;x", Ok("*/"));
    check("/admin/x%2Fy;z", Ok("*/admin"));
    check("/api/x;y/admin", Ok("*/api"));
    check("/x?/admin;%2F", Ok("*/"));
    // What is written in a route is meant.
    check("/g%2Fp/x", Ok("*/g%2Fp"));
    check("/v;1/x", Ok("*/v;1"));
    assert_eq!(found(&["*/a"], &head("GET", "x", "/b;c", "")), Err(Miss::Path));
}

#[test]
fn a_host_is_found_in_every_spelling() {
    let lines = ["*/", "[2001:db8::1]/", "[::ffff:192.0.2.1]/", "192.0.2.1/"];
    let check = |host: &str, expected: &str| {
        assert_eq!(found(&lines, &head("GET", host, "/", "")), Ok(expected), "{host}");
    };
    for host in
        ["[2001:db8::1]", "[2001:DB8::1]:80", "[2001:0db8:0:0:0:0:0:1]", "[2001:db8:0:0::0.0.0.1]"]
    {
        check(host, "[2001:db8::1]/");
    }
    check("[::FFFF:c000:201]", "[::ffff:192.0.2.1]/");
    check("192.0.2.1.:8080", "192.0.2.1/");
    check("192.0.2.1", "192.0.2.1/");
    check("[2001:db8::2]", "*/");
}

#[test]
fn hosts_as_people_write_them() {
    let check = |text: &str, shown: &str| {
        assert_eq!(HostPattern::parse(text).map(|host| host.to_string()), Ok(shown.to_owned()));
    };
    check("Www.Example.com", "www.example.com");
    check("*.Example.com", "*.example.com");
    check("localhost", "localhost");
    check("10.0.0.1", "10.0.0.1");
    check("[0:0::1]", "[::1]");
    check("0:0::1", "[::1]");
    check("a_b.example", "a_b.example");
}

#[test]
fn hosts_that_are_none() {
    let check = |text: &str, expected: &str| {
        assert_eq!(HostPattern::parse(text), Err(expected.to_owned()), "{text}");
    };
    check("", "a part of the name is empty");
    check("a..b", "a part of the name is empty");
    check("a.", "a part of the name is empty");
    check("*.", "a part of the name is empty");
    check("*", "a wildcard is \"*.\" and the rest of the name");
    check("a.*.b", "a wildcard is \"*.\" and the rest of the name");
    check("*a.b", "a wildcard is \"*.\" and the rest of the name");
    check("a:80", "a port has no place in it");
    check("[::1]:80", "'[' cannot be in a host name");
    check("[x]", "\"x\" is no IPv6 address");
    check("a/b", "'/' cannot be in a host name");
    check("\u{e4}.example", "'\u{e4}' must be written in its ASCII form, \"xn--...\"");
    check(&"a".repeat(254), "it is too long");
}

#[test]
fn patterns_read_as_requests_do() {
    let check = |line: &str| assert_eq!(pattern(line).to_string(), line);
    check("*/");
    check("GET,HEAD a.example/api X-A=1 X-B=*");
    check("*.example/api/v1");
    assert_eq!(Pattern::default().to_string(), "every request");
}

/// How good a route is for a request, the best the greatest; `None` where it is not for it. Said
/// from the rules alone, without an index.
fn naive(pattern: &Pattern, head: &RequestHead) -> Option<(usize, usize, bool, usize)> {
    let labels = |host: &str| host.split('.').map(str::to_owned).collect::<Vec<_>>();
    let host = match &pattern.host {
        HostPattern::Any => 0,
        HostPattern::Exact(name) => (**name == *head.host()).then_some(usize::MAX)?,
        HostPattern::Wildcard(suffix) => {
            let (suffix, host) = (labels(&suffix[1..]), labels(head.host()));
            (host.len() > suffix.len() && host.ends_with(&suffix)).then_some(suffix.len())?
        }
    };
    let segments = |path: &str| {
        path.split('/').filter(|it| !it.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let path = match &pattern.path {
        None => 0,
        Some(prefix) => {
            let prefix_segments = segments(prefix.as_str());
            let is_below = segments(head.path()).starts_with(&prefix_segments);
            is_below.then_some(prefix.as_str().len())?
        }
    };
    let method = head.method_text();
    if !pattern.methods.is_empty() && !pattern.methods.iter().any(|it| **it == *method) {
        return None;
    }
    for header in &pattern.headers {
        let values: Vec<_> =
            head.fields().filter(|field| header.name.matches(field.name)).collect();
        match &header.value {
            None if values.is_empty() => return None,
            Some(value) if values.iter().all(|it| it.value != value.as_bytes()) => return None,
            _ => {}
        }
    }
    Some((host, path, !pattern.methods.is_empty(), pattern.headers.len()))
}

fn some_line() -> impl Strategy<Value = String> {
    let part = |words: &[&'static str]| prop::sample::select(words.to_vec());
    let methods = part(&["", "", "GET ", "GET,POST ", "PUT "]);
    let host = part(&["*", "a", "a.b", "b.a.b", "*.b", "*.a.b", "*.b.a.b"]);
    let path = part(&["/", "/a", "/a/a", "/a/b", "/b", "/aa"]);
    let headers = part(&["", "", " X-A=*", " X-A=1", " X-A=1 X-B=2"]);
    (methods, host, path, headers).prop_map(|(m, h, p, x)| format!("{m}{h}{p}{x}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The index finds what the rules say, for any routes and any request.
    #[test]
    fn the_index_finds_what_the_rules_say(
        lines in prop::collection::vec(some_line(), 0..12),
        method in prop::sample::select(vec!["GET", "POST", "PUT", "DELETE"]),
        host in "(a|b|A)(\\.(a|b)){0,3}(:80)?",
        path in "(/(a|b|aa|%61|\\.)){0,3}/?",
        headers in prop::sample::select(vec!["", "X-A: 1\r\n", "X-B: 2\r\nx-a: 1\r\n"]),
    ) {
        let path = if path.is_empty() { "/" } else { &path };
        let head = head(method, &host, path, headers);
        let patterns: Vec<Pattern> = lines.iter().map(|line| pattern(line)).collect();
        let ranked = patterns.iter().enumerate().filter_map(|(index, pattern)| {
            Some((naive(pattern, &head)?, std::cmp::Reverse(index)))
        });
        let expected = ranked.max().map(|(_, std::cmp::Reverse(index))| index);
        let found = Router::new(patterns).find(&head);
        prop_assert_eq!(found.ok().map(RouteId::index), expected);
    }
}

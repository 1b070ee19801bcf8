//! Every kind of error, with its exact words.

use spliceway::load::Base;

use super::{Case, VALID};

/// Puts `line` into [`VALID`], see [`check_in`].
fn check(table: &str, line: &str, expected: &[&str]) {
    check_in(VALID, table, line, expected);
}

/// Puts `line` below `table` of `valid`, or at its end if there is no such table in it, and
/// expects exactly these errors; `@` stands for the line's number.
pub(super) fn check_in(valid: &str, table: &str, line: &str, expected: &[&str]) {
    let header = format!("[{table}]");
    let text = match valid.split_once(&header) {
        Some((before, after)) => {
            let key = line.split('=').next().unwrap_or_default().trim();
            let after: Vec<&str> =
                after.lines().filter(|l| !l.starts_with(&format!("{key} ="))).collect();
            format!("{before}{header}\n{line}{}", after.join("\n"))
        }
        None => format!("{valid}{header}\n{line}"),
    };
    let number = text
        .lines()
        .collect::<Vec<_>>()
        .iter()
        .rposition(|l| *l == line)
        .map_or(0, |index| index + 1);
    let expected: Vec<String> =
        expected.iter().map(|text| text.replace('@', &number.to_string())).collect();
    assert_eq!(Case::file("a.toml", &text).errors(), expected, "{text}");
}

#[test]
fn unknown_keys() {
    check(
        "listeners.web",
        "backlgo = 1",
        &["a.toml:@: listeners.web.backlgo: unknown key; did you mean \"backlog\"?"],
    );
    check(
        "relay",
        "pipe-size = \"64KiB\"",
        &["a.toml:@: relay.pipe-size: unknown key; did you mean \"pipe_size\"?"],
    );
    check(
        "listeners.web.relay",
        "pipe_memory = \"64MiB\"",
        &[
            "a.toml:@: listeners.web.relay.pipe_memory: unknown key; expected one of mode, pipe_size, low_water",
        ],
    );
    check(
        "upstreams.app",
        "mirror = \"api\"",
        &[
            "a.toml:@: upstreams.app.mirror: unknown key; expected one of servers, balance, hash_key, \
          hash_balance_factor, sticky, slow_start, fail, queue, retries, health, ejection, source, \
          proxy_protocol, pool, tls",
        ],
    );
    check(
        "upstreams.app",
        "servers = [{ address = \"127.0.0.1:1\", wieght = 2 }]",
        &["a.toml:@: upstreams.app.servers[0].wieght: unknown key; did you mean \"weight\"?"],
    );
    check(
        "upstreams.app",
        "servers = [{ address = \"127.0.0.1:1\", zone = 2 }]",
        &["a.toml:@: upstreams.app.servers[0].zone: unknown key; expected one of address, name, \
           weight, backup, connections_max"],
    );
    check(
        "upstreams.app",
        "servers = [{ address = \"127.0.0.1:1\", name = \"a b\", weight = 0 }]",
        &[
            "a.toml:@: upstreams.app.servers[0].name: found \"a b\"; expected 1 to 63 letters, \
             digits, \"-\", \"_\", \".\" and \":\"",
            "a.toml:@: upstreams.app.servers[0].weight: found the number 0; expected a whole number \
             from 1 to 1000",
        ],
    );
    check(
        "upstreams.app",
        "servers = [\"127.0.0.1:1\", { address = \"127.0.0.1:2\", name = \"127.0.0.1:1\" }]",
        &["a.toml:@: upstreams.app.servers[1].address: there is a server \"127.0.0.1:1\" already \
             (upstreams.app.servers[0]); expected each server once, with a weight where it is to \
             get more; or a name for each of them"],
    );
    check(
        "listeners.web",
        "\"a.b\" = 1",
        &[
            "a.toml:@: listeners.web.\"a.b\": unknown key; expected one of bind, protocol, backlog, \
         relay, keepalive, timeouts, proxy_protocol, limits, tls, routes, http, forwarded, host_header, \
         request_headers, response_headers, sni, upstream",
        ],
    );
    let text = format!("\"relay.mode\" = \"copy\"\n{VALID}");
    assert_eq!(
        Case::file("a.toml", &text).errors(),
        [
            "a.toml:1: \"relay.mode\": unknown key; expected one of process, admin, control, access_log, \
          relay, timeouts, http, forwarded, keepalive, dns, listeners, upstreams"
        ]
    );
}

#[test]
fn wrong_types() {
    check(
        "relay",
        "mode = 5",
        &["a.toml:@: relay.mode: found the number 5; expected \"splice\", \"copy\" or \"auto\""],
    );
    check(
        "relay",
        "mode = \"splcie\"",
        &[
            "a.toml:@: relay.mode: found \"splcie\"; expected \"splice\", \"copy\" or \"auto\"; did \
         you mean \"splice\"?",
        ],
    );
    check(
        "listeners.web",
        "relay = \"copy\"",
        &["a.toml:@: listeners.web.relay: found \"copy\"; expected a table"],
    );
    check(
        "keepalive",
        "enabled = \"true\"",
        &["a.toml:@: keepalive.enabled: found \"true\"; expected true or false"],
    );
    check(
        "process",
        "workers = \"4\"",
        &["a.toml:@: process.workers: found \"4\"; expected \"auto\" or a whole number from 1 to \
         1024"],
    );
    check(
        "process",
        "workers = 0",
        &[
            "a.toml:@: process.workers: found the number 0; expected \"auto\" or a whole number from \
         1 to 1024",
        ],
    );
    check(
        "process",
        "connections_max = 2.5",
        &["a.toml:@: process.connections_max: found the number 2.5; expected \"auto\" or a whole \
         number from 1 to 10000000"],
    );
    check(
        "listeners.web",
        "backlog = -1",
        &[
            "a.toml:@: listeners.web.backlog: found the number -1; expected a whole number from 1 to \
         65535",
        ],
    );
    check(
        "listeners.web",
        "protocol = \"htpp\"",
        &[
            "a.toml:@: listeners.web.protocol: found \"htpp\"; expected \"tcp\" or \"http\"; did you \
         mean \"http\"?",
        ],
    );
    check(
        "access_log",
        "path = \"stdot\"",
        &[
            "a.toml:@: access_log.path: found \"stdot\"; expected \"stdout\", \"stderr\", \"off\" or \
         the path of a file, with at least one \"/\"; did you mean \"stdout\"?",
        ],
    );
    check(
        "admin",
        "bind = \"localhost\"",
        &[
            "a.toml:@: admin.bind: found \"localhost\"; expected an IP address with a port, such as \
         \"127.0.0.1:9900\", or \"off\"",
        ],
    );
    check(
        "listeners.web",
        "bind = { port = 80 }",
        &["a.toml:@: listeners.web.bind: found a table; expected an address such as \
         \"0.0.0.0:8080\", or a list of them"],
    );
    check(
        "upstreams.app",
        "servers = [80]",
        &["a.toml:@: upstreams.app.servers[0]: found the number 80; expected an address"],
    );
    check(
        "upstreams.app",
        "servers = [{}]",
        &["a.toml:@: upstreams.app.servers[0].address: missing; expected an address"],
    );
}

#[test]
fn sizes_and_durations() {
    let pipe_size = "expected a size from 64KiB to 64MiB with its unit, such as \"256KiB\"";
    let check_size = |value: &str, found: &str| {
        let expected = format!("a.toml:@: relay.pipe_size: found {found}; {pipe_size}");
        check("relay", &format!("pipe_size = {value}"), &[&expected]);
    };
    check_size("65536", "the number 65536: the unit is missing");
    check_size("\"65536\"", "\"65536\": the unit is missing");
    check_size("\"256kb\"", "\"256kb\": \"kb\" is no unit of size, but KB is");
    check_size("\"4KiB\"", "\"4KiB\": it is too small");
    check_size("\"1GiB\"", "\"1GiB\": it is too large");
    check_size("true", "true");
    let check_time = |value: &str, found: &str| {
        let expected = format!(
            "a.toml:@: timeouts.idle: found {found}; expected a duration from 1ms to 7days with \
             its unit, such as \"5s\""
        );
        check("timeouts", &format!("idle = {value}"), &[&expected]);
    };
    check_time("5", "the number 5: the unit is missing");
    check_time("\"5\"", "\"5\": the unit is missing");
    check_time("\"0s\"", "\"0s\": it is too short");
    check_time("\"8days\"", "\"8days\": it is too long");
    check(
        "keepalive",
        "idle = \"1500ms\"",
        &[
            "a.toml:@: keepalive.idle: found \"1500ms\"; expected a duration of whole seconds, such \
         as \"60s\"",
        ],
    );
}

#[test]
fn addresses() {
    check(
        "listeners.web",
        "bind = \"localhost:80\"",
        &["a.toml:@: listeners.web.bind: found \"localhost:80\": \"localhost\" is not an IP \
         address, and names are not resolved; expected \"127.0.0.1:80\", \"[::1]:80\" or \
         \"unix:/run/app.sock\""],
    );
    check(
        "listeners.web",
        "bind = []",
        &["a.toml:@: listeners.web.bind: found an empty list; expected an address such as \
         \"0.0.0.0:8080\", or a list of them"],
    );
    check(
        "upstreams.app",
        "servers = []",
        &["a.toml:@: upstreams.app.servers: found an empty list; expected a list of addresses, \
         such as [\"127.0.0.1:9001\"]"],
    );
    check(
        "upstreams.app",
        "servers = [\"127.0.0.1:0\"]",
        &["a.toml:@: upstreams.app.servers[0]: found \"127.0.0.1:0\"; expected a port from 1 to \
         65535, since nothing listens on port 0"],
    );
    check(
        "listeners.web",
        "bind = [\"0.0.0.0:80\", \"127.0.0.1:80\"]",
        &["a.toml:@: listeners.web.bind[1]: 127.0.0.1:80 overlaps 0.0.0.0:80 of \
         listeners.web.bind[0] (a.toml:@); expected an address that nothing else listens on"],
    );
    check(
        "admin",
        "bind = \"127.0.0.1:80\"",
        &["a.toml:3: listeners.web.bind: 127.0.0.1:80 overlaps 127.0.0.1:80 of admin.bind \
         (a.toml:@); expected an address that nothing else listens on"],
    );
    check(
        "upstreams.app",
        "servers = [\"127.0.0.1:9001\", \"127.0.0.1:80\"]",
        &[
            "a.toml:@: upstreams.app.servers[1]: 127.0.0.1:80 is where listeners.web itself listens \
         (a.toml:3): its connections would go in circles; expected the address of another service",
        ],
    );
}

#[test]
fn what_belongs_together() {
    check(
        "listeners.web",
        "upstream = \"ap\"",
        &[
            "a.toml:@: listeners.web.upstream: there is no upstream named \"ap\"; expected \"app\"; \
         did you mean \"app\"?",
        ],
    );
    check(
        "listeners.api",
        "bind = \"127.0.0.1:81\"",
        &["a.toml:8: listeners.api.upstream: missing; expected the name of an upstream, with its \
         servers in [upstreams.NAME]"],
    );
    check(
        "listeners.api",
        "upstream = \"app\"",
        &[
            "a.toml:8: listeners.api.bind: missing; expected an address such as \"0.0.0.0:8080\", or \
         a list of them",
        ],
    );
    check(
        "upstreams.db",
        "balance = \"round_robin\"",
        &["a.toml:8: upstreams.db.servers: missing; expected a list of addresses, such as \
         [\"127.0.0.1:9001\"]"],
    );
    check(
        "upstreams.Db",
        "servers = [\"127.0.0.1:1\"]",
        &["a.toml:8: upstreams.Db: \"Db\" cannot be a name; expected 1 to 63 of a-z, 0-9, \"-\" \
         and \"_\", with a letter or digit at both ends and no \"__\""],
    );
    assert_eq!(
        Case::file("a.toml", "").errors(),
        ["a.toml: listeners: missing; expected at least one listener, such as [listeners.web] \
          with bind and upstream"]
    );
    let text = "[listeners.web]\nbind = \"127.0.0.1:80\"\nupstream = \"app\"";
    assert_eq!(
        Case::file("a.toml", text).errors(),
        ["a.toml:3: listeners.web.upstream: there is no upstream named \"app\"; expected its \
          servers in [upstreams.app]"]
    );
}

#[test]
fn names_that_variables_and_labels_can_carry() {
    let names = |name: &str| {
        let text = format!("{VALID}\n[upstreams.{name:?}]\nservers = [\"127.0.0.1:1\"]");
        Case::file("a.toml", &text).errors().is_empty()
    };
    let check = |name: &str, expected: bool| assert_eq!(names(name), expected, "{name}");
    check("a", true);
    check("a-b_c9", true);
    check(&"a".repeat(63), true);
    check(&"a".repeat(64), false);
    check("", false);
    check("a b", false);
    check("a.b", false);
    check("a__b", false);
    check("_a", false);
    check("a_", false);
    check("ä", false);
}

#[test]
fn every_error_at_once_in_the_order_of_the_file() {
    let text = r#"
[relay]
mode = "fast"
[listeners.web]
bind = "127.0.0.1"
upstream = "nobody"
backlog = 0
[timeouts]
idle = 5
colour = "red"
"#;
    let places: Vec<String> = Case::file("a.toml", text)
        .variable("SPLICEWAY__PROCESS__WORKERS", "many")
        .flag("admin.bind", "here", "--admin")
        .errors()
        .iter()
        .map(|error| error.split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        places,
        [
            "a.toml:3 relay.mode",
            "a.toml:5 listeners.web.bind",
            "a.toml:6 listeners.web.upstream",
            "a.toml:7 listeners.web.backlog",
            "a.toml:9 timeouts.idle",
            "a.toml:10 timeouts.colour",
            "SPLICEWAY__PROCESS__WORKERS process.workers",
            "--admin admin.bind",
        ]
    );
}

#[test]
fn texts_that_break_the_rules_of_their_format() {
    let check = |name: &str, text: &str, expected: &str| {
        assert_eq!(Case::file(name, text).errors(), [expected], "{text}");
    };
    check(
        "a.toml",
        "[relay]\nmode = splice\n",
        "a.toml:2:8: this is not TOML: string values must be quoted, expected literal string",
    );
    check("a.toml", "[relay]\n[relay]\n", "a.toml:2:2: this is not TOML: duplicate key");
    check(
        "a.json",
        "{\n  \"relay\": {,}\n}",
        "a.json:2:13: this is not JSON: key must be a string",
    );
    check(
        "a.json",
        "{\n  \"a\": 1,\n  \"a\": 2\n}",
        "a.json:3:3: this is not JSON: duplicated key in mapping",
    );
    check(
        "a.yaml",
        "relay:\n  mode: [\n",
        "a.yaml:3:1: this is not YAML: while parsing a node, did not find expected node content",
    );
    check(
        "a.yaml",
        "a: 1\n---\nb: 1\n",
        "a.yaml:3:1: this is not YAML: there is more than one document in it",
    );
}

/// The stack is finite, and an overflow of it is no error that anybody can read.
#[test]
fn texts_that_are_nested_too_deeply() {
    let blocks: String = (0..3_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let sequences: String =
        (0..128).map(|depth| format!("{0}a:\n{0}-\n", " ".repeat(depth))).collect();
    let check = |name: &str, text: &str, expected: &str| {
        let errors = Case::file(name, text).errors();
        assert!(errors.len() == 1 && errors[0].contains(expected), "{errors:?}");
    };
    check("a.yaml", &blocks, "a.yaml:130:129: this is not YAML: it is nested too deeply");
    check("a.yaml", &"- ".repeat(3_000), "a.yaml:1:129: this is not YAML: it is nested too deeply");
    check("a.yaml", &sequences, "the key has too many parts");
    check("a.yaml", &"[".repeat(3_000), "this is not YAML: recursion limit");
    let lists = format!("{{\"a\": {}{}}}", "[".repeat(3_000), "]".repeat(3_000));
    check("a.json", &lists, "this is not JSON: recursion limit");
    check("a.toml", &format!("a = {}", "[".repeat(3_000)), "this is not TOML: cannot recurse");
}

#[test]
fn files_that_cannot_be_read() {
    let mut case = Case::files(&[("a.toml", b"\xff\xfe"), ("b.toml", b"x")]);
    if let Base::Files(files) = &mut case.sources.base {
        files.push(case.directory.path().join("none.toml"));
        files.push(case.directory.path().to_owned());
    }
    let errors = case.errors();
    assert_eq!(errors.len(), 4, "{errors:#?}");
    assert_eq!(errors[0], "a.toml: cannot be read: stream did not contain valid UTF-8");
    assert!(errors[1].starts_with("b.toml:1:2: this is not TOML: "), "{}", errors[1]);
    assert_eq!(errors[2], "none.toml: cannot be read: No such file or directory (os error 2)");
    assert!(errors[3].ends_with(": cannot be read: Is a directory (os error 21)"), "{}", errors[3]);
}

#[test]
fn variables_and_flags_of_unknown_keys() {
    let check = |name: &str, expected: &str| {
        assert_eq!(Case::file("a.toml", VALID).variable(name, "1").errors(), [expected], "{name}");
    };
    check(
        "SPLICEWAY__RELAY__MOD",
        "SPLICEWAY__RELAY__MOD: relay.mod: unknown key; did you mean \"mode\"?",
    );
    check(
        "SPLICEWAY__",
        "SPLICEWAY__: \"\": unknown key; expected one of process, admin, control, access_log, relay, \
         timeouts, http, forwarded, keepalive, dns, listeners, upstreams",
    );
    let deep = format!("SPLICEWAY__{}", "A__".repeat(40_000));
    check(&deep, &format!("{deep}: the key has too many parts"));
    assert_eq!(
        Case::file("a.toml", VALID).flag("relay.mod", "copy", "--set relay.mod").errors(),
        ["--set relay.mod: relay.mod: unknown key; did you mean \"mode\"?"]
    );
    assert_eq!(
        Case::file("a.toml", VALID).variable("SPLICEWAY_RELAY", "1").errors(),
        [""; 0],
        "one underscore is somebody else's variable"
    );
}

#[test]
fn errors_in_lists_are_placed_by_line() {
    let text = VALID.replace("[\"127.0.0.1:9001\"]", "[\n  \"127.0.0.1:1\",\n  \"nonsense\",\n]");
    let errors = Case::file("a.toml", &text).errors();
    assert!(errors[0].starts_with("a.toml:9: upstreams.app.servers[1]: "), "{errors:?}");
}

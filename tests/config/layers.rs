//! Which of several sources wins, and what `explain` says of it.

use std::path::PathBuf;

use spliceway::config::{LogTarget, Workers};

use super::{Case, VALID};

#[test]
fn flags_override_the_environment_overrides_later_files_override_earlier_ones() {
    let mode = |case: Case| case.effective("listeners.web.relay.mode");
    let one = || format!("{VALID}\n[relay]\nmode = \"splice\"\n");
    let two = "relay.mode = \"auto\"\n";
    let files = || Case::files(&[("a.toml", one().as_bytes()), ("b.toml", two.as_bytes())]);
    assert_eq!(mode(Case::file("a.toml", VALID)), "splice from relay.mode, default");
    assert_eq!(mode(Case::file("a.toml", &one())), "splice from relay.mode, a.toml:10");
    assert_eq!(mode(files()), "auto from relay.mode, b.toml:1");
    let variable = || files().variable("SPLICEWAY__RELAY__MODE", "copy");
    assert_eq!(mode(variable()), "copy from relay.mode, SPLICEWAY__RELAY__MODE");
    let flag = || variable().flag("relay.mode", "splice", "--relay");
    assert_eq!(mode(flag()), "splice from relay.mode, --relay");
    let own = flag().variable("SPLICEWAY__LISTENERS__WEB__RELAY__MODE", "auto");
    assert_eq!(mode(own), "auto from SPLICEWAY__LISTENERS__WEB__RELAY__MODE");
}

#[test]
fn text_of_the_environment_becomes_what_its_key_takes() {
    let case = Case::file("a.toml", VALID)
        .variable("SPLICEWAY__PROCESS__WORKERS", "3")
        .variable("SPLICEWAY__KEEPALIVE__ENABLED", "false")
        .variable("SPLICEWAY__LISTENERS__WEB__BIND", "127.0.0.1:81, unix:/tmp/a")
        .variable("SPLICEWAY__UPSTREAMS__APP__SERVERS", "127.0.0.1:1,127.0.0.1:2")
        .variable("SPLICEWAY__ACCESS_LOG__PATH", "/tmp/Log");
    let config = case.loaded().config;
    assert_eq!(config.process.workers, Workers::Count(3.try_into().unwrap()));
    assert_eq!(config.listeners[0].keepalive, None);
    assert_eq!(config.listeners[0].bind.len(), 2);
    assert_eq!(config.upstreams[0].servers.len(), 2);
    assert_eq!(config.access_log.target, LogTarget::File(PathBuf::from("/tmp/Log")));
    assert_eq!(
        case.effective("upstreams.app.servers"),
        "127.0.0.1:1, 127.0.0.1:2 from SPLICEWAY__UPSTREAMS__APP__SERVERS"
    );
}

#[test]
fn origins_in_all_three_formats() {
    let yaml = "# a comment\nlisteners:\n  web:\n    bind: [\"127.0.0.1:80\"]\n    upstream: app\n\
                \x20   relay: { mode: copy }\nupstreams:\n  app:\n    servers:\n      - 127.0.0.1:1\n";
    let json = "{\n\t\"listeners\": {\n\t\t\"web\": {\n\t\t\t\"bind\": \"127.0.0.1:80\",\n\t\t\t\
                \"upstream\": \"app\",\n\t\t\t\"relay\": {\"mode\": \"copy\"}\n\t\t}\n\t},\n\t\
                \"upstreams\": {\"app\": {\n\t\t\"servers\": [\"127.0.0.1:1\"]\n\t}}\n}\n";
    let toml = "[listeners]\n[listeners.web]\nbind = [\n  \"127.0.0.1:80\",\n]\nupstream='app'\n\
                relay.mode = \"copy\"\n[upstreams]\napp.servers = [\"127.0.0.1:1\"]\n";
    let check = |name: &str, text: &str, bind: usize, mode: usize, servers: usize| {
        let case = Case::file(name, text);
        let at = |key: &str, value: &str, line: usize| {
            assert_eq!(case.effective(key), format!("{value} from {name}:{line}"), "{key}");
        };
        at("listeners.web.bind", "127.0.0.1:80", bind);
        at("listeners.web.relay.mode", "copy", mode);
        at("upstreams.app.servers", "127.0.0.1:1", servers);
    };
    check("a.yaml", yaml, 4, 6, 9);
    check("a.json", json, 4, 6, 10);
    check("a.toml", toml, 3, 7, 9);
}

#[test]
fn a_pipe_size_is_rounded_up_and_says_so() {
    let text = format!("{VALID}\n[relay]\npipe_size = \"100KiB\"\n");
    let case = Case::file("a.toml", &text);
    assert_eq!(case.loaded().config.listeners[0].relay.pipe_size, 128 << 10);
    assert_eq!(
        case.effective("relay.pipe_size"),
        "128KiB (rounded up from 100KiB: pipes are powers of two) from a.toml:10"
    );
}

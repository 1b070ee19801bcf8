//! Which of several sources wins, and what `explain` says of it.

use std::path::PathBuf;

use spliceway::config::{LogFormat, LogTarget, Workers};

use super::{Case, VALID};

#[test]
fn flags_override_the_environment_overrides_later_files_override_earlier_ones() {
    let mode = |case: Case| case.effective("listeners.web.relay.mode");
    let one = || format!("{VALID}\n[relay]\nmode = \"splice\"\n");
    let two = "relay.mode = \"auto\"\n";
    let files = || Case::files(&[("a.toml", one().as_bytes()), ("b.toml", two.as_bytes())]);
    assert_eq!(mode(Case::file("a.toml", VALID)), "auto from relay.mode, default");
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

#[test]
fn a_table_stays_where_it_was_written_first() {
    let text = VALID.replace("upstream = \"app\"\n", "");
    let errors = Case::file("a.toml", &text)
        .variable("SPLICEWAY__LISTENERS__WEB__BACKLOG", "7")
        .flag("listeners.web.relay.mode", "copy", "--set listeners.web.relay.mode")
        .errors();
    assert!(errors[0].starts_with("a.toml:2: listeners.web.upstream: missing"), "{errors:?}");
}

#[test]
fn the_order_of_the_environment_does_not_matter() {
    let (upper, lower) = ("SPLICEWAY__RELAY__MODE", "SPLICEWAY__relay__mode");
    let one = Case::file("a.toml", VALID).variable(upper, "copy").variable(lower, "auto");
    let other = Case::file("a.toml", VALID).variable(lower, "auto").variable(upper, "copy");
    assert_eq!(one.effective("relay.mode"), "auto from SPLICEWAY__relay__mode");
    assert_eq!(other.effective("relay.mode"), one.effective("relay.mode"));
}

#[test]
fn a_listener_has_what_holds_for_all_unless_it_says_otherwise() {
    let check = |key: &str, for_all: &str, own: &str| {
        let own_key = format!("listeners.web.{key}");
        let shared = || Case::file("a.toml", VALID).flag(key, for_all, "--all");
        let inherited = format!("{for_all} from {key}, --all");
        assert_eq!(shared().effective(&own_key), inherited);
        let overridden = shared().flag(&own_key, own, "--own");
        assert_eq!(overridden.effective(&own_key), format!("{own} from --own"));
        assert_eq!(overridden.effective(key), format!("{for_all} from --all"));
    };
    check("relay.mode", "copy", "auto");
    check("relay.pipe_size", "128KiB", "64KiB");
    check("timeouts.connect", "1s", "2s");
    check("timeouts.idle", "3s", "4s");
    check("timeouts.half_closed", "5s", "6s");
    check("keepalive.enabled", "false", "true");
    check("keepalive.idle", "7s", "8s");
    check("keepalive.interval", "9s", "11s");
    check("keepalive.probes", "3", "4");
}

/// Each key has a value of its own, so that two that are mixed up are found.
#[test]
fn every_value_arrives_where_it_belongs() {
    let values = [
        ("process.connections_max", "77"),
        ("process.drain_grace", "1s"),
        ("process.drain_timeout", "2s"),
        ("relay.pipe_memory", "3MiB"),
        ("relay.buffer_memory", "4MiB"),
        ("timeouts.connect", "5s"),
        ("timeouts.idle", "6s"),
        ("timeouts.half_closed", "7s"),
        ("keepalive.idle", "8s"),
        ("keepalive.interval", "9s"),
        ("keepalive.probes", "10"),
        ("listeners.web.backlog", "11"),
        ("access_log.format", "combined"),
    ];
    let case = values
        .iter()
        .fold(Case::file("a.toml", VALID), |case, (key, value)| case.flag(key, value, "--set"));
    let config = case.loaded().config;
    let seconds = |duration: std::time::Duration| duration.as_secs();
    assert_eq!(config.process.connections_max.map(usize::from), Some(77));
    assert_eq!(seconds(config.process.drain_grace), 1);
    assert_eq!(seconds(config.process.drain_timeout), 2);
    assert_eq!(config.memory.pipe_memory_max, 3 << 20);
    assert_eq!(config.memory.buffer_memory_max, 4 << 20);
    let listener = &config.listeners[0];
    assert_eq!(seconds(listener.timeouts.connect), 5);
    assert_eq!(seconds(listener.timeouts.idle), 6);
    assert_eq!(seconds(listener.timeouts.half_closed), 7);
    let keepalive = listener.keepalive.unwrap();
    assert_eq!((seconds(keepalive.idle), seconds(keepalive.interval)), (8, 9));
    assert_eq!(keepalive.probes, 10);
    assert_eq!(listener.backlog, 11);
    assert_eq!(config.access_log.format, LogFormat::Combined);
}

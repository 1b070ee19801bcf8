//! The real binary: what it prints, where, and with which exit code.

// Helpers of tests may panic as tests do; clippy.toml lets only the tests themselves.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::process::{Command, Output};

/// Runs the binary in the root of the package, with only these variables.
fn spliceway(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spliceway"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn check(arguments: &[&str], code: i32, stdout: &str, stderr: &str) {
    let output = spliceway(arguments, &[]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), stderr, "{arguments:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{arguments:?}");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
}

#[test]
fn check_says_ok_or_lists_every_error() {
    check(
        &["check", "--config", "config/tcp.toml"],
        0,
        "config/tcp.toml: ok, 1 listener, 1 upstream\n",
        "",
    );
    check(
        &["check", "--config", "config/http.toml"],
        0,
        "config/http.toml: ok, 1 listener, 3 upstreams\n",
        "",
    );
    check(
        &["check", "--config", "config/none.toml"],
        1,
        "",
        "config/none.toml: cannot be read: No such file or directory (os error 2)\n\
         1 error in the configuration\n",
    );
    check(
        &["check", "--config", "config/tcp.toml", "--relay", "fast", "--set", "relay.mod=copy"],
        1,
        "",
        "--relay: relay.mode: found \"fast\"; expected \"splice\", \"copy\" or \"auto\"\n\
         --set relay.mod: relay.mod: unknown key; did you mean \"mode\"?\n\
         2 errors in the configuration\n",
    );
}

#[test]
fn a_proxy_in_one_line_names_its_flags_in_errors() {
    check(
        &["tcp", "--listen", "127.0.0.1:7000", "--to", "127.0.0.1:7000", "nowhere"],
        1,
        "",
        "--to: upstreams.tcp.servers[1]: found \"nowhere\": not an address; expected \
         \"127.0.0.1:80\", \"[::1]:80\" or \"unix:/run/app.sock\"\n\
         --to: upstreams.tcp.servers[0]: 127.0.0.1:7000 is where listeners.tcp itself listens \
         (--listen): its connections would go in circles; expected the address of another \
         service\n\
         2 errors in the configuration\n",
    );
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [
        &["check"][..],
        &["explain"],
        &["tcp", "--listen", "127.0.0.1:1"],
        &["http", "--to", "127.0.0.1:1"],
        &["run", "--set", "relay.mode"],
        &["--nonsense"],
    ] {
        let output = spliceway(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn explain_shows_values_with_origins_and_the_way_that_bytes_take() {
    let variables = [("SPLICEWAY__LISTENERS__POSTGRES__RELAY__MODE", "copy")];
    let arguments = ["explain", "--config", "config/tcp.toml", "--workers", "3"];
    let output = spliceway(&arguments, &variables);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "process.workers 3 --workers",
        "process.drain_grace 0s default",
        "timeouts.idle 5m default",
        "listeners.postgres.timeouts.connect 2s config/tcp.toml:15",
        "listeners.postgres.timeouts.half_closed 30s timeouts.half_closed, default",
        "listeners.postgres.relay.mode copy SPLICEWAY__LISTENERS__POSTGRES__RELAY__MODE",
        "postgres: 0.0.0.0:5432, [::]:5432 -> postgres",
        "copy: as configured: copied through a buffer",
    ] {
        assert!(words.iter().any(|line| line == expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn explain_shows_every_route_of_an_http_listener() {
    let output = spliceway(&["explain", "--config", "config/http.toml"], &[]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "listeners.web.routes[0].redirect.status 308 default",
        "listeners.web.routes[1].relay.mode auto relay.mode, default",
        "upstreams.api.pool.idle_timeout 30s config/http.toml:63",
        "upstreams.site.pool.idle_timeout 4s timeouts.upstream_idle, default",
        "web: 0.0.0.0:80, [::]:80, HTTP",
        "example.com/ -> a redirect, status 308",
        "*/api -> api",
        "POST,PUT */upload Authorization=* -> storage",
        "*/upload -> an answer, status 403",
        "every request -> site",
    ] {
        assert!(words.iter().any(|line| line == expected), "{expected} is not in\n{text}");
    }
    let output = spliceway(&["explain", "--json", "--config", "config/http.toml"], &[]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let listener = &json["listeners"][0];
    assert_eq!((&listener["protocol"], &listener["upstream"]), (&"http".into(), &"site".into()));
    let routes = listener["routes"].as_array().unwrap();
    assert_eq!(routes[0]["requests"], "example.com/");
    assert_eq!((&routes[0]["relay"], &routes[1]["destination"]), (&json["none"], &"api".into()));
    assert_eq!(routes[1]["relay"]["mode"], "auto");
    assert_eq!(json["plan"]["pool_idle_max"]["api"], 256);
}

#[test]
fn explain_speaks_json_to_programs() {
    let output = spliceway(&["explain", "--json", "--config", "config/tcp.toml"], &[]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let values = json["values"].as_array().unwrap();
    let idle = values.iter().find(|value| value["key"] == "listeners.postgres.timeouts.idle");
    assert_eq!(idle.unwrap()["origin"], "config/tcp.toml:16");
    assert_eq!(json["listeners"][0]["name"], "postgres");
}

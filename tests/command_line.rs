//! Exit codes and what is printed with them.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::net::TcpListener;

use support::proxy::Launch;

/// Runs to the end: the code, and everything printed, which never shows a stack trace.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let (code, printed) = Launch::with_arguments(arguments).run_to_end();
    assert!(!printed.contains("panicked") && !printed.contains("backtrace"), "{printed}");
    (code, printed)
}

fn config(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spliceway.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

const VALID: &str = "[admin]\nbind = \"off\"\n\
    [listeners.web]\nbind = [\"127.0.0.1:0\"]\nprotocol = \"tcp\"\nupstream = \"app\"\n\
    [upstreams.app]\nservers = [\"127.0.0.1:9\"]\n";

#[test]
fn a_valid_config_passes_the_check() {
    let (_directory, path) = config(VALID);
    let (code, printed) = run(&["check", "--config", &path]);
    assert_eq!(code, Some(0), "{printed}");
}

#[test]
fn a_bad_config_ends_with_1_and_every_error() {
    let text = VALID.replace("upstream = \"app\"", "upstream = \"nobody\"\nupstraem = \"app\"");
    let (_directory, path) = config(&(text + "[timeouts]\nidle = \"soon\"\n"));
    for command in ["check", "run", "explain"] {
        let (code, printed) = run(&[command, "--config", &path]);
        assert_eq!(code, Some(1), "{command}: {printed}");
        assert!(printed.contains("spliceway.toml"), "{command}: the file is named: {printed}");
        assert!(printed.contains("upstraem"), "{command}: the unknown key: {printed}");
        assert!(printed.contains("upstream"), "{command}: the nearest known key: {printed}");
        assert!(printed.contains("soon"), "{command}: the wrong value: {printed}");
    }
}

#[test]
fn a_missing_config_file_ends_with_1_and_its_name() {
    for command in ["check", "run", "explain"] {
        let (code, printed) = run(&[command, "--config", "/nonexistent/spliceway.toml"]);
        assert_eq!(code, Some(1), "{command}: {printed}");
        assert!(printed.contains("/nonexistent/spliceway.toml"), "{command}: {printed}");
    }
}

#[test]
fn explain_shows_values_and_their_origin() {
    let (_directory, path) = config(VALID);
    let mut launch = Launch::with_arguments(&["explain", "--config", &path]);
    launch.command().env("SPLICEWAY__RELAY__MODE", "copy");
    let (code, printed) = launch.run_to_end();
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("SPLICEWAY__RELAY__MODE"), "{printed}");
    assert!(printed.contains("spliceway.toml"), "{printed}");
}

#[test]
fn a_taken_port_ends_with_3_and_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, printed) = run(&["tcp", "--listen", &address, "--to", "127.0.0.1:9"]);
    assert_eq!(code, Some(3), "{printed}");
    assert!(printed.contains(&address), "{printed}");
    let (code, printed) =
        run(&["tcp", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--admin", &address]);
    assert_eq!(code, Some(3), "the admin endpoint's port: {printed}");
    assert!(printed.contains(&address), "{printed}");
}

#[test]
fn bad_arguments_end_badly_and_are_named() {
    let check = |arguments: &[&str], expected: &str| {
        let (code, printed) = run(arguments);
        // 2 where the line cannot be read at all, 1 where what it asks for is not valid.
        assert!(matches!(code, Some(1 | 2)), "{arguments:?}: {code:?}: {printed}");
        assert!(printed.contains(expected), "{arguments:?}: {printed}");
    };
    let listen = ["tcp", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"];
    check(&["tcp", "--listen", "nonsense", "--to", "127.0.0.1:9"], "nonsense");
    check(&["tcp", "--listen", "127.0.0.1:0", "--to", "localhost"], "localhost");
    check(&[&listen[..], &["--relay", "teleport"]].concat(), "teleport");
    check(&[&listen[..], &["--set", "relay.pipe_sise=1MiB"]].concat(), "pipe_size");
    check(&[&listen[..], &["--set", "timeouts.idle=0s"]].concat(), "timeouts.idle");
}

#[test]
fn help_and_version_end_with_0() {
    for flag in ["--help", "--version"] {
        let (code, printed) = run(&[flag]);
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains("spliceway"), "{printed}");
    }
}

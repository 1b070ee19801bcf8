//! The unit: well formed, hardened, and splice works under its filters; and where a filter denies
//! splice, the proxy copies and says why.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json};
use support::origin::{Origin, exchange};
use support::pattern::{digest, read_digest, write_pattern};
use support::proxy::{Launch, Proxy, binary};
use support::tools::{have, skip};
use tempfile::TempDir;

const BYTES: u64 = 4 << 20;

fn unit_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

fn unit(name: &str) -> String {
    fs::read_to_string(unit_path(name)).unwrap()
}

/// The units with the built binary in place of the installed one, which systemd-analyze wants to
/// see.
fn units_with_built_binary() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["spliceway.service", "spliceway.socket"] {
        let text = unit(name).replace("/usr/local/bin/spliceway", binary());
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn analyze(arguments: &[&str]) -> (Output, String) {
    let output = Command::new("systemd-analyze").args(arguments).output().unwrap();
    let printed = [&output.stdout[..], &output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    (output, printed)
}

#[test]
fn the_units_are_well_formed() {
    if !have("systemd-analyze", "--version") {
        return;
    }
    let directory = units_with_built_binary();
    for name in ["spliceway.service", "spliceway.socket"] {
        let path = directory.path().join(name);
        let (output, printed) = analyze(&["verify", "--man=no", path.to_str().unwrap()]);
        assert!(output.status.success() && printed.is_empty(), "{name}: {printed}");
    }
}

#[test]
fn the_exposure_is_at_most_2() {
    if !have("systemd-analyze", "--version") {
        return;
    }
    let directory = units_with_built_binary();
    let path = directory.path().join("spliceway.service");
    let path = path.to_str().unwrap();
    // The threshold is in tenths.
    let (output, printed) = analyze(&["security", "--offline=true", "--threshold=20", path]);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("Overall exposure level"), "{printed}");
}

#[test]
fn the_config_of_the_unit_is_valid() {
    let path = unit_path("spliceway.toml");
    let launch = Launch::with_arguments(&["check", "--config", path.to_str().unwrap()]);
    let (code, printed) = launch.run_to_end();
    assert_eq!(code, Some(0), "{printed}");
}

/// Each group of system calls that systemd knows, by its name.
fn groups() -> BTreeMap<String, Vec<String>> {
    let (output, printed) = analyze(&["syscall-filter", "--no-pager"]);
    assert!(output.status.success(), "{printed}");
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = None;
    for line in printed.lines() {
        if line.starts_with('@') {
            current = Some(line.trim().to_owned());
        } else if let Some(name) = &current {
            let entry = line.trim();
            if !entry.is_empty() && !entry.starts_with('#') && line.starts_with(' ') {
                groups.entry(name.clone()).or_default().push(entry.to_owned());
            }
        }
    }
    groups
}

fn expand(entry: &str, groups: &BTreeMap<String, Vec<String>>, into: &mut BTreeSet<String>) {
    if !entry.starts_with('@') {
        into.insert(entry.to_owned());
        return;
    }
    let members = groups.get(entry).unwrap_or_else(|| panic!("systemd knows no group {entry}"));
    members.iter().for_each(|member| expand(member, groups, into));
}

/// The system calls that the unit's `SystemCallFilter=` lines allow: the first is an allow list,
/// those with `~` take away from it (systemd.exec(5)).
fn allowed_by_unit() -> BTreeSet<String> {
    let groups = groups();
    let mut allowed = BTreeSet::new();
    let text = unit("spliceway.service");
    let filters = text.lines().filter_map(|line| line.strip_prefix("SystemCallFilter="));
    // Every allow list of systemd holds its group @default.
    expand("@default", &groups, &mut allowed);
    for filter in filters {
        let mut listed = BTreeSet::new();
        let entries = filter.trim_start_matches('~').split_whitespace();
        entries.for_each(|entry| expand(entry, &groups, &mut listed));
        if filter.starts_with('~') {
            allowed.retain(|call| !listed.contains(call));
        } else {
            allowed.extend(listed);
        }
    }
    allowed
}

#[test]
fn the_filter_allows_what_the_data_plane_calls() {
    if !have("systemd-analyze", "--version") {
        return;
    }
    let allowed = allowed_by_unit();
    let needed = [
        "splice",
        "tee",
        "pipe2",
        "fcntl",
        "epoll_create1",
        "epoll_ctl",
        "epoll_wait",
        "eventfd2",
        "accept4",
        "connect",
        "recvfrom",
        "sendto",
        "shutdown",
        "setsockopt",
        "prlimit64",
    ];
    for call in needed {
        assert!(allowed.contains(call), "{call} is not among the {} allowed", allowed.len());
    }
    for call in ["mount", "reboot", "swapon", "ptrace", "bpf", "init_module"] {
        assert!(!allowed.contains(call), "{call} is allowed");
    }
}

/// A program for the kernel that fails every call but these with EPERM, as the unit's filter.
/// `None` where seccompiler does not know this architecture.
fn compile(allowed: &BTreeSet<String>) -> Option<BpfProgram> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into().ok()?;
    let program = |calls: &[&str]| {
        let rules: Vec<_> =
            calls.iter().map(|call| serde_json::json!({ "syscall": call })).collect();
        let filter = serde_json::json!({ "unit": {
            "mismatch_action": { "errno": libc::EPERM },
            "match_action": "allow",
            "filter": rules,
        }});
        let compiled = compile_from_json(filter.to_string().as_bytes(), architecture);
        compiled.ok()?.remove("unit")
    };
    // systemd's groups hold names of other architectures too.
    let known: Vec<&str> =
        allowed.iter().map(String::as_str).filter(|call| program(&[call]).is_some()).collect();
    program(&known)
}

/// Starts the proxy under a filter. The filter is put on a thread, which the child inherits, so
/// that nothing has to run between fork and exec.
fn start_filtered(launch: Launch, filter: BpfProgram) -> Proxy {
    let start = move || {
        apply_filter(&filter).unwrap();
        launch.start()
    };
    std::thread::spawn(start).join().unwrap()
}

fn relay_under(allowed: &BTreeSet<String>) -> Option<(Proxy, Origin)> {
    let Some(filter) = compile(allowed) else {
        skip("seccompiler does not know this architecture");
        return None;
    };
    let origin = Origin::start(exchange(2, BYTES));
    let proxy = start_filtered(Launch::tcp("splice", &[origin.address()]), filter);
    let mut client = proxy.connect();
    let mut outgoing = client.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        write_pattern(&mut outgoing, 1, BYTES).and_then(|()| outgoing.end_writing())
    });
    let (received, ending) = read_digest(&mut client);
    ending.unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(received, digest(2, BYTES));
    assert_eq!(origin.report().received, digest(1, BYTES));
    let name = "spliceway_relay_bytes_total";
    proxy.await_metric(name, &[], |bytes| bytes >= (2 * BYTES) as f64);
    Some((proxy, origin))
}

#[test]
fn splice_works_under_the_filter_of_the_unit() {
    if !have("systemd-analyze", "--version") {
        return;
    }
    let Some((proxy, _origin)) = relay_under(&allowed_by_unit()) else { return };
    let spliced = proxy.metrics().sum("spliceway_relay_bytes_total", &[("path", "splice")]);
    assert_eq!(spliced, (2 * BYTES) as f64, "every byte is spliced");
}

#[test]
fn where_splice_is_denied_the_proxy_copies_and_says_why() {
    if !have("systemd-analyze", "--version") {
        return;
    }
    let mut allowed = allowed_by_unit();
    assert!(allowed.remove("splice"));
    let Some((proxy, _origin)) = relay_under(&allowed) else { return };
    let metrics = proxy.metrics();
    let copied = metrics.sum("spliceway_relay_bytes_total", &[("path", "copy")]);
    assert_eq!(copied, (2 * BYTES) as f64, "every byte is copied");
    let status = proxy.get("/status").unwrap().text();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let relay = &status["listeners"][0]["relay"];
    assert_eq!((&relay["configured"], &relay["in_force"]), (&"splice".into(), &"copy".into()));
    let reason = relay["reason"].as_str().unwrap_or_default().to_lowercase();
    assert!(reason.contains("splice"), "the reason: {reason}");
    assert!(metrics.sum("spliceway_relay_fallbacks_total", &[]) >= 1.0, "no fallback is counted");
}

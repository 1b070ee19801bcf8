//! Programs of other projects that some tests need: what to do where they are missing.

use std::io::Write;
use std::process::Command;

/// Whether `program` can be run. Where it is missing, says so on the terminal, past the test
/// harness's capture; in CI (`CI=true`), where it must be there, fails.
///
/// # Panics
/// When it is missing and CI is set.
pub fn have(program: &str, version_flag: &str) -> bool {
    let found = Command::new(program).arg(version_flag).output().is_ok();
    found || skip(&format!("{program} is not installed"))
}

/// Says that a test is skipped and why; always `false`.
///
/// # Panics
/// When CI is set: nothing is skipped there.
pub fn skip(reason: &str) -> bool {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("CI").is_none(), "{test}: {reason}, but CI must not skip it");
    // `eprintln!` would be captured, and a test that was skipped would look like one that passed.
    let line = format!("SKIPPED {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error can be written");
    false
}

/// Whether this process is root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

//! What the integration tests share: the real binary as a child process, origins with manners of
//! every kind, and ways to wait that are bounded and never sleep for a fixed time.

// Each test crate uses its own part of this module, `pub` here means "for the tests", and a panic
// is how a test fails.
#![allow(dead_code, unreachable_pub, clippy::panic)]

pub mod admin;
pub mod certificates;
pub mod http;
pub mod nginx;
pub mod origin;
pub mod pattern;
pub mod proxy;
pub mod python;
pub mod smuggling;
pub mod stream;
pub mod tools;

use std::time::{Duration, Instant};

/// How long anything may take before its test fails. Far beyond what a loaded machine needs: it
/// tells "stalled" from "slow", and says nothing about speed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Every mode of the relay, as `--relay` takes it.
pub const MODES: [&str; 3] = ["splice", "copy", "auto"];

/// Asks again and again until `look` has an answer.
///
/// # Panics
/// After [`PATIENCE`], with what was waited for.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        // A pause between two looks, so that the waiting leaves the CPU to what is waited for.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a value that grows has stopped to grow: a sender that everything behind it blocks.
/// Called too early, it makes its test weaker, never wrong.
pub fn settled(mut look: impl FnMut() -> u64) -> u64 {
    const LOOKS_ALIKE: u32 = 20;
    let (mut last, mut alike) = (look(), 0);
    eventually("a value settles", || {
        let now = look();
        alike = if now == last { alike + 1 } else { 0 };
        last = now;
        (alike >= LOOKS_ALIKE).then_some(now)
    })
}

/// Runs a check in each mode of the relay, all at once, and each in a thread of its own: the
/// failure of one does not hide the others'.
///
/// # Panics
/// When a check does; the thread that is named in the message bears the mode's name.
pub fn in_each_mode(check: impl Fn(&'static str) + Sync) {
    std::thread::scope(|scope| {
        for mode in MODES {
            let named = std::thread::Builder::new().name(mode.to_owned());
            named.spawn_scoped(scope, || check(mode)).expect("threads can be had");
        }
    });
}

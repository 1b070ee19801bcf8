//! The proxy beside its peers: CPU for each GiB, round trip and connection, all in one run.
//!
//! ```text
//! cargo bench --bench relay                 # every kind, every contestant, under ten minutes
//! cargo bench --bench relay -- --quick      # some of it with short windows, under a minute
//! cargo bench --bench relay -- --json       # for machines
//! cargo bench --bench relay -- --svg FILE   # the curve as a picture as well
//! cargo bench --bench relay -- --kinds bulk,round-trips-1024 --contestants spliceway,bare
//! ```
//!
//! The proxy under measurement has one CPU for itself; the load generator and the origin, which
//! are threads of this process, share another. Every sample starts a fresh process, and rounds
//! are interleaved: each round measures every contestant once, so that a machine that gets slower
//! or faster on the way treats all alike. Tables show medians, and the range beside them.
//!
//! To add a kind of load: an entry in [`relay::kind::Kind`], and a file in `relay/load/` when the
//! existing engines cannot produce it. To add a contestant: an entry in [`relay::contestant::all`].
//! To add something to reach: an entry in [`relay::targets`]. What benchmarks have in common is
//! the [`rig`]. What touches neither a socket nor a process is tested in `tests/benchmark`.

// `pub` says here what a file offers to the others; nothing outside this benchmark can reach it.
#![allow(unreachable_pub)]

#[path = "relay/mod.rs"]
mod relay;
#[path = "rig/mod.rs"]
mod rig;

use std::process::ExitCode;

fn main() -> ExitCode {
    rig::run::main::<relay::Relay>()
}

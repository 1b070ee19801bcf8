//! The HTTP proxy beside its peers: CPU for each request, latency and memory, all in one run.
//!
//! ```text
//! cargo bench --bench http                 # every kind, every contestant, under ten minutes
//! cargo bench --bench http -- --quick      # some of it with short windows, under a minute
//! cargo bench --bench http -- --json       # for machines
//! cargo bench --bench http -- --svg FILE   # the curve as a picture as well
//! cargo bench --bench http -- --kinds down-65536,idle --contestants spliceway,nginx
//! ```
//!
//! The same rules as for the relay (`benches/relay.rs`): the proxy under measurement has one CPU
//! for itself, the clients and the static origin share another, and rounds are interleaved. The
//! bare loops of that benchmark take part as what a proxy could cost that does not look at what it
//! relays.
//!
//! To add a kind of load: an entry in [`http::kind::Kind`], and a file in `http/load/` when the
//! existing engines cannot produce it. To add a contestant: an entry in [`http::contestant::all`].
//! To add something to reach: an entry in [`http::targets`]. What benchmarks have in common is the
//! [`rig`]. What touches neither a socket nor a process is tested in `tests/benchmark`.

// `pub` says here what a file offers to the others; nothing outside this benchmark can reach it.
#![allow(unreachable_pub)]

#[path = "http/mod.rs"]
mod http;
#[path = "rig/mod.rs"]
mod rig;

use std::process::ExitCode;

fn main() -> ExitCode {
    rig::run::main::<http::Http>()
}

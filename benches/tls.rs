//! TLS at the proxy, and past it: CPU for each request, handshake and byte, and memory, beside its
//! peers, all in one run.
//!
//! ```text
//! cargo bench --bench tls                 # every kind, every contestant, under five minutes
//! cargo bench --bench tls -- --quick      # some of it with short windows, under a minute
//! cargo bench --bench tls -- --json       # for machines
//! cargo bench --bench tls -- --svg FILE   # the curve as a picture as well
//! cargo bench --bench tls -- --kinds full,resumed --contestants spliceway,nginx
//! ```
//!
//! The same rules as for the relay (`benches/relay.rs`): the proxy under measurement has one CPU
//! for itself, the clients and the origin share another, and rounds are interleaved. All proxies
//! show the same certificate, and clients offer one version, one cipher suite and one group, so
//! that all of them agree on the same. Behind them is the static origin of `benches/http.rs`,
//! without TLS.
//!
//! To add a kind of load: an entry in [`tls::kind::Kind`], and a file in `tls/load/` when the
//! existing engines cannot produce it. To add a contestant: an entry in [`tls::contestant::all`].
//! To add something to reach: an entry in [`tls::targets`]. What benchmarks have in common is the
//! [`rig`]. What touches neither a socket nor a process is tested in `tests/benchmark`.

// `pub` says here what a file offers to the others; nothing outside this benchmark can reach it.
#![allow(unreachable_pub)]

#[path = "rig/mod.rs"]
mod rig;
#[path = "tls/mod.rs"]
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    rig::run::main::<tls::Tls>()
}

//! Files from the page cache, beside nginx with `sendfile on`: CPU for each request and for each
//! GiB, all in one run.
//!
//! ```text
//! cargo bench --bench files                 # every size, every contestant, about two minutes
//! cargo bench --bench files -- --quick      # all of it with short windows
//! cargo bench --bench files -- --json       # for machines
//! cargo bench --bench files -- --svg FILE   # the curve as a picture as well
//! ```
//!
//! The same rules as for HTTP (`benches/http.rs`), with the same clients: the proxy under measurement
//! has one CPU for itself, the clients share another, and rounds are interleaved. The files have
//! holes and no content, so that they take no room on the disk; they are read into the page cache
//! before anything is measured.

// `pub` says here what a file offers to the others; nothing outside this benchmark can reach it.
#![allow(unreachable_pub)]

#[path = "files/mod.rs"]
mod files;
#[path = "rig/mod.rs"]
mod rig;

use std::process::ExitCode;

fn main() -> ExitCode {
    rig::run::main::<files::Files>()
}

//! The parts of the benchmarks that touch neither a socket nor a process: a benchmark runs no unit
//! tests of its own.

// Each file offers more than is tested here; a failed `unwrap` or `panic!` is how a test fails.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "../../benches/http/mod.rs"]
mod http;
#[path = "../../benches/relay/mod.rs"]
mod relay;
#[path = "../../benches/rig/mod.rs"]
mod rig;
#[path = "../../benches/tls/mod.rs"]
mod tls;

mod http_tests;
mod relay_tests;
mod rig_tests;
mod tls_tests;

//! HTTP without sockets: tables and properties of `spliceway::http`, and a seeded run of what the
//! fuzz targets do.

// A failed `unwrap` or `panic!` is how a test fails, and what other crates include is `pub`.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

#[path = "../../fuzz/targets.rs"]
mod targets;

#[path = "../support/smuggling.rs"]
mod smuggling;

mod fuzzed;
mod properties;
mod table;

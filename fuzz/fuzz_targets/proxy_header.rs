//! Runs `peek_targets::proxy_header` on what the fuzzer comes up with.

#![no_main]
#![allow(dead_code)]

#[path = "../peek_targets.rs"]
mod peek_targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peek_targets::proxy_header(bytes));

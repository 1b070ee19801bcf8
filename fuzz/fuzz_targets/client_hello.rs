//! Runs `peek_targets::client_hello` on what the fuzzer comes up with.

#![no_main]
#![allow(dead_code)]

#[path = "../peek_targets.rs"]
mod peek_targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| peek_targets::client_hello(bytes));

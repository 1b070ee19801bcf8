//! Runs `targets::file_request` on what the fuzzer comes up with.

#![no_main]
#![allow(dead_code)]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::file_request(bytes));

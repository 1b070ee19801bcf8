//! Command line -> config -> run; exit codes only.

fn main() {}

//! The rig of every benchmark here: proxies as processes on a CPU of their own, load from the
//! others, interleaved rounds, and what is made of the figures.
//!
//! A benchmark says what it measures by implementing [`Benchmark`](run::Benchmark), and brings its
//! kinds of load, its contestants and its report. What touches neither a socket nor a process is
//! tested in `tests/benchmark`.

// `pub` says here what a file offers to the others; nothing outside a benchmark can reach it, and
// no benchmark uses all of it.
#![allow(unreachable_pub, dead_code)]

pub mod arguments;
pub mod bare;
pub mod contestant;
pub mod kind;
pub mod load;
pub mod machine;
pub mod markdown;
pub mod names;
pub mod picture;
pub mod process;
pub mod program;
pub mod results;
pub mod run;
pub mod sample;
pub mod targets;
pub mod tls;

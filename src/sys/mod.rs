//! The kernel's calls, as `io::Result` over owned descriptors. Everything unsafe is in this
//! folder, and as little as possible: where nix or socket2 wrap a call safely, they are used.

#![allow(unsafe_code)]

pub mod activation;
pub mod affinity;
pub mod calls;
pub mod core_dump;
pub mod file;
pub mod listening;
pub mod mapping;
pub mod pipe;
pub mod probe;
pub mod residence;
pub mod ring;
pub mod signal;
pub mod socket;
pub mod successor;
pub mod thread_clock;
pub mod tracepoint;
pub mod transfer;
pub mod tree;

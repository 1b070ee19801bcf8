//! The programs that benchmarks run as contestants, and what all of them need to be told.

pub mod bare;
pub mod haproxy;
pub mod nginx;
pub mod spliceway;

/// How large the pipes of those contestants are that splice, in bytes.
pub const PIPE_BYTES: u32 = 1 << 20;

/// How large the buffers of those contestants are that copy as fast as they can, in bytes.
pub const BUFFER_BYTES: usize = 64 << 10;

//! Which server of an upstream gets the next connection; one algorithm a file, each pure.

pub mod round_robin;

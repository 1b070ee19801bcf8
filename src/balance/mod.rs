//! Which server of an upstream gets the next connection, one algorithm a file; and which one after
//! that has failed. All of it is pure.

pub mod attempts;
pub mod round_robin;

//! The loads of this benchmark, beside those that all share.

pub mod connections;
pub mod idle;

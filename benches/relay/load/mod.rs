//! The loads of this benchmark, beside those that all share.

pub mod bulk;
pub mod connections;
pub mod idle;

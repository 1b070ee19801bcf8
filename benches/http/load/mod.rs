//! The loads of this benchmark, beside those that all share.

pub mod arrivals;
pub mod competitors;
pub mod websocket;

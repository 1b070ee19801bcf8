//! Spliceway: a TCP reverse proxy for Linux that moves bytes through kernel pipes.

pub mod address;
pub mod capacity;
pub mod cli;
pub mod config;
pub mod error;
pub mod explain;
pub mod id;
pub mod load;
pub mod snapshot;

//! Spliceway: a TCP reverse proxy for Linux that moves bytes through kernel pipes.

pub mod access_log;
pub mod account;
pub mod address;
pub mod balance;
pub mod capacity;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod error;
pub mod explain;
pub mod id;
pub mod io;
pub mod listen;
pub mod load;
pub mod logging;
pub mod metrics;
pub mod relay;
pub mod run;
pub mod session;
pub mod snapshot;
pub mod sys;

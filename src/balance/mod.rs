//! Which server of an upstream gets the next connection or request, one algorithm a file; how many
//! it may have; and which one is tried after that has failed. All of it is pure.
//!
//! ```text
//!   standings of the servers ─▶ pick ─┬─▶ round_robin ◀─ least_connections (ties)
//!                                     ├─▶ random_two
//!                                     └─▶ consistent_hash
//!   all full ─▶ queue        failed ─▶ attempts, retry_budget        the same client ─▶ sticky
//! ```
//!
//! Workers pick at the same time, and balance as one: what an algorithm has to remember, and how
//! many connections each server has, stands in atomics that all of them share. Nothing here waits,
//! and nothing allocates.

pub mod attempts;
pub mod candidate;
pub mod consistent_hash;
pub mod least_connections;
pub mod pick;
pub mod queue;
pub mod random;
pub mod random_two;
pub mod retry_budget;
pub mod round_robin;
pub mod slow_start;
pub mod sticky;

#[cfg(test)]
mod tests;

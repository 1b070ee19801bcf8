//! Whether a server is well: by probes that are sent to it, and by what becomes of the traffic
//! that it gets. Without I/O; time is an argument.
//!
//! ```text
//!   probe ─▶ checker: rise, fall ─────────────────────────▶ up or down
//!   outcome of a request ─▶ errors: in a row, or a share ─▶ circuit: closed, open, half-open
//! ```
//!
//! The control plane sends probes and keeps a [`checker`] for each server. Outcomes are told by
//! workers, all at once, so what counts them is made of atomics.

pub mod checker;
pub mod circuit;
pub mod errors;
pub mod passive;

#[cfg(test)]
mod tests;

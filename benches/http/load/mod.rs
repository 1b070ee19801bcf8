//! The loads of this benchmark: clients and a static origin. Requests and responses are made once
//! and sent as they are, each with as few calls as the socket allows; of what comes in, heads are
//! checked and bodies counted, but not copied.

pub mod arrivals;
pub mod clients;
pub mod competitors;
mod endpoint;
mod ends;
pub mod message;
mod origin;
pub mod resting;
pub mod websocket;
pub mod wire;

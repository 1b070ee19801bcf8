//! HTTP clients and a static origin. Requests and responses are made once and sent as they are,
//! each with as few calls as the socket allows; of what comes in, heads are checked and bodies
//! counted, but not copied. Clients may speak TLS.

pub mod clients;
pub mod endpoint;
pub mod ends;
pub mod message;
pub mod origin;
pub mod resting;
pub mod tls_session;
pub mod transport;
pub mod wire;

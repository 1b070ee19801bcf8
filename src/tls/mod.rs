//! TLS (RFC 8446, RFC 5246) over rustls: what sessions are made with, and what can be told
//! without one. There are no sockets here.
//!
//! ```text
//! config ─▶ keeper ── files, certificate, authorities ──▶ server_settings, upstream_settings
//!             │ again when files change                               │
//!             └───────────────────────────▶ store ◀───────────────────┘
//!                                             │ for each handshake
//!                                             ▼
//!                                          workers
//! ```
//!
//! - [`algorithms`]: versions, cipher suites and groups by name.
//! - [`client_hello`]: what a client asks for, read before anybody answers.
//! - [`certificate`], [`distinguished_name`]: a certificate with its key; who a peer is.
//! - [`authorities`]: whom to believe.
//! - [`resolver`]: which certificate a client is shown.
//! - [`server_settings`], [`upstream_settings`]: what rustls works with, on either side.
//! - [`files`], [`keeper`], [`store`]: read, read again, and shared with workers.
//! - [`finding`], [`inspect`]: what an operator should know.
//! - [`session`]: one session, plaintext on one side and records on the other; [`record_size`],
//!   how much goes into a record; [`failure`], why a session came to nothing.

pub mod algorithms;
pub mod authorities;
pub mod certificate;
pub mod client_hello;
pub mod distinguished_name;
pub mod failure;
pub mod files;
pub mod finding;
pub mod inspect;
pub mod keeper;
pub mod record_size;
pub mod resolver;
pub mod server_settings;
pub mod session;
pub mod store;
pub mod upstream_settings;

//! The configuration, valid by construction: what the rest of the program reads.
//!
//! A file, the environment and the flags are merged into the tree of [`raw`]; [`valid`] turns
//! that tree into a [`Config`] or into every error that it finds.

pub mod balancing;
mod conflict;
mod control;
mod error;
mod follow;
mod headers;
mod http;
mod http_kinds;
mod http_listener;
mod http_settings;
mod inherited;
mod kinds;
mod limit_kinds;
mod limit_settings;
pub mod limits;
mod listener;
pub mod names;
mod proxy_protocol;
pub mod raw;
mod reader;
mod routes;
mod server;
mod sni;
pub mod succession;
pub mod tls;
mod tls_kinds;
mod tls_listener;
mod tls_upstream;
pub mod units;
mod upstream;
mod upstream_balancing;
mod upstream_health;
mod upstream_kinds;
pub mod valid;

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use crate::address::Address;
use crate::http::forwarded::TrustedPeers;
use crate::id::UpstreamId;
use crate::limits::ListenerLimits;
use crate::proxy_protocol::ProxyVersion;

use balancing::Balancing;
pub use error::ConfigError;
pub use follow::TooManyPlaces;
pub use http::{Action, Forward, Http, HttpLimits, HttpTimeouts, Redirect, Respond, Route};
use names::{Dns, NamedServers};
pub use reader::Effective;
use succession::Standing;
use tls::{ListenerTls, Sni, UpstreamTls};

/// Everything that an operator decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[process]`
    pub process: Process,
    /// `admin.bind`; `None` for `"off"`.
    pub admin: Option<SocketAddr>,
    /// `[control]`
    pub control: Control,
    /// `[access_log]`
    pub access_log: AccessLog,
    /// What all relays together may hold.
    pub memory: RelayMemory,
    /// `[dns]`
    pub dns: Dns,
    /// `[listeners.NAME]` by their ids: sorted by name at first, and as [`Config::following`] says
    /// after a reload.
    pub listeners: Vec<Listener>,
    /// `[upstreams.NAME]`, in the same way.
    pub upstreams: Vec<Upstream>,
}

/// `[process]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// `process.workers`
    pub workers: Workers,
    /// `process.connections_max`: client connections at once, all workers together. `None` for
    /// `"auto"`: as many as the descriptor limit allows.
    pub connections_max: Option<NonZeroUsize>,
    /// `process.handshakes_max`: TLS handshakes that one worker carries on at once; further
    /// clients wait for their turn.
    pub handshakes_max: NonZeroUsize,
    /// `process.limited_clients_max`: how many clients are remembered where limits are set for each
    /// of them, all listeners together.
    pub limited_clients_max: NonZeroUsize,
    /// `process.drain_grace`: how long listening goes on after readiness turned 503.
    pub drain_grace: Duration,
    /// `process.drain_timeout`: how long connections may go on after listening ended.
    pub drain_timeout: Duration,
    /// `process.watch_config`: whether a change of the configuration's files reloads it.
    pub watch_config: bool,
    /// `process.upgrade_timeout`: how long a new binary may take to get ready before it is given
    /// up.
    pub upgrade_timeout: Duration,
    /// `process.upgrade_drain_timeout`: how long connections of the old process may go on once a
    /// new one has taken its listeners over.
    pub upgrade_drain_timeout: Duration,
}

/// `[control]`: where commands to the running process come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// `control.socket`
    pub socket: ControlSocket,
    /// `control.mode`: the permissions of the socket's file, which say who may command.
    pub mode: u32,
}

/// `control.socket`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlSocket {
    /// Where a service manager has made a folder for the process (`RUNTIME_DIRECTORY`,
    /// systemd.exec(5)) `control.sock` in it; none elsewhere, so that any number of processes of
    /// one user can run without a thought of each other's sockets.
    Auto,
    /// None.
    Off,
    /// This path.
    At(PathBuf),
}

/// How many worker threads carry traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// One for each CPU that the process may use (affinity mask and cgroup quota).
    Auto,
    /// That many.
    Count(NonZeroUsize),
}

/// `[access_log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// `access_log.path`
    pub target: LogTarget,
    /// `access_log.format`
    pub format: LogFormat,
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to and reopened on USR1.
    File(PathBuf),
}

/// What an access log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Close to the combined log format that log analysers know.
    Combined,
}

/// Bounds of the memory that all relays of the process hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayMemory {
    /// `relay.pipe_memory`, in bytes: the capacity of all pipes.
    pub pipe_memory_max: u64,
    /// `relay.buffer_memory`, in bytes: what was read and could not be written yet, where a flow
    /// is copied. Past it reads shrink to 4 KiB.
    pub buffer_memory_max: u64,
}

/// `[listeners.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The name in the config, used as a label.
    pub name: String,
    /// Whether it is part of the configuration still.
    pub standing: Standing,
    /// `bind`, at least one.
    pub bind: Vec<Address>,
    /// `backlog`: connections that the kernel has completed and nobody has accepted yet. The
    /// kernel caps it at `net.core.somaxconn`.
    pub backlog: u32,
    /// `protocol`, with what only this protocol has.
    pub protocol: Protocol,
    /// `[listeners.NAME.tls]`; `None` for plain text. With [`Protocol::Sni`], only for routes
    /// that terminate.
    pub tls: Option<ListenerTls>,
    /// `proxy_protocol`: whose PROXY header is believed. A client must send one then, and whoever
    /// is none of these is refused. `None` where no header is expected.
    pub proxy_protocol: Option<TrustedPeers>,
    /// `[listeners.NAME.limits]`
    pub limits: ListenerLimits,
    /// `[relay]`, with what `[listeners.NAME.relay]` overrides.
    pub relay: Relay,
    /// `[timeouts]`, with what `[listeners.NAME.timeouts]` overrides.
    pub timeouts: Timeouts,
    /// `[keepalive]`, with what `[listeners.NAME.keepalive]` overrides; `None` when switched off.
    pub keepalive: Option<Keepalive>,
}

impl Listener {
    /// Whether clients begin with a ClientHello, whoever ends their sessions.
    pub fn expects_tls(&self) -> bool {
        self.tls.is_some() || matches!(self.protocol, Protocol::Sni(_))
    }

    /// `upstream`: where a connection or a request goes that no route claims. A TCP listener
    /// without `sni` always has one.
    pub fn upstream(&self) -> Option<UpstreamId> {
        match &self.protocol {
            Protocol::Tcp(upstream) => Some(*upstream),
            Protocol::Sni(_) => None,
            Protocol::Http(http) => http.upstream(),
        }
    }

    /// What only an HTTP listener has.
    pub fn http(&self) -> Option<&Http> {
        match &self.protocol {
            Protocol::Tcp(_) | Protocol::Sni(_) => None,
            Protocol::Http(http) => Some(http),
        }
    }
}

/// What a listener speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// Bytes, whatever they mean; they all go to this upstream.
    Tcp(UpstreamId),
    /// TLS, whatever is in it; where the bytes go depends on the ClientHello.
    Sni(Box<Sni>),
    /// HTTP/1.1 and HTTP/1.0 (RFC 9112).
    Http(Box<Http>),
}

impl Protocol {
    /// As written in the config.
    pub fn label(&self) -> &'static str {
        match self {
            Protocol::Tcp(_) | Protocol::Sni(_) => "tcp",
            Protocol::Http(_) => "http",
        }
    }
}

/// How the bytes of a listener's connections travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// `relay.mode`
    pub mode: RelayMode,
    /// `relay.pipe_size`, in bytes: the capacity asked of the kernel for each pipe.
    pub pipe_size: u32,
    /// `relay.low_water`, in bytes: once a direction has proved to carry bulk, its source wakes
    /// the worker only when so much is queued, or after a millisecond. `None` for `"off"`.
    pub low_water: Option<u32>,
}

/// `relay.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayMode {
    /// Kernel pipes from the first byte; copying only where splice cannot be had.
    Splice,
    /// Never a pipe.
    Copy,
    /// Each direction of each flow by itself: copying while messages are small, splice in bulk.
    Auto,
}

impl RelayMode {
    /// As written in the config.
    pub fn label(self) -> &'static str {
        match self {
            RelayMode::Splice => "splice",
            RelayMode::Copy => "copy",
            RelayMode::Auto => "auto",
        }
    }
}

/// `[timeouts]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// `connect`: for each attempt to connect to a server.
    pub connect: Duration,
    /// `idle`: no byte in either direction for that long ends the connection.
    pub idle: Duration,
    /// `half_closed`: the same once one side has said that it is done.
    pub half_closed: Duration,
    /// `tls_handshake`: from accept, or from the end of the PROXY header, to the end of the TLS
    /// handshake; to the end of the ClientHello where a client is passed through. Within
    /// `connect`, towards a server. Clients get less while many of them shake hands.
    pub tls_handshake: Duration,
    /// `proxy_header`: from accept to the end of the PROXY header.
    pub proxy_header: Duration,
}

/// `[keepalive]`: when the kernel asks a silent peer whether it is still there (tcp(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// `idle`: silence before the first question (`TCP_KEEPIDLE`, whole seconds).
    pub idle: Duration,
    /// `interval`: between questions (`TCP_KEEPINTVL`, whole seconds).
    pub interval: Duration,
    /// `probes`: questions without an answer before the peer counts as gone (`TCP_KEEPCNT`).
    pub probes: u32,
}

/// `[upstreams.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The name in the config, used as a label.
    pub name: String,
    /// Whether it is part of the configuration still.
    pub standing: Standing,
    /// `balance`, and what goes with it.
    pub balancing: Balancing,
    /// `source`: the local IP address to connect from; `None` lets the kernel choose.
    pub source: Option<IpAddr>,
    /// `servers` that are addresses.
    pub servers: Vec<ServerSettings>,
    /// `servers` that are names. Of both together there is at least one.
    pub names: Vec<NamedServers>,
    /// `[upstreams.NAME.pool]`
    pub pool: Pool,
    /// `[upstreams.NAME.tls]`; `None` for plain text.
    pub tls: Option<UpstreamTls>,
    /// `proxy_protocol`: the PROXY header that servers are sent; `None` for `"off"`. A connection
    /// with one belongs to one client: none of them wait in the pool.
    pub proxy_protocol: Option<ProxyVersion>,
}

/// One of `upstreams.NAME.servers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// `address`
    pub address: Address,
    /// `name`, or the address as written: how metrics, logs and commands call the server, and how
    /// it is known again after a reload. Each server of an upstream has another one.
    pub name: String,
    /// `weight`: the server's part of what all are given, relative to those of the others.
    pub weight: u32,
    /// `backup`: it is used only where no other server can be.
    pub is_backup: bool,
    /// `connections_max`: connections at once, all workers together; `None` for no bound.
    pub connections_max: Option<NonZeroU32>,
}

impl ServerSettings {
    /// A server of which nothing but the address was written.
    pub fn new(address: Address) -> ServerSettings {
        let name = address.to_string();
        ServerSettings { address, name, weight: 1, is_backup: false, connections_max: None }
    }
}

/// `[upstreams.NAME.pool]`: connections to a server that wait for the next request. Only HTTP
/// listeners have such; a connection of a TCP listener belongs to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// `idle_max`: how many may wait, for each worker and server.
    pub idle_max: u32,
    /// `idle_timeout`: how long one may wait. Shorter than the time after which servers close
    /// them, or requests meet connections that have just died.
    pub idle_timeout: Duration,
}

impl Upstream {
    /// `balance` as written.
    pub fn balance(&self) -> &'static str {
        upstream_balancing::label(self.balancing.algorithm)
    }
}

//! What can go wrong with a connection, said once: whose side, at which stage, of which kind.
//!
//! [`CloseReason`] is at the same time the label of `spliceway_connections_closed_total`, the
//! `reason` field of the access log and what a session ends with, so the three never disagree.

use std::fmt;
use std::io;

/// One of the two sockets of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The socket that a listener accepted.
    Client,
    /// The socket that the proxy connected.
    Upstream,
}

impl Side {
    /// Both, in the order of [`Side::index`].
    pub const ALL: [Side; 2] = [Side::Client, Side::Upstream];

    /// The place in an array that has one entry for each side.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The socket at the other end of the relay.
    pub fn peer(self) -> Side {
        match self {
            Side::Client => Side::Upstream,
            Side::Upstream => Side::Client,
        }
    }
}

/// The way in which bytes travel: the label `direction` of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the client to the upstream server.
    Upstream,
    /// From the upstream server to the client.
    Downstream,
}

impl Direction {
    /// Both directions, in the order in which arrays indexed by direction hold them.
    pub const ALL: [Direction; 2] = [Direction::Upstream, Direction::Downstream];

    /// The direction in which bytes that are read from `side` travel.
    pub fn from_source(side: Side) -> Direction {
        match side {
            Side::Client => Direction::Upstream,
            Side::Upstream => Direction::Downstream,
        }
    }

    /// The side that bytes of this direction are read from.
    pub fn source(self) -> Side {
        match self {
            Direction::Upstream => Side::Client,
            Direction::Downstream => Side::Upstream,
        }
    }

    /// The side that bytes of this direction are written to.
    pub fn sink(self) -> Side {
        self.source().peer()
    }

    /// The other direction.
    pub fn opposite(self) -> Direction {
        match self {
            Direction::Upstream => Direction::Downstream,
            Direction::Downstream => Direction::Upstream,
        }
    }

    /// Where arrays indexed by direction keep this one.
    pub fn index(self) -> usize {
        match self {
            Direction::Upstream => 0,
            Direction::Downstream => 1,
        }
    }

    /// The label of the metrics and the prefix of the fields in the access log.
    pub fn label(self) -> &'static str {
        match self {
            Direction::Upstream => "upstream",
            Direction::Downstream => "downstream",
        }
    }
}

/// Whether bytes entered userspace on their way: the label `path` of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// Through a kernel pipe, by `splice(2)`.
    Splice,
    /// Through a buffer of the process, by `recv(2)` and `send(2)`.
    Copy,
}

impl Path {
    /// Both paths, in the order in which arrays indexed by path hold them.
    pub const ALL: [Path; 2] = [Path::Splice, Path::Copy];

    /// Where arrays indexed by path keep this one.
    pub fn index(self) -> usize {
        match self {
            Path::Splice => 0,
            Path::Copy => 1,
        }
    }

    /// The label of the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Path::Splice => "splice",
            Path::Copy => "copy",
        }
    }
}

/// What happened to a socket, as far as a relay has to tell cases apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The peer reset the connection, or is gone (`ECONNRESET`, `EPIPE`, `ECONNABORTED`).
    Reset,
    /// The network gave up on the peer (`ETIMEDOUT`: keepalive or retransmissions unanswered).
    TimedOut,
    /// Nothing listens there, or its backlog is full (`ECONNREFUSED`; `ENOENT` and `EAGAIN` for a
    /// unix socket).
    Refused,
    /// No way leads there (`EHOSTUNREACH`, `ENETUNREACH`, `ENETDOWN`, `EHOSTDOWN`).
    Unreachable,
    /// This machine lacks something to go on (descriptors, memory, local ports).
    Exhausted,
    /// A TLS stream ended without the word that it was meant to (close_notify).
    Truncated,
    /// A TLS session could not be established, or broke.
    Tls,
    /// Anything else that the kernel reports.
    Other,
}

impl FaultKind {
    /// Sorts an error of a socket operation. Where `EAGAIN` means to wait it is no fault and must
    /// be handled before.
    pub fn of(error: &io::Error) -> FaultKind {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => FaultKind::Reset,
            Kind::TimedOut => FaultKind::TimedOut,
            // A unix socket answers EAGAIN to a connect when its backlog is full (connect(2)).
            Kind::ConnectionRefused | Kind::NotFound | Kind::WouldBlock => FaultKind::Refused,
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => {
                FaultKind::Unreachable
            }
            Kind::AddrNotAvailable | Kind::OutOfMemory => FaultKind::Exhausted,
            // EMFILE and ENFILE have no stable `ErrorKind` yet.
            _ if error.raw_os_error().is_some_and(is_exhaustion) => FaultKind::Exhausted,
            _ => FaultKind::Other,
        }
    }

    /// The label `reason` of `spliceway_upstream_errors_total`.
    pub fn label(self) -> &'static str {
        match self {
            FaultKind::Reset => "reset",
            FaultKind::TimedOut => "timed_out",
            FaultKind::Refused => "refused",
            FaultKind::Unreachable => "unreachable",
            FaultKind::Exhausted => "exhausted",
            FaultKind::Truncated => "truncated",
            FaultKind::Tls => "tls",
            FaultKind::Other => "other",
        }
    }
}

/// `EMFILE`, `ENFILE`, `ENOBUFS` and `ENOMEM`: this machine has run out of something, which says
/// nothing about the peer. The numbers are those of every Linux architecture that Rust supports
/// but for `ENOBUFS` on MIPS; they stand here because rank 0 uses no libc.
pub fn is_exhaustion(errno: i32) -> bool {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    matches!(errno, ENOMEM | ENFILE | EMFILE | ENOBUFS)
}

/// Why a connection ended. Every accepted connection ends exactly once, with exactly one of
/// these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CloseReason {
    /// Both sides said that they were done, and every byte was delivered.
    Completed,
    /// The client reset the connection.
    ClientReset,
    /// The upstream server reset the connection.
    UpstreamReset,
    /// The client's socket failed in another way than by a reset.
    ClientError,
    /// The upstream server's socket failed in another way than by a reset.
    UpstreamError,
    /// No server of the upstream accepted the connection.
    ConnectRefused,
    /// No server of the upstream answered within `timeouts.connect`.
    ConnectTimeout,
    /// No way leads to any server of the upstream.
    ConnectUnreachable,
    /// Connecting failed for want of descriptors, memory or local ports on this machine, or for
    /// a reason that has no name of its own.
    ConnectFailed,
    /// No byte moved for `timeouts.idle`.
    IdleTimeout,
    /// One side had said that it was done, and the other moved no byte for
    /// `timeouts.half_closed`.
    HalfClosedTimeout,
    /// The process was told to end, and the connection was not done by `process.drain_timeout`.
    DrainTimeout,
    /// The client's request was refused: it is malformed, or too large.
    Rejected,
    /// The client did not send its request in time.
    RequestTimeout,
    /// The server did not answer in time, or the client did not read the response.
    ResponseTimeout,
    /// The client sent no other request for `timeouts.keep_alive`.
    KeepAliveTimeout,
    /// The client's TLS handshake failed, or was not over in time.
    TlsHandshake,
    /// The TLS session with no server of the upstream could be established.
    ConnectTls,
    /// What the client sent did not begin with a PROXY header.
    ProxyHeaderMissing,
    /// The PROXY header was longer than is allowed.
    ProxyHeaderTooLong,
    /// The PROXY header broke the rules of its protocol.
    ProxyHeaderMalformed,
    /// The connection ended or failed before its PROXY header was whole.
    ProxyHeaderCut,
    /// The PROXY header was not whole in time.
    ProxyHeaderTimeout,
    /// A PROXY header is required, and whoever connected is not among those whose is believed.
    ProxyUntrusted,
    /// Nothing is there for the name that the client asks for.
    UnknownName,
    /// The client's address is none that may come.
    Denied,
    /// As many connections are open as may be.
    ConnectionLimit,
    /// Connections or requests came faster than they may.
    RateLimit,
    /// All servers of the upstream are down, ejected or taken out of service.
    NoServer,
    /// All servers of the upstream have as many connections as they may have, and so has the queue.
    QueueFull,
    /// No server of the upstream had room before `queue.timeout` was over.
    QueueTimeout,
}

impl CloseReason {
    /// Every reason, in the order in which arrays indexed by reason hold them.
    pub const ALL: [CloseReason; 31] = [
        CloseReason::Completed,
        CloseReason::ClientReset,
        CloseReason::UpstreamReset,
        CloseReason::ClientError,
        CloseReason::UpstreamError,
        CloseReason::ConnectRefused,
        CloseReason::ConnectTimeout,
        CloseReason::ConnectUnreachable,
        CloseReason::ConnectFailed,
        CloseReason::IdleTimeout,
        CloseReason::HalfClosedTimeout,
        CloseReason::DrainTimeout,
        CloseReason::Rejected,
        CloseReason::RequestTimeout,
        CloseReason::ResponseTimeout,
        CloseReason::KeepAliveTimeout,
        CloseReason::TlsHandshake,
        CloseReason::ConnectTls,
        CloseReason::ProxyHeaderMissing,
        CloseReason::ProxyHeaderTooLong,
        CloseReason::ProxyHeaderMalformed,
        CloseReason::ProxyHeaderCut,
        CloseReason::ProxyHeaderTimeout,
        CloseReason::ProxyUntrusted,
        CloseReason::UnknownName,
        CloseReason::Denied,
        CloseReason::ConnectionLimit,
        CloseReason::RateLimit,
        CloseReason::NoServer,
        CloseReason::QueueFull,
        CloseReason::QueueTimeout,
    ];

    /// Where arrays indexed by reason keep this one: the order of the declaration, which
    /// [`CloseReason::ALL`] repeats.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The label of the metric and the field of the access log.
    pub fn label(self) -> &'static str {
        match self {
            CloseReason::Completed => "completed",
            CloseReason::ClientReset => "client_reset",
            CloseReason::UpstreamReset => "upstream_reset",
            CloseReason::ClientError => "client_error",
            CloseReason::UpstreamError => "upstream_error",
            CloseReason::ConnectRefused => "connect_refused",
            CloseReason::ConnectTimeout => "connect_timeout",
            CloseReason::ConnectUnreachable => "connect_unreachable",
            CloseReason::ConnectFailed => "connect_failed",
            CloseReason::IdleTimeout => "idle_timeout",
            CloseReason::HalfClosedTimeout => "half_closed_timeout",
            CloseReason::DrainTimeout => "drain_timeout",
            CloseReason::Rejected => "rejected",
            CloseReason::RequestTimeout => "request_timeout",
            CloseReason::ResponseTimeout => "response_timeout",
            CloseReason::KeepAliveTimeout => "keep_alive_timeout",
            CloseReason::TlsHandshake => "tls_handshake",
            CloseReason::ConnectTls => "connect_tls",
            CloseReason::ProxyHeaderMissing => "proxy_header_missing",
            CloseReason::ProxyHeaderTooLong => "proxy_header_too_long",
            CloseReason::ProxyHeaderMalformed => "proxy_header_malformed",
            CloseReason::ProxyHeaderCut => "proxy_header_cut",
            CloseReason::ProxyHeaderTimeout => "proxy_header_timeout",
            CloseReason::ProxyUntrusted => "proxy_untrusted",
            CloseReason::UnknownName => "unknown_name",
            CloseReason::Denied => "denied",
            CloseReason::ConnectionLimit => "connection_limit",
            CloseReason::RateLimit => "rate_limit",
            CloseReason::NoServer => "no_server",
            CloseReason::QueueFull => "queue_full",
            CloseReason::QueueTimeout => "queue_timeout",
        }
    }

    /// The reason for an established connection that ended because `side` failed with `kind`.
    pub fn of_fault(side: Side, kind: FaultKind) -> CloseReason {
        match (side, kind) {
            (Side::Client, FaultKind::Reset) => CloseReason::ClientReset,
            (Side::Client, _) => CloseReason::ClientError,
            (Side::Upstream, FaultKind::Reset) => CloseReason::UpstreamReset,
            (Side::Upstream, _) => CloseReason::UpstreamError,
        }
    }

    /// The reason for a connection whose last attempt to connect failed with `kind`.
    pub fn of_connect(kind: FaultKind) -> CloseReason {
        match kind {
            FaultKind::Refused | FaultKind::Reset => CloseReason::ConnectRefused,
            FaultKind::TimedOut => CloseReason::ConnectTimeout,
            FaultKind::Unreachable => CloseReason::ConnectUnreachable,
            FaultKind::Tls | FaultKind::Truncated => CloseReason::ConnectTls,
            FaultKind::Exhausted | FaultKind::Other => CloseReason::ConnectFailed,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Which limit of `[listeners.NAME.limits]` somebody was sent away for: the label `reason` of
/// `spliceway_limit_refusals_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitReason {
    /// `allow`, `deny`
    Denied,
    /// `connections`
    Connections,
    /// `connection_rate`
    ConnectionRate,
    /// `request_rate`
    RequestRate,
    /// `client_connections`
    ClientConnections,
    /// `client_connection_rate`
    ClientConnectionRate,
    /// `client_request_rate`
    ClientRequestRate,
}

impl LimitReason {
    /// Every reason, in the order in which arrays indexed by reason hold them.
    pub const ALL: [LimitReason; 7] = [
        LimitReason::Denied,
        LimitReason::Connections,
        LimitReason::ConnectionRate,
        LimitReason::RequestRate,
        LimitReason::ClientConnections,
        LimitReason::ClientConnectionRate,
        LimitReason::ClientRequestRate,
    ];

    /// Where arrays indexed by reason keep this one: the order of the declaration, which
    /// [`LimitReason::ALL`] repeats.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The label of the metric: the key in the config.
    pub fn label(self) -> &'static str {
        match self {
            LimitReason::Denied => "denied",
            LimitReason::Connections => "connections",
            LimitReason::ConnectionRate => "connection_rate",
            LimitReason::RequestRate => "request_rate",
            LimitReason::ClientConnections => "client_connections",
            LimitReason::ClientConnectionRate => "client_connection_rate",
            LimitReason::ClientRequestRate => "client_request_rate",
        }
    }

    /// What a connection ends with, or an exchange, that was sent away for it.
    pub fn close_reason(self) -> CloseReason {
        match self {
            LimitReason::Denied => CloseReason::Denied,
            LimitReason::Connections | LimitReason::ClientConnections => {
                CloseReason::ConnectionLimit
            }
            LimitReason::ConnectionRate
            | LimitReason::RequestRate
            | LimitReason::ClientConnectionRate
            | LimitReason::ClientRequestRate => CloseReason::RateLimit,
        }
    }

    /// What a request is answered (RFC 9110, section 15.5.4; RFC 6585, section 4).
    pub fn status(self) -> u16 {
        match self {
            LimitReason::Denied => 403,
            _ => 429,
        }
    }
}

/// Why bytes of a flow were copied although splice was asked for: the label `reason` of
/// `spliceway_relay_fallbacks_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FallbackReason {
    /// The kernel or a seccomp filter refuses `splice(2)` for the whole process
    /// (`ENOSYS`, `EPERM`).
    Unavailable,
    /// The kernel refuses to splice this socket (`EINVAL`).
    Refused,
    /// `relay.pipe_memory` is spent.
    PipeMemory,
    /// No descriptor was left for a pipe (`EMFILE`, `ENFILE`).
    Descriptors,
    /// The kernel gave a pipe of less than 64 KiB (`fs.pipe-user-pages-soft`), which costs more
    /// than it saves.
    PipeTooSmall,
    /// The flow was woken again and again and splice moved nothing.
    NoProgress,
    /// The peer sent urgent data (`MSG_OOB`), at which splice stops for good.
    Urgent,
    /// A TLS session ends here, so bytes are encrypted or decrypted on their way.
    Tls,
}

impl FallbackReason {
    /// Every reason, in the order in which arrays indexed by reason hold them.
    pub const ALL: [FallbackReason; 8] = [
        FallbackReason::Unavailable,
        FallbackReason::Refused,
        FallbackReason::PipeMemory,
        FallbackReason::Descriptors,
        FallbackReason::PipeTooSmall,
        FallbackReason::NoProgress,
        FallbackReason::Urgent,
        FallbackReason::Tls,
    ];

    /// Where arrays indexed by reason keep this one: the order of the declaration, which
    /// [`FallbackReason::ALL`] repeats.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The label of the metric and the field of the access log.
    pub fn label(self) -> &'static str {
        match self {
            FallbackReason::Unavailable => "unavailable",
            FallbackReason::Refused => "refused",
            FallbackReason::PipeMemory => "pipe_memory",
            FallbackReason::Descriptors => "descriptors",
            FallbackReason::PipeTooSmall => "pipe_too_small",
            FallbackReason::NoProgress => "no_progress",
            FallbackReason::Urgent => "urgent",
            FallbackReason::Tls => "tls",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_where_its_index_says() {
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason}");
        }
        for (index, reason) in FallbackReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{}", reason.label());
        }
        for (index, reason) in LimitReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{}", reason.label());
        }
    }

    #[test]
    fn faults_are_sorted_by_errno() {
        let check = |errno: i32, expected: FaultKind| {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(FaultKind::of(&error), expected, "{error}");
        };
        check(104, FaultKind::Reset); // ECONNRESET
        check(32, FaultKind::Reset); // EPIPE
        check(110, FaultKind::TimedOut); // ETIMEDOUT
        check(111, FaultKind::Refused); // ECONNREFUSED
        check(2, FaultKind::Refused); // ENOENT
        check(11, FaultKind::Refused); // EAGAIN
        check(113, FaultKind::Unreachable); // EHOSTUNREACH
        check(101, FaultKind::Unreachable); // ENETUNREACH
        check(99, FaultKind::Exhausted); // EADDRNOTAVAIL
        check(24, FaultKind::Exhausted); // EMFILE
        check(105, FaultKind::Exhausted); // ENOBUFS
        check(71, FaultKind::Other); // EPROTO
    }
}

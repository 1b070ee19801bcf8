//! Every metric: its name, help, labels and buckets, each said once.
//!
//! The handles are made once for each worker, so the data plane never looks up a name or a
//! label; making them also puts every series into the scrape with the value 0 before anything has
//! happened, as the Prometheus documentation asks ("Avoid missing metrics"). Only
//! [`HTTP_REQUESTS`] has too many for that: its series begin with the first request of their kind.
//! Label values are names from the config and fixed enums only, never anything that a client sent.
//!
//! Gauges of the process (pipes, held bytes) are not written by workers: the control plane sums
//! the [`WorkerReport`](crate::snapshot::WorkerReport)s when it is scraped.
//!
//! Length: every metric stands in this one list, so that none is said twice.

pub mod code;
mod files;
mod histogram;
mod http;
mod recorder;
mod servers;
mod tls;

use metrics::{Counter, Gauge, Histogram, Label};

pub use files::FileErrandMetrics;
pub use histogram::bucket_of;
pub use http::{HttpMetrics, Message, RequestMetrics};
pub use recorder::{Exposition, Recorder, install};
pub use servers::{HealthCheckMetrics, NameMetrics, ServerStandingMetrics, WaitingMetrics};
pub use tls::{HandshakeMetrics, TLS_VERSIONS, TlsMetrics};

use crate::error::{CloseReason, Direction, FallbackReason, FaultKind, LimitReason, Path};
use crate::limits::TableMiss;

/// A metric with all its series.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// The name, with the suffix `_total` where it is a counter.
    pub name: &'static str,
    /// What it is to Prometheus.
    pub kind: Kind,
    /// Label names, in the order in which values are given to the constructors.
    pub labels: &'static [&'static str],
    /// The line behind `# HELP`.
    pub help: &'static str,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Goes up only.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// Seconds; a connect takes about 0.1 ms on the same machine and is given up after
/// `timeouts.connect`, 5 s by default.
const CONNECT_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Seconds; from an answer of this proxy to a download of minutes.
const REQUEST_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 300.0,
];

/// Seconds; from one short exchange to a tunnel that stands for a day.
const CONNECTION_BUCKETS: &[f64] =
    &[0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0];

macro_rules! families {
    ($($constant:ident = $name:literal, $kind:expr, $labels:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family =
                Family { name: $name, kind: $kind, labels: &$labels, help: $help };
        )*
        /// Every family that the proxy exports under its own prefix.
        pub const FAMILIES: &[Family] = &[$($constant),*];
    };
}

families! {
    RELAY_BYTES = "spliceway_relay_bytes_total", Kind::Counter,
        ["listener", "direction", "path"],
        "Bytes relayed and delivered, by the direction and the path that they took.";
    RELAY_FALLBACKS = "spliceway_relay_fallbacks_total", Kind::Counter,
        ["listener", "reason"],
        "Connections of which bytes were copied although splice was asked for, by reason.";
    PIPES = "spliceway_pipes", Kind::Gauge, ["state"],
        "Kernel pipes, by whether they hold bytes of a connection.";
    PIPE_HELD_BYTES = "spliceway_pipe_held_bytes", Kind::Gauge, [],
        "Bytes in kernel pipes: read from one side and not yet written to the other.";
    PIPE_MEMORY_BYTES = "spliceway_pipe_memory_bytes", Kind::Gauge, [],
        "Capacity of all kernel pipes, which relay.pipe_memory bounds.";
    BUFFER_HELD_BYTES = "spliceway_buffer_held_bytes", Kind::Gauge, [],
        "Bytes in buffers of the process: read from one side and not yet written to the other.";
    CONNECTIONS_OPENED = "spliceway_connections_total", Kind::Counter, ["listener"],
        "Client connections accepted.";
    CONNECTIONS = "spliceway_connections", Kind::Gauge, ["listener"],
        "Client connections open now.";
    CONNECTIONS_CLOSED = "spliceway_connections_closed_total", Kind::Counter,
        ["listener", "reason"],
        "Client connections ended, by reason.";
    CONNECTION_DURATION = "spliceway_connection_duration_seconds",
        Kind::Histogram(CONNECTION_BUCKETS), ["listener"],
        "Time from accepting a client connection to its end.";
    HTTP_REQUESTS = "spliceway_http_requests_total", Kind::Counter,
        ["listener", "upstream", "method", "code"],
        "Requests that are over, by the status that the client was answered with.";
    HTTP_REQUEST_DURATION = "spliceway_http_request_duration_seconds",
        Kind::Histogram(REQUEST_BUCKETS), ["listener", "upstream"],
        "Time from the first byte of a request to the end of its response; no tunnels.";
    HTTP_IN_FLIGHT = "spliceway_http_requests_in_flight", Kind::Gauge, ["listener"],
        "Requests and tunnels that have begun and are not over.";
    HTTP_REJECTED = "spliceway_http_messages_rejected_total", Kind::Counter,
        ["listener", "message", "reason"],
        "Requests and responses that were refused for what they are, by reason.";
    TLS_HANDSHAKES = "spliceway_tls_handshakes_total", Kind::Counter,
        ["listener", "version", "resumed"],
        "TLS handshakes of clients that went well, by version and by whether a session was resumed.";
    TLS_HANDSHAKE_FAILURES = "spliceway_tls_handshake_failures_total", Kind::Counter,
        ["listener", "reason"],
        "TLS handshakes of clients that came to nothing, by reason.";
    TLS_HANDSHAKE_DURATION = "spliceway_tls_handshake_duration_seconds",
        Kind::Histogram(CONNECT_BUCKETS), ["listener"],
        "Time from accepting a client connection to the end of its TLS handshake.";
    FILE_ERRANDS = "spliceway_file_errands", Kind::Gauge, [],
        "Lookups and windows to be read that wait for a thread which may wait for a disk.";
    FILE_ERRAND_DURATION = "spliceway_file_errand_duration_seconds",
        Kind::Histogram(CONNECT_BUCKETS), ["kind"],
        "Time from asking such a thread for something to its end, in the queue and at the disk.";
    FILE_ERRANDS_UNDONE = "spliceway_file_errands_undone_total", Kind::Counter, ["reason"],
        "Errands that were not done: too many waited, or nobody waited for them any more.";
    ACCEPT_PAUSED = "spliceway_accept_paused_total", Kind::Counter, ["listener", "reason"],
        "Times that accepting paused, by reason.";
    LIMIT_REFUSALS = "spliceway_limit_refusals_total", Kind::Counter, ["listener", "reason"],
        "Connections and requests that were refused at a limit, by the limit.";
    BANDWIDTH_PAUSES = "spliceway_bandwidth_pauses_total", Kind::Counter,
        ["listener", "direction"],
        "Times that a direction of a connection waited for its bandwidth.";
    LIMITED_CLIENT_MISSES = "spliceway_limited_client_misses_total", Kind::Counter,
        ["listener", "outcome"],
        "Clients for whom another one was forgotten too early, or who were not tracked.";
    UPSTREAM_CONNECT_DURATION = "spliceway_upstream_connect_duration_seconds",
        Kind::Histogram(CONNECT_BUCKETS), ["upstream", "server"],
        "Time that successful connects to a server took.";
    UPSTREAM_CONNECTIONS = "spliceway_upstream_connections", Kind::Gauge,
        ["upstream", "server"],
        "Connections to a server open now.";
    UPSTREAM_IDLE_CONNECTIONS = "spliceway_upstream_idle_connections", Kind::Gauge,
        ["upstream", "server"],
        "Those of them that wait for a request.";
    UPSTREAM_REQUESTS = "spliceway_upstream_requests_total", Kind::Counter,
        ["upstream", "server", "connection"],
        "HTTP requests that a connection to a server was found for, by whether it is a new one.";
    UPSTREAM_ERRORS = "spliceway_upstream_errors_total", Kind::Counter,
        ["upstream", "server", "reason"],
        "Failures of a server, while connecting and after it, by reason.";
    UPSTREAM_TLS_HANDSHAKES = "spliceway_upstream_tls_handshakes_total", Kind::Counter,
        ["upstream", "server", "version", "resumed"],
        "TLS handshakes with a server that went well, as for clients.";
    UPSTREAM_TLS_HANDSHAKE_FAILURES = "spliceway_upstream_tls_handshake_failures_total",
        Kind::Counter, ["upstream", "server", "reason"],
        "TLS handshakes with a server that came to nothing, by reason.";
    UPSTREAM_RETRIES = "spliceway_upstream_retries_total", Kind::Counter, ["upstream"],
        "Connects and requests that were tried again on another connection.";
    UPSTREAM_UP = "spliceway_upstream_up", Kind::Gauge, ["upstream", "server"],
        "1 while a server gets traffic, 0 while it is down, ejected or out of service.";
    UPSTREAM_ACTIVE = "spliceway_upstream_active", Kind::Gauge, ["upstream", "server"],
        "Connections of TCP and requests that a server was picked for and that are not over.";
    UPSTREAM_QUEUED = "spliceway_upstream_queued", Kind::Gauge, ["upstream"],
        "Clients and requests that wait for a server to have room.";
    UPSTREAM_EJECTIONS = "spliceway_upstream_ejections_total", Kind::Counter,
        ["upstream", "server"],
        "Times that a server was ejected for its errors.";
    UPSTREAM_HEALTH_CHECKS = "spliceway_upstream_health_checks_total", Kind::Counter,
        ["upstream", "server", "result"],
        "Health checks of a server, by whether they passed.";
    NAME_RESOLUTIONS = "spliceway_name_resolutions_total", Kind::Counter,
        ["upstream", "name", "result"],
        "Times that the addresses of a name were asked for, by whether there was an answer.";
    NAME_SERVERS = "spliceway_name_servers", Kind::Gauge, ["upstream", "name"],
        "Servers that a name stands for now.";
    CERTIFICATE_NOT_AFTER = "spliceway_certificate_not_after_timestamp_seconds", Kind::Gauge,
        ["side", "name", "chain"],
        "When a certificate ends, in seconds since 1970, by who shows it and by its file.";
    CERTIFICATE_RELOADS = "spliceway_certificate_reloads_total", Kind::Counter, ["result"],
        "Times that files of certificates had changed, by whether all could be used.";
    CONFIG_GENERATION = "spliceway_config_generation", Kind::Gauge, [],
        "Which configuration is in force: 0 that of the start, and 1 more with each change.";
    CONFIG_GENERATIONS_DRAINING = "spliceway_config_generations_draining", Kind::Gauge, [],
        "Configurations before that one of which connections drain still.";
    CONFIG_LAST_RELOAD_SUCCESS = "spliceway_config_last_reload_success", Kind::Gauge, [],
        "1 if the last reload went well, or there was none; 0 if what was before is in force still.";
    CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP =
        "spliceway_config_last_reload_success_timestamp_seconds", Kind::Gauge, [],
        "When a configuration was last put in force, at the start or by a reload.";
    CONFIG_RELOADS = "spliceway_config_reloads_total", Kind::Counter, ["result"],
        "Reloads, by whether they went well.";
    CONNECTIONS_RETIRED = "spliceway_connections_retired", Kind::Gauge, [],
        "Client connections whose listener, upstream or server a reload has removed.";
    UPGRADES = "spliceway_upgrades_total", Kind::Counter, ["result"],
        "Upgrades: success is counted by the process that took over, failure by the one that goes on.";
    ACCESS_LOG_DROPPED = "spliceway_access_log_dropped_total", Kind::Counter, [],
        "Access log lines lost because the log could not be written, or not fast enough.";
    WORKERS = "spliceway_workers", Kind::Gauge, [],
        "Worker threads that run.";
    DRAINING = "spliceway_draining", Kind::Gauge, [],
        "1 once the process was told to end, 0 before.";
    BUILD_INFO = "spliceway_build_info", Kind::Gauge, ["version"],
        "Always 1; the label says which version runs.";
}

impl Family {
    /// The upper bounds of its buckets; none where it is no histogram.
    pub fn bounds(&self) -> &'static [f64] {
        match self.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Counter | Kind::Gauge => &[],
        }
    }

    fn label_values(&self, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        let pairs = self.labels.iter().zip(values);
        pairs.map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
    }

    fn counter(&self, values: &[&str]) -> Counter {
        metrics::counter!(self.name, self.label_values(values))
    }

    fn gauge(&self, values: &[&str]) -> Gauge {
        metrics::gauge!(self.name, self.label_values(values))
    }

    fn histogram(&self, values: &[&str]) -> Histogram {
        metrics::histogram!(self.name, self.label_values(values))
    }

    fn describe(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.help),
            Kind::Histogram(_) => metrics::describe_histogram!(self.name, self.help),
        }
    }

    /// Whether each server has its own series, which end with it.
    fn is_of_servers(&self) -> bool {
        self.labels.contains(&"server")
    }
}

impl Kind {
    /// As Prometheus text calls it.
    fn label(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }
}

/// Why accepting paused: the label `reason` of [`ACCEPT_PAUSED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptPause {
    /// The limit of connections is reached.
    Connections,
    /// No descriptor was left (`EMFILE`, `ENFILE`).
    Descriptors,
    /// The kernel refuses for a reason that does not pass with the connection at the head of the
    /// backlog: a security module, a socket that was shut down from outside.
    Refused,
}

impl AcceptPause {
    /// Every reason, in the order in which arrays indexed by reason hold them.
    pub const ALL: [AcceptPause; 3] =
        [AcceptPause::Connections, AcceptPause::Descriptors, AcceptPause::Refused];

    /// Where arrays indexed by reason keep this one.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The label of the metric.
    pub fn label(self) -> &'static str {
        match self {
            AcceptPause::Connections => "connections",
            AcceptPause::Descriptors => "descriptors",
            AcceptPause::Refused => "refused",
        }
    }
}

/// What a worker counts for one listener.
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    /// [`RELAY_BYTES`], indexed by [`Direction::index`], then by [`Path::index`].
    pub relay_bytes: [[Counter; Path::ALL.len()]; 2],
    /// [`RELAY_FALLBACKS`], indexed by [`FallbackReason::index`].
    pub fallbacks: [Counter; FallbackReason::ALL.len()],
    /// [`CONNECTIONS_OPENED`]
    pub opened: Counter,
    /// [`CONNECTIONS`]; shared by all workers, so it is only ever incremented and decremented.
    pub open: Gauge,
    /// [`CONNECTIONS_CLOSED`], indexed by [`CloseReason::index`].
    pub closed: [Counter; CloseReason::ALL.len()],
    /// [`CONNECTION_DURATION`], in seconds.
    pub duration: Histogram,
    /// [`ACCEPT_PAUSED`], indexed by [`AcceptPause::index`].
    pub accept_paused: [Counter; AcceptPause::ALL.len()],
    /// [`LIMIT_REFUSALS`], indexed by [`LimitReason::index`].
    pub limit_refusals: [Counter; LimitReason::ALL.len()],
    /// [`BANDWIDTH_PAUSES`], indexed by [`Direction::index`].
    pub bandwidth_pauses: [Counter; 2],
    /// [`LIMITED_CLIENT_MISSES`], indexed by [`TableMiss::index`].
    pub client_misses: [Counter; TableMiss::ALL.len()],
}

impl ListenerMetrics {
    /// The handles for the listener called `listener` in the config.
    pub fn new(listener: &str) -> ListenerMetrics {
        ListenerMetrics {
            relay_bytes: Direction::ALL.map(|direction| {
                Path::ALL
                    .map(|path| RELAY_BYTES.counter(&[listener, direction.label(), path.label()]))
            }),
            fallbacks: FallbackReason::ALL
                .map(|reason| RELAY_FALLBACKS.counter(&[listener, reason.label()])),
            opened: CONNECTIONS_OPENED.counter(&[listener]),
            open: CONNECTIONS.gauge(&[listener]),
            closed: CloseReason::ALL
                .map(|reason| CONNECTIONS_CLOSED.counter(&[listener, reason.label()])),
            duration: CONNECTION_DURATION.histogram(&[listener]),
            accept_paused: AcceptPause::ALL
                .map(|reason| ACCEPT_PAUSED.counter(&[listener, reason.label()])),
            limit_refusals: LimitReason::ALL
                .map(|reason| LIMIT_REFUSALS.counter(&[listener, reason.label()])),
            bandwidth_pauses: Direction::ALL
                .map(|direction| BANDWIDTH_PAUSES.counter(&[listener, direction.label()])),
            client_misses: TableMiss::ALL
                .map(|miss| LIMITED_CLIENT_MISSES.counter(&[listener, miss.label()])),
        }
    }
}

/// Every kind of fault, in the order of [`ServerMetrics::errors`].
const FAULT_KINDS: [FaultKind; 8] = [
    FaultKind::Reset,
    FaultKind::TimedOut,
    FaultKind::Refused,
    FaultKind::Unreachable,
    FaultKind::Exhausted,
    FaultKind::Truncated,
    FaultKind::Tls,
    FaultKind::Other,
];

/// What a worker counts for one server of an upstream.
#[derive(Debug, Clone)]
pub struct ServerMetrics {
    /// [`UPSTREAM_CONNECT_DURATION`], in seconds.
    pub connect_duration: Histogram,
    /// [`UPSTREAM_CONNECTIONS`]; shared by all workers, so it is only ever incremented and
    /// decremented.
    pub connections: Gauge,
    /// [`UPSTREAM_IDLE_CONNECTIONS`]; likewise.
    pub idle: Gauge,
    /// [`UPSTREAM_REQUESTS`] over a new connection, and over one that was there.
    pub requests: [Counter; 2],
    errors: [Counter; FAULT_KINDS.len()],
}

impl ServerMetrics {
    /// The handles for `server`, as its address is written in the config, of `upstream`.
    pub fn new(upstream: &str, server: &str) -> ServerMetrics {
        ServerMetrics {
            connect_duration: UPSTREAM_CONNECT_DURATION.histogram(&[upstream, server]),
            connections: UPSTREAM_CONNECTIONS.gauge(&[upstream, server]),
            idle: UPSTREAM_IDLE_CONNECTIONS.gauge(&[upstream, server]),
            requests: ["new", "reused"]
                .map(|connection| UPSTREAM_REQUESTS.counter(&[upstream, server, connection])),
            errors: FAULT_KINDS
                .map(|kind| UPSTREAM_ERRORS.counter(&[upstream, server, kind.label()])),
        }
    }

    /// [`UPSTREAM_ERRORS`] for one kind of fault.
    pub fn errors(&self, kind: FaultKind) -> &Counter {
        &self.errors[kind as usize]
    }
}

/// What a worker counts for one upstream as a whole.
#[derive(Debug, Clone)]
pub struct UpstreamMetrics {
    /// [`UPSTREAM_RETRIES`]
    pub retries: Counter,
}

impl UpstreamMetrics {
    /// The handles for the upstream called `upstream` in the config.
    pub fn new(upstream: &str) -> UpstreamMetrics {
        UpstreamMetrics { retries: UPSTREAM_RETRIES.counter(&[upstream]) }
    }
}

/// Of one certificate.
#[derive(Debug, Clone)]
pub struct CertificateMetrics {
    /// [`CERTIFICATE_NOT_AFTER`]
    pub not_after: Gauge,
}

impl CertificateMetrics {
    /// The handles; `side` is `listener` or `upstream`, `name` that of the config, `chain` the
    /// file.
    pub fn new(side: &str, name: &str, chain: &str) -> CertificateMetrics {
        CertificateMetrics { not_after: CERTIFICATE_NOT_AFTER.gauge(&[side, name, chain]) }
    }
}

/// Of the configuration.
#[derive(Debug)]
pub struct ConfigMetrics {
    /// [`CONFIG_GENERATION`]
    pub generation: Gauge,
    /// [`CONFIG_GENERATIONS_DRAINING`]
    pub generations_draining: Gauge,
    /// [`CONFIG_LAST_RELOAD_SUCCESS`]
    pub last_reload_success: Gauge,
    /// [`CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP`]
    pub last_reload_success_timestamp: Gauge,
    /// [`CONFIG_RELOADS`] that went well.
    pub succeeded: Counter,
    /// [`CONFIG_RELOADS`] that did not.
    pub failed: Counter,
    /// [`CONNECTIONS_RETIRED`]
    pub connections_retired: Gauge,
}

impl ConfigMetrics {
    /// Handles for the process.
    pub fn new() -> ConfigMetrics {
        ConfigMetrics {
            generation: CONFIG_GENERATION.gauge(&[]),
            generations_draining: CONFIG_GENERATIONS_DRAINING.gauge(&[]),
            last_reload_success: CONFIG_LAST_RELOAD_SUCCESS.gauge(&[]),
            last_reload_success_timestamp: CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP.gauge(&[]),
            succeeded: CONFIG_RELOADS.counter(&["success"]),
            failed: CONFIG_RELOADS.counter(&["failure"]),
            connections_retired: CONNECTIONS_RETIRED.gauge(&[]),
        }
    }
}

impl Default for ConfigMetrics {
    fn default() -> ConfigMetrics {
        ConfigMetrics::new()
    }
}

/// Of all certificates together.
#[derive(Debug, Clone)]
pub struct CertificateReloads {
    /// [`CERTIFICATE_RELOADS`] with `result="success"`: something was replaced.
    pub succeeded: Counter,
    /// [`CERTIFICATE_RELOADS`] with `result="failure"`: something new could not be used.
    pub failed: Counter,
}

impl CertificateReloads {
    /// The handles.
    pub fn new() -> CertificateReloads {
        CertificateReloads {
            succeeded: CERTIFICATE_RELOADS.counter(&["success"]),
            failed: CERTIFICATE_RELOADS.counter(&["failure"]),
        }
    }
}

impl Default for CertificateReloads {
    fn default() -> CertificateReloads {
        CertificateReloads::new()
    }
}

/// What the control plane sets when it is scraped.
#[derive(Debug, Clone)]
pub struct ProcessMetrics {
    /// [`PIPES`] with `state="idle"`.
    pub pipes_idle: Gauge,
    /// [`PIPES`] with `state="busy"`.
    pub pipes_busy: Gauge,
    /// [`PIPE_HELD_BYTES`]
    pub pipe_held_bytes: Gauge,
    /// [`PIPE_MEMORY_BYTES`]
    pub pipe_memory_bytes: Gauge,
    /// [`BUFFER_HELD_BYTES`]
    pub buffer_held_bytes: Gauge,
    /// [`UPGRADES`] with `result="success"`: this process has taken over from another.
    pub upgrades_succeeded: Counter,
    /// [`UPGRADES`] with `result="failure"`: a new process was started in vain.
    pub upgrades_failed: Counter,
    /// [`ACCESS_LOG_DROPPED`]
    pub access_log_dropped: Counter,
    /// [`WORKERS`]
    pub workers: Gauge,
    /// [`DRAINING`]
    pub draining: Gauge,
}

impl ProcessMetrics {
    /// The handles; [`BUILD_INFO`] is set on the way.
    pub fn new(version: &str) -> ProcessMetrics {
        BUILD_INFO.gauge(&[version]).set(1.0);
        ProcessMetrics {
            pipes_idle: PIPES.gauge(&["idle"]),
            pipes_busy: PIPES.gauge(&["busy"]),
            pipe_held_bytes: PIPE_HELD_BYTES.gauge(&[]),
            pipe_memory_bytes: PIPE_MEMORY_BYTES.gauge(&[]),
            buffer_held_bytes: BUFFER_HELD_BYTES.gauge(&[]),
            upgrades_succeeded: UPGRADES.counter(&["success"]),
            upgrades_failed: UPGRADES.counter(&["failure"]),
            access_log_dropped: ACCESS_LOG_DROPPED.counter(&[]),
            workers: WORKERS.gauge(&[]),
            draining: DRAINING.gauge(&[]),
        }
    }
}

#[cfg(test)]
mod tests;

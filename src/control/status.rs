//! The JSON document of `/status`, for people and scripts that ask what the proxy does right now.

use std::time::Instant;

use serde::Serialize;

use super::standing::{self, ServerStatus};
use super::state::State;
use crate::config::Listener;
use crate::id::UpstreamId;
use crate::roster::Server;
use crate::snapshot::{Snapshot, WorkerReport};

/// The document; sizes in bytes, times in seconds.
#[derive(Debug, Serialize)]
pub(super) struct Status<'a> {
    version: &'static str,
    pid: u32,
    uptime_seconds: u64,
    kernel: &'a str,
    stage: &'static str,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_ready_because: Option<String>,
    /// What the proxy decided otherwise than the config asked.
    notes: &'a [String],
    config: ConfigStatus,
    connections: Connections,
    pipes: Pipes,
    buffers: Buffers,
    listeners: Vec<ListenerStatus<'a>>,
    workers: Vec<WorkerStatus>,
    upstreams: Vec<UpstreamStatus<'a>>,
    access_log_dropped: u64,
}

/// The configuration in force.
#[derive(Debug, Serialize)]
struct ConfigStatus {
    /// Its files; none where it has none.
    files: Vec<String>,
    /// 0 at the start, 1 more with each change.
    generation: u64,
    /// Those before of which connections drain still.
    generations_draining: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_reload: Option<ReloadStatus>,
}

/// What came of the last reload.
#[derive(Debug, Serialize)]
struct ReloadStatus {
    /// In seconds since 1970.
    at: i64,
    ok: bool,
    /// What has changed, or why everything is as it was.
    message: String,
}

#[derive(Debug, Serialize)]
struct Connections {
    open: u64,
    /// Those whose listener, upstream or server a reload has removed.
    retired: u64,
    max: usize,
}

#[derive(Debug, Serialize)]
struct Pipes {
    idle: u64,
    busy: u64,
    held_bytes: u64,
    memory_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Buffers {
    held_bytes: u64,
}

#[derive(Debug, Serialize)]
struct ListenerStatus<'a> {
    name: &'a str,
    bind: Vec<String>,
    protocol: &'static str,
    /// Where what no route claims goes.
    upstream: Option<&'a str>,
    relay: RelayStatus<'a>,
}

#[derive(Debug, Serialize)]
struct RelayStatus<'a> {
    configured: &'static str,
    in_force: &'static str,
    reason: &'a str,
    pipe_size: u32,
}

#[derive(Debug, Serialize)]
struct WorkerStatus {
    index: usize,
    connections: u64,
    pipes_idle: u64,
    pipes_busy: u64,
    pipe_memory_bytes: u64,
    pipe_held_bytes: u64,
    buffer_held_bytes: u64,
    accept_paused: bool,
}

#[derive(Debug, Serialize)]
struct UpstreamStatus<'a> {
    name: &'a str,
    balance: &'static str,
    /// Clients and requests that wait for a server to have room.
    queued: u32,
    servers: Vec<ServerStatus>,
    /// Those that a reload has removed, with their connections.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    servers_draining: Vec<DrainingServer<'a>>,
}

#[derive(Debug, Serialize)]
struct DrainingServer<'a> {
    name: &'a str,
    connections: u64,
}

impl<'a> Status<'a> {
    /// The present state, in which `snapshot` is in force.
    pub(super) fn of(state: &'a State, snapshot: &'a Snapshot) -> Status<'a> {
        let readiness = state.readiness();
        Status {
            version: super::VERSION,
            pid: std::process::id(),
            uptime_seconds: state.started.elapsed().as_secs(),
            kernel: &state.machine.kernel,
            stage: state.life().phase.label(),
            ready: readiness.is_ok(),
            not_ready_because: readiness.err(),
            notes: &snapshot.plan.notes,
            config: ConfigStatus::of(state, snapshot),
            connections: Connections {
                open: state.sum(|report| &report.connections),
                retired: state.sum(|report| &report.connections_retired),
                max: snapshot.plan.connections_max,
            },
            pipes: Pipes {
                idle: state.sum(|report| &report.pipes_idle),
                busy: state.sum(|report| &report.pipes_busy),
                held_bytes: state.sum(|report| &report.pipe_held_bytes),
                memory_bytes: state.sum(|report| &report.pipe_memory_bytes),
            },
            buffers: Buffers { held_bytes: state.sum(|report| &report.buffer_held_bytes) },
            listeners: listeners(state, snapshot),
            workers: state
                .workers
                .iter()
                .enumerate()
                .map(|(index, worker)| WorkerStatus::of(index, &worker.report))
                .collect(),
            upstreams: upstreams(snapshot),
            access_log_dropped: state.access_log_dropped(),
        }
    }
}

impl ConfigStatus {
    fn of(state: &State, snapshot: &Snapshot) -> ConfigStatus {
        let last = state.reloads().last.clone();
        ConfigStatus {
            files: state.config_files.iter().map(|it| it.display().to_string()).collect(),
            generation: snapshot.generation,
            generations_draining: state.generations_draining(Instant::now()),
            last_reload: last.map(|last| ReloadStatus {
                at: last.at.as_second(),
                ok: last.result.is_ok(),
                message: last.result.unwrap_or_else(|problem| problem),
            }),
        }
    }
}

fn listeners<'a>(state: &State, snapshot: &'a Snapshot) -> Vec<ListenerStatus<'a>> {
    let Snapshot { config, plan, .. } = snapshot;
    let status = |(place, listener): (usize, &'a Listener)| {
        let relay = &plan.listeners[place].relay;
        ListenerStatus {
            name: &listener.name,
            bind: bound(state, listener),
            protocol: listener.protocol.label(),
            upstream: listener.upstream().map(|id| &*config.upstreams[id.index()].name),
            relay: RelayStatus {
                configured: listener.relay.mode.label(),
                in_force: relay.mode.label(),
                reason: &relay.reason,
                pipe_size: relay.pipe_size,
            },
        }
    };
    config.active_listeners().map(status).collect()
}

fn bound(state: &State, listener: &Listener) -> Vec<String> {
    let addresses = state.addresses();
    let bound = addresses.iter().find(|(name, _)| *name == listener.name);
    bound.map_or_else(Vec::new, |(_, addresses)| addresses.clone())
}

impl WorkerStatus {
    fn of(index: usize, report: &WorkerReport) -> WorkerStatus {
        let read = WorkerReport::read;
        WorkerStatus {
            index,
            connections: read(&report.connections),
            pipes_idle: read(&report.pipes_idle),
            pipes_busy: read(&report.pipes_busy),
            pipe_memory_bytes: read(&report.pipe_memory_bytes),
            pipe_held_bytes: read(&report.pipe_held_bytes),
            buffer_held_bytes: read(&report.buffer_held_bytes),
            accept_paused: read(&report.accept_paused) != 0,
        }
    }
}

fn upstreams(snapshot: &Snapshot) -> Vec<UpstreamStatus<'_>> {
    let now = Instant::now();
    let active = snapshot.config.active_upstreams();
    let status = active.map(|(place, upstream)| {
        let roster = snapshot.roster.upstream(UpstreamId(u32::try_from(place).unwrap_or(u32::MAX)));
        let servers = roster.servers();
        let drains =
            |server: &Server| server.standing.is_retired() && server.state.connections() > 0;
        let draining = servers.iter().filter(|server| drains(server));
        UpstreamStatus {
            name: &upstream.name,
            balance: upstream.balance(),
            queued: roster.state.waiting.count(),
            servers: standing::servers(upstream, roster, now),
            servers_draining: draining
                .map(|server| DrainingServer {
                    name: &server.settings.name,
                    connections: server.state.connections(),
                })
                .collect(),
        }
    });
    status.collect()
}

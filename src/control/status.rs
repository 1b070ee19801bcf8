//! The JSON document of `/status`, for people and scripts that ask what the proxy does right now.

use std::time::Instant;

use serde::Serialize;

use super::standing::{self, ServerStatus};
use super::state::State;
use crate::config::Listener;
use crate::snapshot::WorkerReport;

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
    connections: Connections,
    pipes: Pipes,
    buffers: Buffers,
    listeners: Vec<ListenerStatus<'a>>,
    workers: Vec<WorkerStatus>,
    upstreams: Vec<UpstreamStatus<'a>>,
    access_log_dropped: u64,
}

#[derive(Debug, Serialize)]
struct Connections {
    open: u64,
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
    bind: &'a [String],
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
}

impl Status<'_> {
    /// The present state.
    pub(super) fn of(state: &State) -> Status<'_> {
        let readiness = state.readiness();
        Status {
            version: super::VERSION,
            pid: std::process::id(),
            uptime_seconds: state.started.elapsed().as_secs(),
            kernel: &state.machine.kernel,
            stage: state.life().phase.label(),
            ready: readiness.is_ok(),
            not_ready_because: readiness.err(),
            notes: &state.plan.notes,
            connections: Connections {
                open: state.sum(|report| &report.connections),
                max: state.plan.connections_max,
            },
            pipes: Pipes {
                idle: state.sum(|report| &report.pipes_idle),
                busy: state.sum(|report| &report.pipes_busy),
                held_bytes: state.sum(|report| &report.pipe_held_bytes),
                memory_bytes: state.sum(|report| &report.pipe_memory_bytes),
            },
            buffers: Buffers { held_bytes: state.sum(|report| &report.buffer_held_bytes) },
            listeners: listeners(state),
            workers: state
                .workers
                .iter()
                .enumerate()
                .map(|(index, worker)| WorkerStatus::of(index, &worker.report))
                .collect(),
            upstreams: upstreams(state),
            access_log_dropped: state.access_log.dropped(),
        }
    }
}

fn listeners(state: &State) -> Vec<ListenerStatus<'_>> {
    let listeners = state.config.listeners.iter().zip(&state.plan.listeners);
    listeners
        .map(|(listener, plan)| ListenerStatus {
            name: &listener.name,
            bind: bound(state, listener),
            protocol: listener.protocol.label(),
            upstream: listener.upstream().map(|id| &*state.config.upstreams[id.index()].name),
            relay: RelayStatus {
                configured: listener.relay.mode.label(),
                in_force: plan.relay.mode.label(),
                reason: &plan.relay.reason,
                pipe_size: plan.relay.pipe_size,
            },
        })
        .collect()
}

fn bound<'a>(state: &'a State, listener: &Listener) -> &'a [String] {
    let bound = state.bound.iter().find(|(name, _)| *name == listener.name);
    bound.map_or(&[], |(_, addresses)| addresses)
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

fn upstreams(state: &State) -> Vec<UpstreamStatus<'_>> {
    let (now, snapshot) = (Instant::now(), state.snapshot.load());
    let upstreams = state.config.upstreams.iter().zip(snapshot.roster.upstreams());
    upstreams
        .map(|(upstream, roster)| UpstreamStatus {
            name: &upstream.name,
            balance: upstream.balance(),
            queued: roster.state.waiting.count(),
            servers: standing::servers(upstream, roster, now),
        })
        .collect()
}

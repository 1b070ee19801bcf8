//! What the process may use, decided once at the start from what the machine offers and what the
//! config asks for. Pure: the machine's side is an argument, probed in `sys/probe.rs`.

use std::num::NonZeroUsize;

use crate::config::units::show_size;
use crate::config::{Config, Listener, Relay, RelayMode, Upstream, Workers, limits};
use crate::error::FallbackReason;

/// What the machine offers, as probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The kernel's release, as `uname -r` prints it.
    pub kernel: String,
    /// Bytes in a page of memory; a pipe's slot holds at most one.
    pub page_size: u32,
    /// CPUs that the process may use, by affinity mask and cgroup quota.
    pub cpus: usize,
    /// Whether a splice from socket to pipe to socket worked, and if not, the system's words.
    pub splice: Result<(), String>,
    /// The largest pipe that this process gets, in bytes: `fs.pipe-max-size`, unless it may have
    /// more (`CAP_SYS_RESOURCE`).
    pub pipe_size_max: u32,
    /// `fs.pipe-user-pages-soft`: pages in pipes of one user before new pipes shrink to two
    /// slots; 0 for no limit.
    pub pipe_user_pages_soft: u64,
    /// Whether that limit on pages does not bind this process (`CAP_SYS_RESOURCE` or
    /// `CAP_SYS_ADMIN` in the initial user namespace).
    pub pipe_limits_waived: bool,
    /// `RLIMIT_NOFILE` after it was raised to its hard limit.
    pub descriptors_max: u64,
}

/// What the process will use: the answer of [`plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Worker threads.
    pub workers: usize,
    /// Client connections at once, all workers together.
    pub connections_max: usize,
    /// Capacity of the pipes of one worker, in bytes; its share of what all may have.
    pub pipe_memory_per_worker: u64,
    /// Bytes that one worker may hold in buffers before its reads shrink.
    pub buffer_memory_per_worker: u64,
    /// One for each listener of the config, in its order.
    pub listeners: Vec<ListenerPlan>,
    /// How many connections to each server of an upstream one worker keeps for later requests,
    /// one number for each upstream of the config, in its order: `pool.idle_max`, or less where
    /// descriptors are few; 0 for one that no HTTP listener uses.
    pub pool_idle_max: Vec<u32>,
    /// Sentences for the operator: each thing that the proxy decided otherwise than the config
    /// asked, and why. Empty on a machine that offers what the config asks for.
    pub notes: Vec<String>,
}

/// How the bytes of one listener will travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerPlan {
    /// Those of its connections, unless a route says otherwise.
    pub relay: RelayPlan,
    /// Those of the requests of each route of an HTTP listener, in the order of the config.
    /// `None` for a route that answers by itself.
    pub routes: Vec<Option<RelayPlan>>,
}

/// Which way bytes will take, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayPlan {
    /// The mode in force: that of the config, or `Copy` where splice cannot be had.
    pub mode: RelayMode,
    /// The capacity to ask of the kernel for each pipe, in bytes; already within its limits.
    pub pipe_size: u32,
    /// Why bytes are copied although the config asks for splice; `None` where they are not, or
    /// copying is what it asks for.
    pub fallback: Option<FallbackReason>,
    /// Why it is so, in a sentence.
    pub reason: String,
}

/// Descriptors for everything but connections and pipes: listeners, polls, logs, the admin
/// endpoint and its clients.
const DESCRIPTORS_RESERVED: u64 = 64;

/// A connection has two sockets, a pipe two ends.
const DESCRIPTORS_PER_PAIR: u64 = 2;

/// Pipes may take at most one descriptor in this many; connections need the others.
const PIPE_DESCRIPTORS_SHARE: u64 = 4;

/// The same for connections to servers that wait for a request.
const POOL_DESCRIPTORS_SHARE: u64 = 4;

/// What pipes may take of `fs.pipe-user-pages-soft`: three quarters, for other processes of the
/// same user have pipes too.
const SOFT_PAGES_SHARE: (u64, u64) = (3, 4);

/// Pipes that one worker's share must hold for splice to be worth it: fewer, and flows would
/// wait for each other.
const PIPES_PER_WORKER_MIN: u64 = 16;

/// The largest pipe, in bytes, for a lane that has not proved to carry bulk. It takes what such a
/// lane moves at a time, and a slow reader pins no more.
pub const PIPE_BYTES_UNPROVEN_MAX: u32 = 256 << 10;

/// Pipe sizes to fall back to, in bytes, the largest first.
const PIPE_SIZES: [u32; 3] = [1 << 20, 256 << 10, 64 << 10];

/// How many worker threads `config` asks for.
pub fn workers(config: &Config, machine: &Machine) -> usize {
    match config.process.workers {
        Workers::Auto => machine.cpus.max(1),
        Workers::Count(count) => count.get(),
    }
}

/// What the process will use of `machine` for `config`.
pub fn plan(config: &Config, machine: &Machine) -> Plan {
    let mut notes = Vec::new();
    let workers = workers(config, machine);
    let budget = PipeBudget::new(config, machine, workers);
    let listeners: Vec<ListenerPlan> =
        config.listeners.iter().map(|listener| plan_listener(listener, &budget, machine)).collect();
    for (place, listener) in config.active_listeners() {
        let plan = &listeners[place];
        note_deviations(listener, plan, &mut notes);
    }
    let relays = listeners.iter().flat_map(ListenerPlan::relays);
    let splicing = relays.filter(|relay| relay.mode != RelayMode::Copy);
    let sizes = splicing.map(|relay| relay.pipe_size.min(PIPE_BYTES_UNPROVEN_MAX));
    let pipes = match sizes.map(u64::from).min() {
        Some(size) => budget.pipes(size),
        None => Pipes { count: 0, memory: 0 },
    };
    if pipes.count > 0 {
        notes.extend(budget.note());
    }
    let pool_idle_max = plan_pools(config, machine, workers, &mut notes);
    let pooled: u64 = config.upstreams.iter().zip(&pool_idle_max).map(pooled).sum();
    let taken = (pipes.count.saturating_mul(DESCRIPTORS_PER_PAIR).saturating_add(pooled))
        .saturating_mul(workers as u64);
    let connections_max = plan_connections(config, machine, taken, &mut notes);
    Plan {
        workers,
        connections_max,
        pipe_memory_per_worker: pipes.memory,
        buffer_memory_per_worker: config.memory.buffer_memory_max / workers as u64,
        listeners,
        pool_idle_max,
        notes,
    }
}

/// What the pipes of one worker may take.
struct PipeBudget {
    /// Bytes of capacity.
    memory: u64,
    /// Number, by the limit on descriptors.
    count: u64,
    /// What the config asks for all workers, in bytes.
    configured: u64,
    /// What all workers get, in bytes, and what limits it.
    total: u64,
    limit: &'static str,
}

/// Pipes of one worker.
struct Pipes {
    count: u64,
    memory: u64,
}

impl PipeBudget {
    fn new(config: &Config, machine: &Machine, workers: usize) -> PipeBudget {
        let workers = workers as u64;
        let configured = config.memory.pipe_memory_max;
        let (part, whole) = SOFT_PAGES_SHARE;
        let soft = match machine.pipe_user_pages_soft {
            0 => u64::MAX,
            _ if machine.pipe_limits_waived => u64::MAX,
            pages => (pages / whole * part).saturating_mul(u64::from(machine.page_size)),
        };
        let limit = if soft < configured { "fs.pipe-user-pages-soft" } else { "relay.pipe_memory" };
        let total = configured.min(soft);
        let count =
            machine.descriptors_max / PIPE_DESCRIPTORS_SHARE / DESCRIPTORS_PER_PAIR / workers;
        PipeBudget { memory: total / workers, count, configured, total, limit }
    }

    /// The pipes of this size that one worker may have, and the capacity that it may give them.
    fn pipes(&self, size: u64) -> Pipes {
        let count = (self.memory / size).min(self.count);
        let memory = self.memory.min(self.count.saturating_mul(size));
        Pipes { count, memory }
    }

    /// What the operator asked for and does not get.
    fn note(&self) -> Option<String> {
        (self.total < self.configured).then(|| {
            format!(
                "all pipes together hold at most {} instead of relay.pipe_memory = {}: {} allows \
                 this user no more (three quarters are taken; CAP_SYS_RESOURCE waives it)",
                show_size(self.total),
                show_size(self.configured),
                self.limit
            )
        })
    }
}

impl ListenerPlan {
    /// The ways that bytes of this listener may take.
    fn relays(&self) -> impl Iterator<Item = &RelayPlan> {
        // Those of an HTTP listener are all of routes.
        let own = self.routes.is_empty().then_some(&self.relay);
        own.into_iter().chain(self.routes.iter().flatten())
    }
}

/// How the bytes of a listener and of its routes will travel.
fn plan_listener(listener: &Listener, budget: &PipeBudget, machine: &Machine) -> ListenerPlan {
    let plan = |relay: Relay| plan_relay(relay, budget, machine);
    let routes = listener.http().into_iter().flat_map(|http| &http.routes);
    ListenerPlan {
        relay: plan(listener.relay),
        routes: routes.map(|route| route.action.forward().map(|it| plan(it.relay))).collect(),
    }
}

/// Says what is not as the config asks; of a route only where its own words are concerned.
fn note_deviations(listener: &Listener, plan: &ListenerPlan, notes: &mut Vec<String>) {
    let deviates = |relay: Relay, plan: &RelayPlan| {
        plan.mode != relay.mode || plan.pipe_size != relay.pipe_size
    };
    if deviates(listener.relay, &plan.relay) {
        notes.push(format!("listener {}: {}", listener.name, plan.relay.reason));
    }
    let routes = listener.http().into_iter().flat_map(|http| &http.routes);
    for (index, (route, plan)) in routes.zip(&plan.routes).enumerate() {
        if let (Some(forward), Some(plan)) = (route.action.forward(), plan)
            && forward.relay != listener.relay
            && deviates(forward.relay, plan)
        {
            notes.push(format!("listener {}, routes[{index}]: {}", listener.name, plan.reason));
        }
    }
}

/// Which way bytes will take, and why.
fn plan_relay(relay: Relay, budget: &PipeBudget, machine: &Machine) -> RelayPlan {
    let wanted = relay.pipe_size;
    let copy = |fallback: Option<FallbackReason>, reason: String| RelayPlan {
        mode: RelayMode::Copy,
        pipe_size: wanted,
        fallback,
        reason,
    };
    let as_configured = match relay.mode {
        RelayMode::Copy => {
            return copy(None, "as configured: copied through a buffer".to_owned());
        }
        RelayMode::Splice => "spliced through pipes",
        RelayMode::Auto => "copied while messages are small, spliced in bulk through pipes",
    };
    if let Err(words) = &machine.splice {
        let reason = format!("copied, for splice does not work here: {words}");
        return copy(Some(FallbackReason::Unavailable), reason);
    }
    if budget.count < PIPES_PER_WORKER_MIN {
        let reason = format!(
            "copied, for RLIMIT_NOFILE = {} leaves a worker {} pipes and splice needs \
             {PIPES_PER_WORKER_MIN}; raise it",
            machine.descriptors_max, budget.count
        );
        return copy(Some(FallbackReason::Descriptors), reason);
    }
    let size_max = machine.pipe_size_max;
    let fits_memory = |size: u32| budget.memory / u64::from(size) >= PIPES_PER_WORKER_MIN;
    let sizes = std::iter::once(wanted).chain(PIPE_SIZES.into_iter().filter(|s| *s < wanted));
    let granted = sizes.clone().find(|size| *size <= size_max && fits_memory(*size));
    let why = |size: u32| {
        if size > size_max {
            format!("fs.pipe-max-size = {size_max} is smaller")
        } else {
            format!(
                "{} is too small for {PIPES_PER_WORKER_MIN} pipes a worker in its share of {}",
                budget.limit,
                show_size(budget.memory)
            )
        }
    };
    match granted {
        Some(size) if size == wanted => RelayPlan {
            mode: relay.mode,
            pipe_size: size,
            fallback: None,
            reason: format!("as configured: {as_configured} of {}", show_size(u64::from(size))),
        },
        Some(size) => RelayPlan {
            mode: relay.mode,
            pipe_size: size,
            fallback: None,
            reason: format!(
                "{as_configured} of {} instead of {}: {}",
                show_size(u64::from(size)),
                show_size(u64::from(wanted)),
                why(wanted)
            ),
        },
        None => {
            let why = why(sizes.last().unwrap_or(wanted));
            let reason = format!("copied, for no pipe is to be had: {why}");
            copy(Some(FallbackReason::PipeMemory), reason)
        }
    }
}

/// Connections that one worker may keep to the servers of an upstream.
fn pooled((upstream, idle_max): (&Upstream, &u32)) -> u64 {
    (upstream.servers.len() as u64).saturating_mul(u64::from(*idle_max))
}

/// How many connections to each server a worker keeps, by upstream.
fn plan_pools(
    config: &Config,
    machine: &Machine,
    workers: usize,
    notes: &mut Vec<String>,
) -> Vec<u32> {
    let wanted: Vec<u32> = config
        .upstreams
        .iter()
        .enumerate()
        .map(|(index, upstream)| match is_pooled(config, index) {
            true if !upstream.standing.is_retired() => upstream.pool.idle_max,
            _ => 0,
        })
        .collect();
    let total: u64 = config.upstreams.iter().zip(&wanted).map(pooled).sum();
    let allowed = machine.descriptors_max / POOL_DESCRIPTORS_SHARE / workers as u64;
    if total <= allowed {
        return wanted;
    }
    // Each gives up the same part. The products fit: a number of 32 bits by one of 64.
    let part = |idle_max: u32| u128::from(idle_max) * u128::from(allowed) / u128::from(total);
    let granted = wanted.iter().map(|it| u32::try_from(part(*it)).unwrap_or(*it));
    let granted: Vec<u32> = granted.collect();
    for ((upstream, wanted), granted) in config.upstreams.iter().zip(wanted).zip(&granted) {
        if *granted != wanted {
            notes.push(format!(
                "upstream {}: each worker keeps {granted} idle connections to each server instead \
                 of pool.idle_max = {wanted}: RLIMIT_NOFILE = {} leaves no descriptors for more",
                upstream.name, machine.descriptors_max
            ));
        }
    }
    granted
}

/// Whether requests go to this upstream, so that connections to it can be used again.
fn is_pooled(config: &Config, upstream: usize) -> bool {
    let active = config.active_listeners().map(|(_, listener)| listener);
    let routes = active.filter_map(Listener::http).flat_map(|http| &http.routes);
    let mut forwards = routes.filter_map(|route| route.action.forward());
    forwards.any(|forward| forward.upstream.index() == upstream)
}

/// Client connections at once, by the descriptors that pipes and pools leave.
fn plan_connections(
    config: &Config,
    machine: &Machine,
    taken: u64,
    notes: &mut Vec<String>,
) -> usize {
    let remaining =
        machine.descriptors_max.saturating_sub(DESCRIPTORS_RESERVED).saturating_sub(taken);
    let fitting = (remaining / DESCRIPTORS_PER_PAIR).clamp(1, *limits::CONNECTIONS.end());
    let fitting = usize::try_from(fitting).unwrap_or(usize::MAX);
    match config.process.connections_max.map(NonZeroUsize::get) {
        None => fitting,
        Some(configured) if configured <= fitting => configured,
        Some(configured) => {
            notes.push(format!(
                "at most {fitting} connections at once instead of process.connections_max = \
                 {configured}: RLIMIT_NOFILE = {} leaves no descriptors for more",
                machine.descriptors_max
            ));
            fitting
        }
    }
}

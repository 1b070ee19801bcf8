//! What the process may use, decided once at the start from what the machine offers and what the
//! config asks for. Pure: the machine's side is an argument, probed in `sys/probe.rs`.

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
    /// `fs.pipe-max-size` in bytes: the largest pipe for a process without `CAP_SYS_RESOURCE`.
    pub pipe_size_max: u32,
    /// `fs.pipe-user-pages-soft`: pages in pipes of one user before new pipes shrink to two
    /// slots; 0 for no limit.
    pub pipe_user_pages_soft: u64,
    /// Whether the two limits above do not bind this process (`CAP_SYS_RESOURCE` or
    /// `CAP_SYS_ADMIN`).
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
    /// Sentences for the operator: each thing that the proxy decided otherwise than the config
    /// asked, and why. Empty on a machine that offers what the config asks for.
    pub notes: Vec<String>,
}

/// How the bytes of one listener will travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerPlan {
    /// The mode in force: that of the config, or `Copy` where splice cannot be had.
    pub mode: crate::config::RelayMode,
    /// The capacity to ask of the kernel for each pipe, in bytes; already within its limits.
    pub pipe_size: u32,
    /// Why it is so, in a sentence.
    pub reason: String,
}

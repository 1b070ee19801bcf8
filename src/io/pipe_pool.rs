//! The pipes of one worker.
//!
//! Opening, sizing and closing a pipe costs about 8 us, so pipes are kept; a flow has one only
//! while bytes are in it, so a few serve many connections. What is in the pool is empty: a pipe
//! that still holds bytes when its flow ends is closed, never handed to another flow.

use std::io;

use crate::error::{FallbackReason, is_exhaustion};
use crate::io::kernel::{Kernel, PipeState};

/// A pipe of less than this costs more than it saves: the kernel gives two slots, or one, to a
/// user who has spent `fs.pipe-user-pages-soft`.
pub const PIPE_BYTES_MIN: u32 = 64 * 1024;

/// What the pool holds and has given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PipeUse {
    /// Pipes in the pool.
    pub idle: u64,
    /// Pipes with a flow.
    pub busy: u64,
    /// Capacity of both together, in bytes.
    pub memory_bytes: u64,
}

/// Pipes of one worker, by capacity.
#[derive(Debug)]
pub struct PipePool<K: Kernel> {
    /// Idle pipes; most recently used last, so that the same few stay warm.
    classes: Vec<Class<K::Pipe>>,
    memory_max: u64,
    usage: PipeUse,
    /// The kernel gave none, or none worth having, since the last [`PipePool::trim`]: it would
    /// cost several system calls for each read to be told so again.
    refused: Option<FallbackReason>,
}

#[derive(Debug)]
struct Class<P> {
    /// The capacity that was asked for.
    size: u32,
    idle: Vec<P>,
    /// The fewest that were idle since the last [`PipePool::trim`]: nobody needed those.
    idle_min: usize,
}

impl<K: Kernel> PipePool<K> {
    /// An empty pool whose pipes may have `memory_max` bytes of capacity together.
    pub fn new(memory_max: u64) -> PipePool<K> {
        PipePool { classes: Vec::new(), memory_max, usage: PipeUse::default(), refused: None }
    }

    /// Another bound, in bytes. Pipes beyond it that have a flow go on, and are closed after it.
    pub fn limit_memory(&mut self, memory_max: u64) {
        self.memory_max = memory_max;
        if self.usage.memory_bytes > memory_max {
            self.clear();
        }
    }

    fn class(&mut self, size: u32) -> &mut Class<K::Pipe> {
        // One or two sizes are configured; a search is cheaper than a map.
        let index = match self.classes.iter().position(|class| class.size == size) {
            Some(index) => index,
            None => {
                self.classes.push(Class { size, idle: Vec::new(), idle_min: 0 });
                self.classes.len() - 1
            }
        };
        &mut self.classes[index]
    }

    /// An empty pipe of `size` bytes, from the pool or a new one.
    ///
    /// # Errors
    /// Why none can be had.
    pub fn take(&mut self, kernel: &mut K, size: u32) -> Result<K::Pipe, FallbackReason> {
        let class = self.class(size);
        if let Some(pipe) = class.idle.pop() {
            class.idle_min = class.idle_min.min(class.idle.len());
            self.usage.idle -= 1;
            self.usage.busy += 1;
            return Ok(pipe);
        }
        if let Some(reason) = self.refused {
            return Err(reason);
        }
        if self.usage.memory_bytes + u64::from(size) > self.memory_max {
            // Idle pipes of another size must not stand in the way.
            self.clear();
            if self.usage.memory_bytes + u64::from(size) > self.memory_max {
                return Err(FallbackReason::PipeMemory);
            }
        }
        let pipe = match kernel.open_pipe(size) {
            Ok(pipe) if pipe.capacity() >= PIPE_BYTES_MIN => pipe,
            Ok(_too_small) => return Err(self.refuse(FallbackReason::PipeTooSmall)),
            Err(error) => return Err(self.refuse(reason_for(&error))),
        };
        self.usage.busy += 1;
        self.usage.memory_bytes += u64::from(pipe.capacity());
        Ok(pipe)
    }

    fn refuse(&mut self, reason: FallbackReason) -> FallbackReason {
        self.refused = Some(reason);
        reason
    }

    /// Takes back a pipe that was taken as one of `size` bytes. Only an empty one is kept, and none beyond the bound.
    pub fn put_back(&mut self, size: u32, pipe: K::Pipe) {
        self.usage.busy -= 1;
        // A reload may have lowered the bound.
        if pipe.held() == 0 && self.usage.memory_bytes <= self.memory_max {
            self.usage.idle += 1;
            self.class(size).idle.push(pipe);
        } else {
            self.usage.memory_bytes -= u64::from(pipe.capacity());
        }
    }

    /// Whether [`PipePool::trim`] would change anything, sooner or later.
    pub fn needs_trim(&self) -> bool {
        self.usage.idle > 0 || self.refused.is_some()
    }

    /// Closes the pipes that nobody needed since the last call, and asks the kernel again where it
    /// had refused. Called a few times a minute, it gives memory and descriptors back after a
    /// burst and costs a steady load nothing.
    pub fn trim(&mut self) {
        self.refused = None;
        self.close_unneeded();
    }

    fn close_unneeded(&mut self) {
        for class in &mut self.classes {
            for pipe in class.idle.drain(..class.idle_min) {
                self.usage.idle -= 1;
                self.usage.memory_bytes -= u64::from(pipe.capacity());
            }
            class.idle_min = class.idle.len();
        }
    }

    /// Closes all idle pipes: their descriptors or their memory are needed elsewhere.
    pub fn clear(&mut self) {
        for class in &mut self.classes {
            class.idle_min = class.idle.len();
        }
        self.close_unneeded();
    }

    /// What the pool holds and has given away.
    pub fn usage(&self) -> PipeUse {
        self.usage
    }
}

fn reason_for(error: &io::Error) -> FallbackReason {
    match error.raw_os_error() {
        Some(errno) if is_exhaustion(errno) => FallbackReason::Descriptors,
        // pipe2 has no other error that a correct call meets; a seccomp filter may refuse it.
        _ => FallbackReason::Unavailable,
    }
}

//! What was measured, and on what.

use crate::measure::way::{Case, Way};
use crate::statistics::Summary;

/// What is read off one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// GiB for each second of the clock.
    pub gib_per_second: f64,
    /// CPU seconds of the thread that moves the bytes, for each GiB.
    pub cpu_seconds_per_gib: f64,
    /// The share of the time in which that thread was on a CPU. Where it is well below 1, it waited
    /// for the load or the disk, and GiB for each second are theirs.
    pub cpu_share: f64,
    /// System calls of that thread, for each GiB.
    pub system_calls_per_gib: f64,
    /// Context switches of that thread, voluntary or not, for each GiB.
    pub context_switches_per_gib: f64,
}

/// One of the figures: its name in JSON, and where it stands.
pub type Figure = (&'static str, fn(&Figures) -> f64);

/// GiB for each second.
pub const THROUGHPUT: Figure = ("gib_per_second", |it| it.gib_per_second);
/// CPU seconds for each GiB.
pub const CPU: Figure = ("cpu_seconds_per_gib", |it| it.cpu_seconds_per_gib);
/// The share of the time on a CPU.
pub const CPU_SHARE: Figure = ("cpu_share", |it| it.cpu_share);
/// System calls for each GiB.
pub const SYSTEM_CALLS: Figure = ("system_calls_per_gib", |it| it.system_calls_per_gib);
/// Context switches for each GiB.
pub const CONTEXT_SWITCHES: Figure = ("context_switches_per_gib", |it| it.context_switches_per_gib);
/// All of them.
pub const FIGURES: [Figure; 5] = [THROUGHPUT, CPU, CPU_SHARE, SYSTEM_CALLS, CONTEXT_SWITCHES];

/// What came of a way at a size.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The figures of each round.
    Measured(Vec<Figures>),
    /// Why there are none.
    Missing(String),
    /// There was no time for it.
    NoTime,
}

/// A way at a size.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// From where to where.
    pub case: Case,
    /// How.
    pub way: &'static Way,
    /// Bytes of each transfer.
    pub bytes: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// What a reader of the figures has to know.
    pub remark: Option<String>,
    /// The kernel gave less than the name says, such as a smaller pipe: the figures do not stand
    /// for the value of the configuration that has that name.
    pub falls_short: bool,
}

impl Row {
    /// The rounds that were measured.
    pub fn rounds(&self) -> &[Figures] {
        match &self.outcome {
            Outcome::Measured(rounds) => rounds,
            Outcome::Missing(_) | Outcome::NoTime => &[],
        }
    }

    /// Why there are no figures, if that is so.
    pub fn missing(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Measured(_) => None,
            Outcome::Missing(because) => Some(because),
            Outcome::NoTime => Some("no time was left for it; --time gives more"),
        }
    }

    /// The median and the range of a figure; `None` where nothing was measured.
    pub fn summary(&self, (_, value): Figure) -> Option<Summary> {
        Summary::of(&self.rounds().iter().map(value).collect::<Vec<f64>>())
    }
}

/// Who counted the system calls.
#[derive(Debug, Clone, PartialEq)]
pub enum Counted {
    /// The kernel, by its tracepoint `raw_syscalls:sys_enter`.
    ByTracepoint {
        /// By how many the program's own count was off, sample by sample, as a share of all. A
        /// call that is begun again after the program was stopped is counted once more.
        disagreement: f64,
    },
    /// The program, where it makes each call.
    ByProgram {
        /// Why not the kernel.
        because: String,
    },
}

/// How files left the page cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// `posix_fadvise(POSIX_FADV_DONTNEED)`.
    ByAdvice,
    /// A number written to `/proc/sys/vm/drop_caches`.
    ByControl,
    /// They could not be made to, for this reason.
    Not(String),
}

/// What it was measured on.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// CPUs that the process may use.
    pub cpus: usize,
    /// Whether the thread under measurement had one for itself.
    pub keeps_apart: bool,
    /// Whether sender and receiver had one each, too.
    pub ends_apart: bool,
    /// Where the scratch file was.
    pub directory: String,
    /// Bytes of the scratch file.
    pub scratch_bytes: u64,
    /// How it left the page cache.
    pub dropped: Dropped,
    /// Who counted the system calls.
    pub counted: Counted,
    /// Rounds that were measured. A row may have fewer: each says how many.
    pub rounds: usize,
    /// How long each sample lasted, in milliseconds: but for one transfer at least.
    pub window_milliseconds: u64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// On what.
    pub setting: Setting,
    /// By case, then by size, then in the order of the ways.
    pub rows: Vec<Row>,
}

impl Results {
    /// The rows of a case.
    pub fn of(&self, case: Case) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.case == case)
    }

    /// The sizes of a case, ascending.
    pub fn sizes(&self, case: Case) -> Vec<u64> {
        let mut sizes: Vec<u64> = self.of(case).map(|row| row.bytes).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// The row of a way at a size.
    pub fn row(&self, case: Case, key: &str, bytes: u64) -> Option<&Row> {
        self.of(case).find(|row| row.way.key == key && row.bytes == bytes)
    }

    /// The median and range of the CPU time that a way takes at a size.
    pub fn cpu(&self, case: Case, key: &str, bytes: u64) -> Option<Summary> {
        self.row(case, key, bytes)?.summary(CPU)
    }
}

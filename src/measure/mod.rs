//! `spliceway measure`: each way for bytes to travel, measured on the machine where the proxy will
//! run, and what to choose.
//!
//! ```text
//!   way ─▶ schedule ─▶ sample ─▶ technique          what is compared, and the loops that do it
//!             │           ├────▶ load, scratch      the far ends and the file, gone with the process
//!             │           ├────▶ page_cache         what is in memory, and what is not
//!             │           └────▶ meter              clock, CPU time, system calls, switches
//!             ▼
//!          results ─▶ recommendation ─▶ table, json, drawing ─▶ output
//! ```
//!
//! The thread under measurement is the one that calls [`run`]. All traffic is TCP over loopback,
//! whose far ends are threads that throw away what they get without looking at it.

pub mod drawing;
pub mod interrupt;
pub mod json;
pub mod load;
pub mod meter;
pub mod output;
pub mod page_cache;
mod progress;
pub mod recommendation;
pub mod results;
pub mod sample;
pub mod schedule;
pub mod scratch;
pub mod table;
pub mod technique;
pub mod way;

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::sys::affinity::{Seats, allowed_cpus, members, pin_this_thread};
use crate::sys::probe;
use meter::Meter;
use progress::Bar;
use recommendation::{Recommendation, recommend};
use results::{Results, Setting};
use sample::Bench;
use schedule::Effort;
use scratch::{Scratch, ScratchError};

/// Sizes of transfers, in bytes.
pub const SIZES: RangeInclusive<u64> = 1 << 10..=1 << 30;

/// What is measured unless told otherwise: under a minute.
pub const SIZES_SHORT: [u64; 6] = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20, 64 << 20];

/// All of it: from 1 KiB to 1 GiB, four times as much with each step.
pub const SIZES_FULL: [u64; 11] = [
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
    256 << 20,
    1 << 30,
];

/// The scratch file is no shorter, so that small files on the disk come from many places of it.
const SCRATCH_BYTES_MIN: u64 = 16 << 20;

/// Of the time that there is, what windows take; the rest goes into connections, threads, and
/// transfers that take longer than a window.
const WINDOW_SHARE: f64 = 0.6;

/// A window is no shorter and no longer.
const WINDOW: RangeInclusive<Duration> = Duration::from_millis(2)..=Duration::from_millis(250);

/// Where the scratch file goes unless told otherwise. `/tmp` is often a tmpfs, which has no disk.
const SCRATCH_DIRECTORY: &str = "/var/tmp";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of transfers, ascending, within [`SIZES`].
    pub sizes: Vec<u64>,
    /// Rounds at most, and time.
    pub effort: Effort,
    /// Where the scratch file goes; `None` for `$TMPDIR`, `/var/tmp` or `/tmp`.
    pub scratch: Option<PathBuf>,
    /// Whether the page cache of the whole machine may be dropped.
    pub may_drop_caches: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// What was measured.
    pub results: Results,
    /// What follows.
    pub recommendation: Recommendation,
}

/// Why nothing could be measured.
#[derive(Debug)]
pub enum MeasureError {
    /// The scratch file cannot be written.
    Scratch(ScratchError),
    /// The system refuses what every measurement needs.
    System(io::Error),
}

impl fmt::Display for MeasureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MeasureError::Scratch(error) => error.fmt(f),
            MeasureError::System(error) => write!(f, "nothing can be measured: {error}"),
        }
    }
}

impl std::error::Error for MeasureError {}

impl From<io::Error> for MeasureError {
    fn from(error: io::Error) -> MeasureError {
        MeasureError::System(error)
    }
}

/// Measures, with a progress bar on standard error where that is a terminal. Ctrl-C ends the
/// process, and leaves nothing behind.
///
/// # Errors
/// See [`MeasureError`]. What is missing for a single way is a row that says so.
pub fn run(options: &Options) -> Result<Report, MeasureError> {
    let deadline = Instant::now() + options.effort.time;
    // Before any thread starts, and before there is a file.
    let ending = interrupt::hold()?;
    let bar = ProgressBar::no_length();
    let shown = bar.clone();
    interrupt::watch(ending, move || shown.finish_and_clear())?;

    let largest = options.sizes.last().copied().unwrap_or(SCRATCH_BYTES_MIN);
    let directory = options.scratch.clone().unwrap_or_else(default_directory);
    let mut progress = Bar::new(bar, options.effort.time);
    progress.say("writing the scratch file");
    let bytes = largest.max(SCRATCH_BYTES_MIN);
    let scratch = Scratch::create(&directory, bytes, &options.sizes, options.may_drop_caches)
        .map_err(MeasureError::Scratch)?;

    let allowed = allowed_cpus();
    let seats = Seats::choose(&allowed);
    let is_pinned = pin_this_thread(&seats.measured).is_ok();
    let mut rows = schedule::plan(&options.sizes);
    let window = window(options.effort, rows.len());
    let bench = Bench { scratch, meter: Meter::new(), seats, window };
    let rounds = schedule::run(&bench, options.effort.rounds, deadline, &mut rows, &mut progress);
    progress.end();
    let setting = Setting {
        kernel: nix::sys::utsname::uname()
            .map_or_else(|_| "unknown".into(), |name| name.release().to_string_lossy().into()),
        cpu: probe::cpu_model(),
        cpus: members(&allowed).len(),
        keeps_apart: is_pinned && seats.keeps_apart,
        ends_apart: is_pinned && seats.ends_apart,
        directory: bench.scratch.directory().display().to_string(),
        scratch_bytes: bench.scratch.bytes(),
        dropped: bench.scratch.dropped(),
        counted: bench.meter.counted(),
        rounds,
        window_milliseconds: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
    };
    let results = Results { setting, rows };
    let recommendation = recommend(&results);
    Ok(Report { results, recommendation })
}

/// How long a window may be open for all samples to fit into the time.
fn window(effort: Effort, rows: usize) -> Duration {
    if let Some(window) = effort.window {
        return window;
    }
    let samples = (effort.rounds * rows).max(1);
    let window = effort.time.mul_f64(WINDOW_SHARE / samples as f64);
    window.clamp(*WINDOW.start(), *WINDOW.end())
}

fn default_directory() -> PathBuf {
    match std::env::var_os("TMPDIR").filter(|it| !it.is_empty()) {
        Some(directory) => directory.into(),
        None if Path::new(SCRATCH_DIRECTORY).is_dir() => SCRATCH_DIRECTORY.into(),
        None => std::env::temp_dir(),
    }
}

//! One sample: a way at a size, for as long as a window is open.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::measure::load::Peer;
use crate::measure::meter::Meter;
use crate::measure::results::{Dropped, Figures};
use crate::measure::scratch::Scratch;
use crate::measure::technique::{self, Ends, Source, Technique};
use crate::measure::way::{Case, Method};
use crate::sys::affinity::Cpus;
use crate::sys::calls::Calls;

/// What is moved before the window opens, so that TCP's windows have grown; less where it takes
/// longer than the window.
const WARM_UP_BYTES: u64 = 4 << 20;

/// Files that are on the disk are sent from places so far apart that reading one does not read
/// ahead into the next.
const UNCACHED_STRIDE: u64 = 256 << 10;

/// The clock is read once for so many small transfers. More would let a slow way take too long.
const UNWATCHED: u64 = 8;

/// Transfers of this size and more are each watched.
const WATCHED_BYTES: u64 = 64 << 10;

/// What all samples have in common.
pub struct Bench {
    /// The file that is sent.
    pub scratch: Scratch,
    /// Measures the thread that takes the samples.
    pub meter: Meter,
    /// Who runs where.
    pub cpus: Cpus,
    /// How long a window is open; one transfer is always measured whole.
    pub window: Duration,
}

/// What is measured: how, from where to where, and how much in each transfer.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// From where to where.
    pub case: Case,
    /// How.
    pub method: Method,
    /// Bytes of each transfer.
    pub bytes: u64,
}

/// What came of it.
pub struct Sample {
    /// What it cost.
    pub figures: Figures,
    /// What a reader has to know.
    pub remark: Option<String>,
}

impl Bench {
    /// Takes one sample, with connections and threads of its own.
    ///
    /// # Errors
    /// Why there is none, in words for people.
    pub fn take(&self, load: Load) -> Result<Sample, String> {
        let peers = |error: io::Error| format!("no connection over loopback: {error}");
        let receiver = Peer::receiver(self.cpus.ends).map_err(peers)?;
        let sample = match load.case {
            Case::FileCached | Case::FileUncached => {
                let source = Source::File(self.scratch.descriptor());
                self.take_between(Ends { source, sink: receiver.socket.as_fd() }, load)
            }
            Case::Sockets => {
                let sender = Peer::sender(self.cpus.ends, load.bytes).map_err(peers)?;
                let source = Source::Socket(sender.socket.as_fd());
                let ends = Ends { source, sink: receiver.socket.as_fd() };
                let sample = self.take_between(ends, load);
                sender.stop();
                sample
            }
        };
        receiver.stop();
        sample
    }

    fn take_between(&self, ends: Ends<'_>, load: Load) -> Result<Sample, String> {
        let mut technique = technique::open(load.method, ends)?;
        let figures = self.figures(technique.as_mut(), load);
        let figures = figures.map_err(|error| technique::reason(load.method, &error))?;
        Ok(Sample { figures, remark: technique.remark() })
    }

    fn figures(&self, technique: &mut dyn Technique, load: Load) -> io::Result<Figures> {
        if load.case == Case::FileCached {
            self.scratch.warm()?;
        }
        let warm_up = load.bytes.min(WARM_UP_BYTES);
        let began = Instant::now();
        for _ in 0..WARM_UP_BYTES / warm_up {
            technique.transfer(0, warm_up, &mut Calls::default())?;
            if began.elapsed() >= self.window {
                break;
            }
        }
        let stride = match load.case {
            Case::FileUncached => {
                if let Dropped::Not(because) = self.scratch.drop_cache()? {
                    return Err(io::Error::other(format!("the page cache keeps it: {because}")));
                }
                load.bytes.max(UNCACHED_STRIDE)
            }
            Case::FileCached | Case::Sockets => load.bytes,
        };
        let places = (self.scratch.bytes() / stride).max(1);
        self.meter.measure(|calls| match load.case {
            Case::FileUncached => {
                // Each place once: a second visit would find it in the page cache.
                self.repeat(technique, load.bytes, (0..places).map(|it| it * stride), 1, calls)
            }
            Case::FileCached | Case::Sockets => {
                let offsets = (0..places).map(|it| it * stride).cycle();
                let unwatched = if load.bytes < WATCHED_BYTES { UNWATCHED } else { 1 };
                self.repeat(technique, load.bytes, offsets, unwatched, calls)
            }
        })
    }

    /// Transfers from one offset after the other until the window closes; the clock is read after
    /// `unwatched` of them.
    fn repeat(
        &self,
        technique: &mut dyn Technique,
        bytes: u64,
        offsets: impl Iterator<Item = u64>,
        unwatched: u64,
        calls: &mut Calls,
    ) -> io::Result<u64> {
        let closes = Instant::now() + self.window;
        let mut transfers = 0;
        for offset in offsets {
            technique.transfer(offset, bytes, calls)?;
            transfers += 1;
            if transfers % unwatched == 0 && Instant::now() >= closes {
                break;
            }
        }
        Ok(transfers * bytes)
    }
}

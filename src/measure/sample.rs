//! One sample: a way at a size, for as long as a window is open.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::measure::load::{self, Peer};
use crate::measure::meter::{Cost, Meter, Payer};
use crate::measure::results::Figures;
use crate::measure::scratch::Scratch;
use crate::measure::technique::{self, Ends, Remark, Source, Technique, open_file};
use crate::measure::way::{Case, Method};
use crate::sys::affinity::Seats;
use crate::sys::calls::Calls;

/// What is moved before the window opens, so that TCP's windows have grown; less where it takes
/// longer than the window.
const WARM_UP_BYTES: u64 = 4 << 20;

/// The clock is read once for so many small transfers. More would let a slow way take too long.
const UNWATCHED: u64 = 8;

/// Transfers of this size and more are each watched.
const WATCHED_BYTES: u64 = 64 << 10;

/// What all samples have in common.
pub struct Bench {
    /// The files that are sent.
    pub scratch: Scratch,
    /// Measures the thread that takes the samples.
    pub meter: Meter,
    /// Who runs where.
    pub seats: Seats,
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
#[derive(Debug)]
pub struct Sample {
    /// What it cost.
    pub figures: Figures,
    /// What a reader has to know.
    pub remark: Option<Remark>,
}

impl Load {
    fn payer(self) -> Payer {
        if self.method.has_ring() { Payer::ThreadAndRingWorkers } else { Payer::Thread }
    }

    fn reason(self, error: &io::Error) -> String {
        technique::reason(self.method, error)
    }
}

impl Bench {
    /// Takes one sample, with connections and threads of its own.
    ///
    /// # Errors
    /// Why there is none, in words for people.
    pub fn take(&self, load: Load) -> Result<Sample, String> {
        let far = |error: io::Error| format!("no connection over loopback: {error}");
        match load.case {
            Case::FileCached | Case::FileUncached => {
                if let Some(because) = self.scratch.refuses(load.method) {
                    return Err(because.to_owned());
                }
                let receiver = Peer::receiver(self.seats.receiver).map_err(far)?;
                let sample = self.take_from_file(receiver.socket.as_fd(), load);
                receiver.stop();
                sample
            }
            Case::Sockets | Case::PacedSockets => {
                let ends = if load.case == Case::Sockets {
                    load::Ends::messages(&self.seats, load.bytes)
                } else {
                    load::Ends::paced(&self.seats)
                };
                let ends = ends.map_err(far)?;
                let source = Source::Socket(ends.source.socket.as_fd());
                let sample = self.take_between(source, ends.sink.socket.as_fd(), load);
                ends.stop();
                sample
            }
        }
    }

    fn take_between(
        &self,
        source: Source<'_>,
        sink: BorrowedFd<'_>,
        load: Load,
    ) -> Result<Sample, String> {
        let mut technique = technique::open(load.method, Ends { source, sink })?;
        let technique = technique.as_mut();
        let measured = self.warm_up(technique, source, load).and_then(|()| {
            let sources = std::iter::repeat(source);
            let work = |calls: &mut Calls| self.repeat(technique, sources, load.bytes, calls);
            self.meter.measure(load.payer(), work)
        });
        sample(measured.map_err(|error| load.reason(&error))?, technique)
    }

    fn take_from_file(&self, sink: BorrowedFd<'_>, load: Load) -> Result<Sample, String> {
        let reason = |error: io::Error| load.reason(&error);
        let whole = self.scratch.whole();
        let file = open_file(load.method, whole.file.as_fd()).map_err(reason)?;
        let source = Source::File(file.as_fd(), 0);
        let mut technique = technique::open(load.method, Ends { source, sink })?;
        let technique = technique.as_mut();
        let cost = if load.case == Case::FileCached {
            whole.warm().map_err(reason)??;
            self.warm_up(technique, source, load).map_err(reason)?;
            let places = (whole.bytes / load.bytes).max(1);
            let offsets = (0..places).map(|place| place * load.bytes).cycle();
            let sources = offsets.map(|offset| Source::File(file.as_fd(), offset));
            let work = |calls: &mut Calls| self.repeat(technique, sources, load.bytes, calls);
            let cost = self.meter.measure(load.payer(), work).map_err(reason)?;
            // What has left it meanwhile was read from the disk.
            whole.is_cached().map_err(reason)??;
            cost
        } else {
            self.warm_up(technique, source, load).map_err(reason)?;
            self.each_from_disk(technique, load)?
        };
        sample(cost, technique)
    }

    /// Every place once: a second visit would find it in the page cache. Places that the kernel has
    /// read ahead meanwhile are left out.
    fn each_from_disk(&self, technique: &mut dyn Technique, load: Load) -> Result<Cost, String> {
        let mut cost = Cost::default();
        for place in self.scratch.uncached(load.bytes)? {
            let measured = place.is_absent().and_then(|is_absent| {
                if !is_absent {
                    return Ok(Cost::default());
                }
                let file = open_file(load.method, place.file.as_fd())?;
                self.meter.measure(load.payer(), |calls| {
                    let source = Source::File(file.as_fd(), place.offset);
                    technique.transfer(source, load.bytes, calls)?;
                    Ok(load.bytes)
                })
            });
            cost += measured.map_err(|error| load.reason(&error))?;
            if cost.elapsed() >= self.window {
                break;
            }
        }
        Ok(cost)
    }

    fn warm_up(
        &self,
        technique: &mut dyn Technique,
        source: Source<'_>,
        load: Load,
    ) -> io::Result<()> {
        let bytes = load.bytes.min(WARM_UP_BYTES);
        let began = Instant::now();
        for _ in 0..WARM_UP_BYTES / bytes {
            technique.transfer(source, bytes, &mut Calls::default())?;
            if began.elapsed() >= self.window {
                break;
            }
        }
        Ok(())
    }

    /// Transfers from one source after the other until the window closes.
    fn repeat<'a>(
        &self,
        technique: &mut dyn Technique,
        sources: impl Iterator<Item = Source<'a>>,
        bytes: u64,
        calls: &mut Calls,
    ) -> io::Result<u64> {
        let unwatched = if bytes < WATCHED_BYTES { UNWATCHED } else { 1 };
        let closes = calls.now() + self.window;
        let mut transfers = 0;
        for source in sources {
            technique.transfer(source, bytes, calls)?;
            transfers += 1;
            if transfers % unwatched == 0 && calls.now() >= closes {
                break;
            }
        }
        Ok(transfers * bytes)
    }
}

fn sample(cost: Cost, technique: &dyn Technique) -> Result<Sample, String> {
    let because = "the kernel had read all of it ahead: nothing was left to read from the disk";
    let figures = cost.figures().ok_or(because)?;
    Ok(Sample { figures, remark: technique.remark() })
}

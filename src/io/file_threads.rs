//! A few threads that wait for disks, so that no worker does.
//!
//! ```text
//!   worker: not in memory ─▶ Errands ── one queue ──▶ thread: open, list, or read ahead
//!      ▲                                                      │
//!      └──── turn ◀── waker ◀── outcomes of this worker ◀─────┘
//! ```
//!
//! A worker opens and sends itself whatever the kernel has in memory, and asks before each step
//! whether it has ([`crate::sys::file`]). Only the rest comes here, a window of a file at a time.
//! On the machine where this was written the question takes two calls and 2 µs for a window of 1
//! MiB, which takes 40 µs to send. To send one that was not in memory took 0.6 ms in the median and
//! 46 ms at worst, during which a worker, and all of its connections, would have stood still.
//!
//! Workers never wait for each other here, nor for a thread: what they put in and take out goes
//! through lock-free channels, and only the threads share a lock ([`crate::io::file_queue`]).
//!
//! What nobody waits for any more is not done. A worker has a share of the queue: past half of it
//! no file is looked up any more (status 503), and past all of it what is to be read ahead waits
//! with the worker, one window for each connection at most.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use crate::files::lookup::{self, Found, Wanted};
use crate::io::errand::{Claim, Errand, Finished, Outcome, Ticket, Witness};
use crate::io::file_queue::{Sink, Source, Task, queue};
use crate::metrics::FileErrandMetrics;
use crate::sys::file::{File, Waiting, open_root};
use crate::sys::tree::Beneath;

/// Errands of all workers that are given to the threads and not done.
pub const ERRANDS_MAX: usize = 4096;

/// What of it a worker has at least, however many there are.
const SHARE_MIN: usize = 64;

/// The threads, as those know them that give them something to do. They end when nobody does any
/// more.
#[derive(Debug, Clone)]
pub struct FileThreads {
    queue: Sink<Job>,
    /// Errands of one worker.
    share: usize,
    metrics: FileErrandMetrics,
}

#[derive(Debug)]
struct Job {
    ticket: Ticket,
    errand: Errand<File>,
    /// Whether anybody waits for it.
    witness: Witness,
    begun_at: Instant,
    inbox: Arc<Inbox>,
}

impl Task for Job {
    fn is_urgent(&self) -> bool {
        matches!(self.errand, Errand::LookUp(_))
    }

    fn root(&self) -> &Path {
        &self.errand.files().root
    }
}

/// Where a worker hears of what is done.
struct Inbox {
    outcomes: Sender<Finished<File>>,
    /// Errands of this worker that the threads have, and outcomes that it has not looked at.
    outstanding: AtomicUsize,
    /// The worker was woken and has not looked since.
    is_marked: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl Inbox {
    /// For the worker to look at.
    fn put(&self, finished: Finished<File>) {
        // A worker that has ended wants nothing any more.
        if self.outcomes.send(finished).is_ok() {
            self.mark();
        }
    }

    /// Nobody waits for an errand any more, so it was not done.
    fn give_up(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
        self.mark();
    }

    fn mark(&self) {
        if !self.is_marked.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }

    /// Whether there may be something that the worker has not looked at. Only a mark that was
    /// there is taken away, and whoever takes it looks: so whoever finds one need not wake.
    fn take_mark(&self) -> bool {
        self.is_marked.load(Ordering::Relaxed) && self.is_marked.swap(false, Ordering::AcqRel)
    }
}

impl FileThreads {
    /// Starts so many threads, for so many workers.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(count: usize, workers: usize) -> io::Result<FileThreads> {
        let (sink, source) = queue(count);
        let metrics = FileErrandMetrics::new();
        for index in 0..count {
            let (source, metrics) = (source.clone(), metrics.clone());
            std::thread::Builder::new()
                .name(format!("file-{index}"))
                .spawn(move || serve(&source, &metrics))?;
        }
        let share = (ERRANDS_MAX / workers.max(1)).max(SHARE_MIN);
        Ok(FileThreads { queue: sink, share, metrics })
    }

    /// The side of a worker, which `wake` wakes from its wait for events.
    pub fn errands(&self, wake: impl Fn() + Send + Sync + 'static) -> Errands {
        let (outcomes, done) = channel();
        let inbox = Inbox {
            outcomes,
            outstanding: AtomicUsize::new(0),
            is_marked: AtomicBool::new(false),
            wake: Box::new(wake),
        };
        Errands {
            threads: self.clone(),
            inbox: Arc::new(inbox),
            done,
            may_have_more: false,
            deferred: VecDeque::new(),
            sweep_at: SHARE_MIN,
        }
    }
}

/// The errands of one worker.
#[derive(Debug)]
pub struct Errands {
    threads: FileThreads,
    inbox: Arc<Inbox>,
    done: Receiver<Finished<File>>,
    /// The last look has found something.
    may_have_more: bool,
    /// What is to be read ahead once the threads have done something else.
    deferred: VecDeque<Job>,
    /// At this length what nobody waits for is swept out of it.
    sweep_at: usize,
}

impl Errands {
    /// Gives the threads something to do. Once the claim is dropped it need not be done any more.
    ///
    /// # Errors
    /// There is too much to do already to look for another file, or nobody to do it.
    pub fn begin(&mut self, ticket: Ticket, errand: Errand<File>) -> io::Result<Claim> {
        let claim = Claim::default();
        let is_lookup = matches!(errand, Errand::LookUp(_));
        let waiting = self.inbox.outstanding.load(Ordering::Relaxed) + self.deferred.len();
        if is_lookup && waiting >= self.threads.share / 2 {
            self.threads.metrics.refused.increment(1);
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let (witness, begun_at) = (claim.witness(), Instant::now());
        let job = Job { ticket, errand, witness, begun_at, inbox: Arc::clone(&self.inbox) };
        self.threads.metrics.waiting.increment(1.0);
        if waiting < self.threads.share {
            self.give(job)?;
        } else {
            self.defer(job);
        }
        Ok(claim)
    }

    fn give(&mut self, job: Job) -> io::Result<()> {
        self.inbox.outstanding.fetch_add(1, Ordering::Relaxed);
        self.threads.queue.put(job)
    }

    fn defer(&mut self, job: Job) {
        if self.deferred.len() >= self.sweep_at {
            let before = self.deferred.len();
            self.deferred.retain(|job| job.witness.is_claimed());
            let swept = before - self.deferred.len();
            self.threads.metrics.waiting.decrement(swept as f64);
            self.threads.metrics.abandoned.increment(swept as u64);
            self.sweep_at = SHARE_MIN.max(2 * self.deferred.len());
        }
        self.deferred.push_back(job);
    }

    /// The next one that is done.
    pub fn finished(&mut self) -> Option<Finished<File>> {
        if !self.may_have_more && !self.inbox.take_mark() {
            return None;
        }
        let finished = self.done.try_recv().ok();
        self.may_have_more = finished.is_some();
        if finished.is_some() {
            self.inbox.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
        self.go_on();
        finished
    }

    /// Gives the threads what was deferred, as far as there is room.
    fn go_on(&mut self) {
        while self.inbox.outstanding.load(Ordering::Relaxed) < self.threads.share {
            let Some(job) = self.deferred.pop_front() else { return };
            // Nobody does anything any more: the process ends.
            let _is_ending = self.give(job).is_err();
        }
    }
}

/// Does one errand after the other, until nobody has any more.
fn serve(source: &Source<Job>, metrics: &FileErrandMetrics) {
    let mut root: Option<PathBuf> = None;
    while let Some(Job { ticket, errand, witness, begun_at, inbox }) = source.next(root.as_deref())
    {
        root = Some(errand.files().root.clone());
        metrics.waiting.decrement(1.0);
        if !witness.is_claimed() {
            // A file is closed here, where that may wait for a disk, too.
            drop(errand);
            metrics.abandoned.increment(1);
            inbox.give_up();
            continue;
        }
        let (outcome, duration) = match errand {
            Errand::LookUp(wanted) => (Outcome::LookedUp(look_up(&wanted)), &metrics.look_up),
            Errand::ReadAhead { file, range, .. } => {
                let result = file.read_ahead(range);
                (Outcome::ReadAhead { file, result }, &metrics.read_ahead)
            }
        };
        duration.record(begun_at.elapsed().as_secs_f64());
        inbox.put(Finished { ticket, outcome });
    }
}

fn look_up(wanted: &Wanted) -> io::Result<Found<File>> {
    let root = open_root(&wanted.files.root, Waiting::Allowed)?;
    lookup::look_up(&mut Beneath::new(root.as_fd(), Waiting::Allowed), wanted)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::config::files::Files;
    use crate::files::FileStatus;
    use crate::http::range::ByteRange;
    use crate::id::{ConnectionId, Generation};

    const DEADLINE: Duration = Duration::from_secs(20);

    fn ticket(number: u32) -> Ticket {
        Ticket { connection: ConnectionId { index: 3, generation: Generation::default() }, number }
    }

    #[test]
    fn errands_are_done_and_the_worker_is_woken() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), vec![7; 300_000]).unwrap();
        let (woken, wakes) = mpsc::channel();
        let threads = FileThreads::start(2, 1).unwrap();
        let mut errands = threads.errands(move || woken.send(()).unwrap());
        assert!(errands.finished().is_none());
        let wanted = Wanted::of(directory.path(), "file");
        let files = Arc::clone(&wanted.files);
        let _claim = errands.begin(ticket(1), Errand::LookUp(wanted)).unwrap();
        wakes.recv_timeout(DEADLINE).unwrap();
        let finished = errands.finished().unwrap();
        assert_eq!(finished.ticket, ticket(1));
        let Outcome::LookedUp(Ok(Found::File { file, status, .. })) = finished.outcome else {
            panic!("{finished:?}")
        };
        let range = ByteRange { start: 0, end: status.size };
        let read_ahead = Errand::ReadAhead { file, range, files };
        let _claim = errands.begin(ticket(2), read_ahead).unwrap();
        wakes.recv_timeout(DEADLINE).unwrap();
        let finished = errands.finished().unwrap();
        let Outcome::ReadAhead { file, result } = finished.outcome else { panic!("{finished:?}") };
        assert!(result.is_ok() && file.is_cached(range) && finished.ticket.number == 2);
        assert!(errands.finished().is_none());
    }

    fn look_up(errands: &mut Errands, number: u32) -> io::Result<Claim> {
        errands.begin(ticket(number), Errand::LookUp(Wanted::of(Path::new("/"), "")))
    }

    /// Errands for threads that are not there, and what these would take them from.
    fn without_threads(share: usize) -> (Errands, Source<Job>) {
        let (sink, source) = queue(1);
        let threads = FileThreads { queue: sink, share, metrics: FileErrandMetrics::new() };
        (threads.errands(|| {}), source)
    }

    #[test]
    fn there_is_a_bound() {
        let (mut errands, source) = without_threads(SHARE_MIN);
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "x").unwrap();
        let mut claims: Vec<_> =
            (0..SHARE_MIN / 2).map(|_| look_up(&mut errands, 1).unwrap()).collect();
        let refused = look_up(&mut errands, 0).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        // What is being sent goes on; past the bound it waits here, as long as anybody cares.
        let mut read_ahead = |number| {
            let opened = std::fs::File::open(directory.path().join("file")).unwrap();
            let errand = Errand::ReadAhead {
                file: File::new(opened.into(), FileStatus::default()),
                range: ByteRange { start: 0, end: 1 },
                files: Arc::new(Files::of_root(directory.path())),
            };
            errands.begin(ticket(number), errand).unwrap()
        };
        claims.extend((0..SHARE_MIN / 2).map(|_| read_ahead(2)));
        let last = (0..50 * SHARE_MIN as u32).map(&mut read_ahead).last();
        assert!(errands.deferred.len() <= SHARE_MIN, "{}", errands.deferred.len());
        // One is done, and another one takes its place.
        let Job { ticket, inbox, .. } = source.next(None).unwrap();
        let outcome = Outcome::LookedUp(Ok(Found::Missing));
        inbox.put(Finished { ticket, outcome });
        assert_eq!(errands.finished().unwrap().ticket, ticket);
        assert_eq!(errands.inbox.outstanding.load(Ordering::Relaxed), SHARE_MIN);
        drop((last, claims));
    }

    /// In every order of the worker's steps and a thread's: who has put something is heard.
    #[test]
    fn no_wake_up_is_lost() {
        let woken = Arc::new(AtomicUsize::new(0));
        let (sink, source) = queue(1);
        let threads =
            FileThreads { queue: sink, share: SHARE_MIN, metrics: FileErrandMetrics::new() };
        let count = Arc::clone(&woken);
        let mut errands = threads.errands(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let outcome = || Outcome::LookedUp(Ok(Found::Missing));
        let _first = look_up(&mut errands, 1).unwrap();
        let Job { ticket, inbox, .. } = source.next(None).unwrap();
        // The thread has put its outcome there, and is slow to say so.
        inbox.outcomes.send(Finished { ticket, outcome: outcome() }).unwrap();
        inbox.is_marked.store(true, Ordering::Relaxed);
        assert!(errands.finished().is_some());
        inbox.mark();
        assert!(errands.finished().is_none() && errands.finished().is_none());
        let before = woken.load(Ordering::Relaxed);
        let _second = look_up(&mut errands, 2).unwrap();
        let Job { ticket, inbox, .. } = source.next(Some(Path::new("/"))).unwrap();
        inbox.put(Finished { ticket, outcome: outcome() });
        assert_eq!(woken.load(Ordering::Relaxed), before + 1, "the worker sleeps");
        assert_eq!(errands.finished().unwrap().ticket.number, 2);
    }

    #[test]
    fn what_nobody_waits_for_is_not_done() {
        let directory = tempfile::tempdir().unwrap();
        let (woken, wakes) = mpsc::channel();
        let (sink, source) = queue(1);
        let threads =
            FileThreads { queue: sink, share: SHARE_MIN, metrics: FileErrandMetrics::new() };
        let mut errands = threads.errands(move || woken.send(()).unwrap());
        let errand = || Errand::LookUp(Wanted::of(directory.path(), ""));
        drop(errands.begin(ticket(1), errand()).unwrap());
        let claim = errands.begin(ticket(2), errand()).unwrap();
        std::thread::spawn(move || serve(&source, &FileErrandMetrics::new()));
        let finished = std::iter::repeat_with(|| {
            wakes.recv_timeout(DEADLINE).unwrap();
            errands.finished()
        });
        assert_eq!(finished.flatten().next().unwrap().ticket, ticket(2));
        assert!(errands.finished().is_none());
        assert_eq!(errands.inbox.outstanding.load(Ordering::Relaxed), 0);
        drop(claim);
    }
}

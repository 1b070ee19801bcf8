//! A few threads that wait for disks, so that no worker does.
//!
//! ```text
//!   worker: not in memory ─▶ Errands ── one queue ──▶ thread: open, or read ahead
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
//! Workers never wait for each other here, nor for a thread: both queues are lock-free for whoever
//! puts something in, and only the threads share a lock, for taking something out.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::files::lookup::{self, Wanted};
use crate::io::errand::{Errand, Finished, Outcome, Ticket};
use crate::sys::file::{File, Waiting, open_root};
use crate::sys::tree::Beneath;

/// Errands of one worker that are not done. Past half of that no file is looked up any more, so
/// that those which are being sent go on.
pub const ERRANDS_MAX: usize = 4096;

/// The buffer through which a thread reads ahead, in bytes.
const SCRATCH_BYTES: usize = 64 * 1024;

/// The threads, as those know them that give them something to do. They end when nobody does any
/// more.
#[derive(Debug, Clone)]
pub struct FileThreads {
    queue: Sender<Job>,
}

#[derive(Debug)]
struct Job {
    ticket: Ticket,
    errand: Errand<File>,
    inbox: Arc<Inbox>,
}

/// Where a worker hears of what is done.
struct Inbox {
    outcomes: Sender<Finished<File>>,
    /// The worker was woken and has not looked since.
    is_marked: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl FileThreads {
    /// Starts so many threads.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(count: usize) -> io::Result<FileThreads> {
        let (queue, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for index in 0..count {
            let jobs = Arc::clone(&jobs);
            std::thread::Builder::new()
                .name(format!("file-{index}"))
                .spawn(move || serve(&jobs))?;
        }
        Ok(FileThreads { queue })
    }

    /// The side of a worker, which `wake` wakes from its wait for events.
    pub fn errands(&self, wake: impl Fn() + Send + Sync + 'static) -> Errands {
        let (outcomes, done) = channel();
        let inbox = Inbox { outcomes, is_marked: AtomicBool::new(false), wake: Box::new(wake) };
        Errands { queue: self.queue.clone(), inbox: Arc::new(inbox), done, outstanding: 0 }
    }
}

/// The errands of one worker.
#[derive(Debug)]
pub struct Errands {
    queue: Sender<Job>,
    inbox: Arc<Inbox>,
    done: Receiver<Finished<File>>,
    outstanding: usize,
}

impl Errands {
    /// Gives the threads something to do.
    ///
    /// # Errors
    /// There is too much to do already, or nobody to do it.
    pub fn begin(&mut self, ticket: Ticket, errand: Errand<File>) -> io::Result<()> {
        let max = match errand {
            Errand::LookUp(_) => ERRANDS_MAX / 2,
            Errand::ReadAhead { .. } => ERRANDS_MAX,
        };
        if self.outstanding >= max {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let job = Job { ticket, errand, inbox: Arc::clone(&self.inbox) };
        self.queue.send(job).map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.outstanding += 1;
        Ok(())
    }

    /// The next one that is done.
    pub fn finished(&mut self) -> Option<Finished<File>> {
        if self.outstanding == 0 {
            return None;
        }
        // Before the look: what comes after it wakes again.
        self.inbox.is_marked.store(false, Ordering::Release);
        let finished = self.done.try_recv().ok()?;
        self.outstanding -= 1;
        Some(finished)
    }
}

/// Does one errand after the other, until nobody has any more.
fn serve(jobs: &Mutex<Receiver<Job>>) {
    let mut scratch = vec![0; SCRATCH_BYTES];
    loop {
        // Whoever panicked with it has left a queue that is whole.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { ticket, errand, inbox }) = next else { return };
        let outcome = match errand {
            Errand::LookUp(wanted) => Outcome::LookedUp(look_up(&wanted)),
            Errand::ReadAhead { file, range } => {
                let result = file.read_ahead(range, &mut scratch);
                Outcome::ReadAhead { file, result }
            }
        };
        // A worker that has ended wants nothing any more.
        if inbox.outcomes.send(Finished { ticket, outcome }).is_ok()
            && !inbox.is_marked.swap(true, Ordering::AcqRel)
        {
            (inbox.wake)();
        }
    }
}

fn look_up(wanted: &Wanted) -> io::Result<lookup::Found<File>> {
    let root = open_root(&wanted.files.root, Waiting::Allowed)?;
    lookup::look_up(&mut Beneath::new(root.as_fd(), Waiting::Allowed), wanted)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::config::files::Files;
    use crate::files::lookup::Found;
    use crate::http::content_coding::Codings;
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
        let threads = FileThreads::start(2).unwrap();
        let mut errands = threads.errands(move || woken.send(()).unwrap());
        assert!(errands.finished().is_none());
        let wanted = Wanted {
            files: Arc::new(Files::of_root(directory.path())),
            path: b"file".to_vec(),
            is_refused: false,
            is_directory: false,
            codings: Codings::default(),
        };
        errands.begin(ticket(1), Errand::LookUp(wanted)).unwrap();
        wakes.recv_timeout(DEADLINE).unwrap();
        let finished = errands.finished().unwrap();
        assert_eq!(finished.ticket, ticket(1));
        let Outcome::LookedUp(Ok(Found::File { file, status, .. })) = finished.outcome else {
            panic!("{finished:?}")
        };
        let range = ByteRange { start: 0, end: status.size };
        errands.begin(ticket(2), Errand::ReadAhead { file, range }).unwrap();
        wakes.recv_timeout(DEADLINE).unwrap();
        let finished = errands.finished().unwrap();
        let Outcome::ReadAhead { file, result } = finished.outcome else { panic!("{finished:?}") };
        assert!(result.is_ok() && file.is_cached(range) && finished.ticket.number == 2);
        assert!(errands.finished().is_none());
    }

    #[test]
    fn there_is_a_bound() {
        // Nobody takes anything out.
        let (queue, _jobs) = channel();
        let mut errands = FileThreads { queue }.errands(|| {});
        let wanted = || Wanted {
            files: Arc::new(Files::of_root("/")),
            path: Vec::new(),
            is_refused: false,
            is_directory: true,
            codings: Codings::default(),
        };
        for number in 0..ERRANDS_MAX / 2 {
            errands.begin(ticket(number as u32), Errand::LookUp(wanted())).unwrap();
        }
        let refused = errands.begin(ticket(0), Errand::LookUp(wanted())).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
    }
}

//! What threads that wait for disks have still to do, and in which order.
//!
//! Files are looked up before others are read ahead: a request waits for the first with nothing in
//! its hands. And a directory whose disk, or server, does not answer keeps all threads but one
//! busy at most, so that the others are served still.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a thread is to do.
pub trait Task {
    /// Whether somebody waits for the first byte of an answer.
    fn is_urgent(&self) -> bool;

    /// The directory that is waited for.
    fn root(&self) -> &Path;
}

/// Where tasks are put. Whoever does so never waits.
#[derive(Debug)]
pub struct Sink<T> {
    tasks: Sender<T>,
    /// Rings once for each task, behind it.
    bell: Sender<()>,
}

impl<T> Clone for Sink<T> {
    fn clone(&self) -> Sink<T> {
        Sink { tasks: self.tasks.clone(), bell: self.bell.clone() }
    }
}

impl<T> Sink<T> {
    /// Has a task done.
    ///
    /// # Errors
    /// Nobody does any.
    pub fn put(&self, task: T) -> io::Result<()> {
        let is_there = self.tasks.send(task).is_ok() && self.bell.send(()).is_ok();
        is_there.then_some(()).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

/// Where threads take tasks. They share a lock for that, and for waiting.
///
/// Each ring of the bell makes one thread look. What it passes over, because enough threads wait
/// for that directory, is owed: a thread that comes back from there looks without a ring. So rings
/// that nobody has heard, and what is owed, are always as many as there are tasks.
#[derive(Debug)]
pub struct Source<T> {
    bell: Arc<Mutex<Receiver<()>>>,
    backlog: Arc<Mutex<Backlog<T>>>,
}

impl<T> Clone for Source<T> {
    fn clone(&self) -> Source<T> {
        Source { bell: Arc::clone(&self.bell), backlog: Arc::clone(&self.backlog) }
    }
}

/// A queue for so many threads.
pub fn queue<T: Task>(threads: usize) -> (Sink<T>, Source<T>) {
    let (tasks, arriving) = channel();
    let (bell, rings) = channel();
    let backlog = Backlog {
        arriving,
        urgent: VecDeque::new(),
        others: VecDeque::new(),
        busy: Vec::new(),
        busy_max: threads.saturating_sub(1).max(1),
        owed: 0,
    };
    let (bell_heard, backlog) = (Arc::new(Mutex::new(rings)), Arc::new(Mutex::new(backlog)));
    (Sink { tasks, bell }, Source { bell: bell_heard, backlog })
}

impl<T: Task> Source<T> {
    /// The next task, for which it waits. `done` is the directory of the one before. `None`: there
    /// are no sinks any more.
    pub fn next(&self, done: Option<&Path>) -> Option<T> {
        if let Some(root) = done
            && let Some(task) = locked(&self.backlog).come_back(root)
        {
            return Some(task);
        }
        loop {
            locked(&self.bell).recv().ok()?;
            if let Some(task) = locked(&self.backlog).on_ring() {
                return Some(task);
            }
        }
    }
}

/// Whoever panicked with the lock has left what is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Backlog<T> {
    arriving: Receiver<T>,
    urgent: VecDeque<T>,
    others: VecDeque<T>,
    /// For each thread that does something, in which directory.
    busy: Vec<PathBuf>,
    /// Threads that may wait for one directory.
    busy_max: usize,
    /// Tasks for which the bell has rung in vain.
    owed: usize,
}

impl<T: Task> Backlog<T> {
    fn on_ring(&mut self) -> Option<T> {
        let task = self.take();
        self.owed += usize::from(task.is_none());
        task
    }

    fn come_back(&mut self, root: &Path) -> Option<T> {
        if let Some(place) = self.busy.iter().position(|busy| busy == root) {
            self.busy.swap_remove(place);
        }
        let task = if self.owed > 0 { self.take() } else { None };
        self.owed -= usize::from(task.is_some());
        task
    }

    fn take(&mut self) -> Option<T> {
        while let Ok(task) = self.arriving.try_recv() {
            let queue = if task.is_urgent() { &mut self.urgent } else { &mut self.others };
            queue.push_back(task);
        }
        let (busy, busy_max) = (&self.busy, self.busy_max);
        let is_free =
            |task: &T| busy.iter().filter(|busy| busy.as_path() == task.root()).count() < busy_max;
        let task = [&mut self.urgent, &mut self.others].into_iter().find_map(|queue| {
            let place = queue.iter().position(is_free)?;
            queue.remove(place)
        })?;
        self.busy.push(task.root().to_owned());
        Some(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Named {
        name: u32,
        is_urgent: bool,
        root: &'static str,
    }

    impl Task for Named {
        fn is_urgent(&self) -> bool {
            self.is_urgent
        }

        fn root(&self) -> &Path {
            Path::new(self.root)
        }
    }

    /// A queue of read-aheads of `dead` and others.
    fn filled(threads: usize, tasks: &[(u32, bool, &'static str)]) -> (Sink<Named>, Source<Named>) {
        let (sink, source) = queue(threads);
        for (name, is_urgent, root) in tasks {
            sink.put(Named { name: *name, is_urgent: *is_urgent, root }).unwrap();
        }
        (sink, source)
    }

    fn name(source: &Source<Named>, done: Option<&str>) -> u32 {
        source.next(done.map(Path::new)).expect("a task").name
    }

    #[test]
    fn who_waits_for_a_first_byte_goes_first() {
        let tasks = [(1, false, "a"), (2, false, "b"), (3, true, "a"), (4, true, "b")];
        let (sink, source) = filled(8, &tasks);
        assert_eq!([3, 4, 1, 2].map(|_| name(&source, None)), [3, 4, 1, 2]);
        drop(sink);
        assert_eq!(source.next(None), None);
    }

    #[test]
    fn a_directory_that_does_not_answer_leaves_a_thread_to_the_others() {
        let dead = |name| (name, true, "dead");
        let (sink, source) = filled(3, &[dead(1), dead(2), dead(3), dead(4), (5, false, "good")]);
        assert_eq!([1, 2, 5].map(|_| name(&source, None)), [1, 2, 5]);
        // The third thread comes back, and takes nothing at which the others hang.
        sink.put(Named { name: 6, is_urgent: false, root: "good" }).unwrap();
        assert_eq!(name(&source, Some("good")), 6);
        // One of them is back, and goes on with what was passed over.
        assert_eq!(name(&source, Some("dead")), 3);
        assert_eq!(name(&source, Some("dead")), 4);
        drop(sink);
        assert_eq!(source.next(Some(Path::new("dead"))), None);
    }

    #[test]
    fn one_thread_does_everything() {
        let (_sink, source) = filled(1, &[(1, true, "a"), (2, true, "a"), (3, false, "b")]);
        assert_eq!(name(&source, None), 1);
        assert_eq!(name(&source, Some("a")), 2);
        assert_eq!(name(&source, Some("a")), 3);
    }

    /// Whatever comes in whatever order is done, once.
    #[test]
    fn nothing_is_forgotten() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (sink, source) = queue::<Named>(3);
        let (done, finished) = channel();
        for _ in 0..3 {
            let (source, done) = (source.clone(), done.clone());
            std::thread::spawn(move || {
                let mut root: Option<&'static str> = None;
                while let Some(task) = source.next(root.map(Path::new)) {
                    root = Some(task.root);
                    let _nobody_cares = done.send(task.name);
                }
            });
        }
        for name in 0..5000 {
            let root = ["a", "b"][rng.usize(0..20) / 19];
            sink.put(Named { name, is_urgent: rng.bool(), root }).unwrap();
        }
        let deadline = std::time::Duration::from_secs(20);
        let names = (0..5000).map(|_| finished.recv_timeout(deadline).unwrap());
        let names: std::collections::BTreeSet<u32> = names.collect();
        assert_eq!(names.len(), 5000);
    }
}

//! A worker thread as the control plane sees it: how to reach it, what it reports, and how its
//! end is noticed.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use tokio::sync::oneshot;

use crate::snapshot::WorkerReport;

/// A worker thread that was started.
#[derive(Debug)]
pub struct WorkerHandle {
    /// To be joined once the thread has ended.
    pub thread: JoinHandle<()>,
    /// Wakes the worker's poll; the worker then raises `report.heartbeat` and reads the snapshot.
    pub waker: Arc<mio::Waker>,
    /// What the worker says about itself.
    pub report: Arc<WorkerReport>,
    /// Resolves when the thread has ended, in whatever way: the thread owns the sender, which is
    /// dropped when `body` returns and when it panics.
    ended: oneshot::Receiver<std::convert::Infallible>,
}

impl WorkerHandle {
    /// Starts a thread called `name` that runs `body`. The worker must return from `body` when
    /// its last connection has ended while the stage is draining, and not before: a worker that
    /// ends while the process serves is a failure of the process.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub fn spawn(
        name: String,
        waker: Arc<mio::Waker>,
        report: Arc<WorkerReport>,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<WorkerHandle> {
        let (owned_by_thread, ended) = oneshot::channel();
        let thread = Builder::new().name(name).spawn(move || {
            let _owned_by_thread = owned_by_thread;
            body();
        })?;
        Ok(WorkerHandle { thread, waker, report, ended })
    }

    /// Takes apart what is needed for good from what waits for the end.
    pub(super) fn into_parts(self) -> (WorkerLink, WorkerEnd) {
        let link = WorkerLink { waker: self.waker, report: self.report };
        (link, WorkerEnd { thread: self.thread, ended: self.ended })
    }
}

/// How the control plane talks to a worker.
#[derive(Debug, Clone)]
pub(super) struct WorkerLink {
    pub(super) waker: Arc<mio::Waker>,
    pub(super) report: Arc<WorkerReport>,
}

/// The end of a worker, to be waited for.
#[derive(Debug)]
pub(super) struct WorkerEnd {
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<std::convert::Infallible>,
}

impl WorkerEnd {
    /// Waits until the thread has ended; the error is what it panicked with.
    pub(super) async fn wait(self) -> Result<(), String> {
        match self.ended.await {
            Ok(never) => match never {},
            Err(_dropped) => {}
        }
        // The thread has nothing left to do but to exit, so this does not block for long.
        self.thread.join().map_err(|payload| panic_message(payload.as_ref()))
    }
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

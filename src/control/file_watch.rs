//! Tells when files may have changed. Files are replaced by renaming, so it is their folders that
//! are watched; and they are seldom written in one go, so it waits until it is quiet.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Files are to be read once nothing has changed for that long.
const QUIET: Duration = Duration::from_millis(100);

/// They are to be read after that long even if changes never end.
const UNQUIET_MAX: Duration = Duration::from_millis(500);

/// Watches folders, from the first one on that it is given.
#[derive(Debug)]
pub(super) struct FileWatch {
    /// What the files are, for the log.
    what: &'static str,
    sender: mpsc::Sender<()>,
    changes: mpsc::Receiver<()>,
    /// Ends its thread when it is dropped; `None` where there is nothing to watch yet, or the
    /// system has none to give.
    watcher: Option<RecommendedWatcher>,
    has_failed: bool,
    /// Since when files change, and when it is quiet enough to read them.
    unsettled: Option<(Instant, Instant)>,
}

impl FileWatch {
    /// One that watches nothing yet.
    pub(super) fn new(what: &'static str) -> FileWatch {
        // One change that waits to be seen stands for all of them.
        let (sender, changes) = mpsc::channel(1);
        FileWatch { what, sender, changes, watcher: None, has_failed: false, unsettled: None }
    }

    /// Watches these folders from now on too. One that was removed and made again is another one
    /// to the kernel, so this is to be said again after changes.
    pub(super) fn watch(&mut self, folders: impl IntoIterator<Item = PathBuf>) {
        for folder in folders {
            if self.watcher.is_none() && !self.has_failed {
                self.start();
            }
            let Some(watcher) = &mut self.watcher else { return };
            if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
                tracing::debug!(folder = %folder.display(), %error, "cannot be watched");
            }
        }
    }

    fn start(&mut self) {
        let sender = self.sender.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| is_change(event.kind)) {
                // A full channel has been told already.
                let _told = sender.try_send(());
            }
        });
        self.watcher = watcher
            .map_err(|error| {
                self.has_failed = true;
                tracing::warn!(%error, "{} cannot be watched", self.what);
            })
            .ok();
    }

    /// Watches nothing any more.
    pub(super) fn stop(&mut self) {
        self.watcher = None;
        self.unsettled = None;
    }

    /// Waits until something has changed and it is quiet again. Nothing is lost when it is dropped
    /// while it waits.
    pub(super) async fn changed(&mut self) {
        loop {
            let quiet = self.unsettled.map(|(_, quiet)| quiet);
            tokio::select! {
                Some(()) = self.changes.recv() => {
                    let now = Instant::now();
                    let since = self.unsettled.map_or(now, |(since, _)| since);
                    self.unsettled = Some((since, (now + QUIET).min(since + UNQUIET_MAX)));
                }
                () = at(quiet) => {
                    self.unsettled = None;
                    return;
                }
            }
        }
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether files may hold something else now. Reading them is told of as well, and must not lead
/// to reading them again.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

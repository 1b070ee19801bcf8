//! Certificates live: files are read again when they change, upon HUP, and once a minute in case
//! nobody told of a change; their ends are watched.

use std::path::Path;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use rustls::RootCertStore;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until};

use crate::config::Config;
use crate::metrics::{CertificateMetrics, CertificateReloads};
use crate::tls::authorities::system_roots;
use crate::tls::finding::Finding;
use crate::tls::inspect::{Inspection, inspect, validity};
use crate::tls::keeper::{Keeper, Refreshed};

/// Files are read once nothing has changed for that long: a certificate and its key are seldom
/// written in one go.
const QUIET: Duration = Duration::from_millis(100);

/// They are read after that long even if changes never end.
const UNQUIET_MAX: Duration = Duration::from_millis(500);

/// How often they are read without being told, for file systems that tell of nothing.
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

/// A certificate that is about to end is warned of that often.
const WARNING_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The files of a process that has any, and what is done about them.
#[derive(Debug)]
pub(super) struct Certificates {
    keeper: Keeper,
    /// Ends its thread when it is dropped; `None` where the system has none to give.
    watcher: Option<RecommendedWatcher>,
    changes: mpsc::Receiver<()>,
    /// Since when files change, and when it is quiet enough to read them.
    unsettled: Option<(Instant, Instant)>,
    recheck: Interval,
    warned: Instant,
    /// What was wrong when files were read last; said once.
    broken: Vec<Finding>,
    reloads: CertificateReloads,
}

/// Why files are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody has written into a folder with files.
    Changed,
    /// It is time.
    Recheck,
    /// Somebody has asked for it, by HUP.
    Asked,
}

impl Certificates {
    /// Begins to watch; what is not as it should be is said. `None` where there are no files.
    /// Must be called within the runtime.
    pub(super) fn watch(config: &Config, keeper: Keeper) -> Option<Certificates> {
        warn_at_start(config, &keeper);
        if keeper.is_empty() {
            return None;
        }
        // One change that waits to be seen stands for all of them.
        let (sender, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| is_change(event.kind)) {
                // A full channel has been told already.
                let _told = sender.try_send(());
            }
        });
        let watcher = watcher.map_err(|error| {
            tracing::warn!(%error, "certificates cannot be watched; they are read every minute");
        });
        let mut recheck = tokio::time::interval(RECHECK_INTERVAL);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        recheck.reset();
        let mut certificates = Certificates {
            keeper,
            watcher: watcher.ok(),
            changes,
            unsettled: None,
            recheck,
            warned: Instant::now(),
            broken: Vec::new(),
            reloads: CertificateReloads::new(),
        };
        certificates.watch_folders();
        certificates.set_metrics();
        Some(certificates)
    }

    /// Waits until files should be read again. Nothing is lost when it is dropped while it waits.
    pub(super) async fn due(&mut self) -> Cause {
        loop {
            let quiet = self.unsettled.map(|(_, quiet)| quiet);
            tokio::select! {
                Some(()) = self.changes.recv() => {
                    let now = Instant::now();
                    let since = self.unsettled.map_or(now, |(since, _)| since);
                    self.unsettled = Some((since, (now + QUIET).min(since + UNQUIET_MAX)));
                }
                () = sleep_until(quiet.unwrap_or_else(Instant::now)), if quiet.is_some() => {
                    self.unsettled = None;
                    return Cause::Changed;
                }
                _ = self.recheck.tick() => return Cause::Recheck,
            }
        }
    }

    /// Reads all files again and says what came of it.
    pub(super) fn reload(&mut self, cause: Cause) {
        // A folder that was removed and made again is another one to the kernel.
        self.watch_folders();
        let Refreshed { replaced, broken } = self.keeper.refresh();
        for table in &replaced {
            tracing::info!("{table}: certificates were replaced; new sessions have the new ones");
        }
        if broken != self.broken || (cause == Cause::Asked && !broken.is_empty()) {
            for finding in &broken {
                tracing::error!("{}: {finding}; what was there before is used still", finding.key);
            }
            if broken.is_empty() {
                tracing::info!("all files of certificates can be used again");
            }
            self.reloads.failed.increment(u64::from(!broken.is_empty()));
        }
        self.reloads.succeeded.increment(u64::from(!replaced.is_empty()));
        if cause == Cause::Asked && replaced.is_empty() && broken.is_empty() {
            tracing::info!("certificates were read again; nothing has changed");
        }
        self.broken = broken;
        if !replaced.is_empty() || self.warned.elapsed() >= WARNING_INTERVAL {
            self.warned = Instant::now();
            self.warn_of_ends();
        }
        if !replaced.is_empty() {
            self.set_metrics();
        }
    }

    fn watch_folders(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        for folder in self.keeper.folders() {
            watch_folder(watcher, &folder);
        }
    }

    fn set_metrics(&self) {
        for certificate in self.keeper.certificates() {
            let chain = certificate.files.chain.display().to_string();
            CertificateMetrics::new(certificate.side, certificate.name, &chain)
                .not_after
                .set(certificate.description.not_after as f64);
        }
    }

    fn warn_of_ends(&self) {
        let now = jiff::Timestamp::now().as_second();
        for certificate in self.keeper.certificates() {
            let chain = certificate.files.chain.display();
            match validity(certificate.description, now) {
                Some((true, words)) => tracing::error!("{}: {chain}: {words}", certificate.key),
                Some((false, words)) => tracing::warn!("{}: {chain}: {words}", certificate.key),
                None => {}
            }
        }
    }
}

/// Waits for [`Certificates::due`]; forever where there are none.
pub(super) async fn due(certificates: &mut Option<Certificates>) -> Cause {
    match certificates {
        Some(certificates) => certificates.due().await,
        None => std::future::pending().await,
    }
}

fn watch_folder(watcher: &mut RecommendedWatcher, folder: &Path) {
    if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
        tracing::debug!(folder = %folder.display(), %error, "cannot be watched");
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

fn warn_at_start(config: &Config, keeper: &Keeper) {
    let system = system_roots();
    let none = RootCertStore::empty();
    let system = system.as_deref().unwrap_or(&none);
    let now = jiff::Timestamp::now().as_second();
    let Inspection { errors, warnings } = inspect(config, keeper, system, now);
    for finding in &errors {
        tracing::error!("{}: {finding}", finding.key);
    }
    for finding in &warnings {
        tracing::warn!("{}: {finding}", finding.key);
    }
}

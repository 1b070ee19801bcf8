//! Certificates live: files are read again when they change, upon a reload, and once a minute in case
//! nobody told of a change; their ends are watched.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::file_watch::FileWatch;
use crate::config::Config;
use crate::metrics::{CertificateMetrics, CertificateReloads};
use crate::sys::core_dump;
use crate::tls::authorities::system_roots;
use crate::tls::finding::Finding;
use crate::tls::inspect::{Inspection, inspect, validity};
use crate::tls::keeper::{Following, Keeper, Refreshed};
use crate::tls::store::TlsStore;

/// How often they are read without being told, for file systems that tell of nothing.
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

/// A certificate that is about to end is warned of that often.
const WARNING_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The files, if there are any, and what is done about them.
#[derive(Debug)]
pub(super) struct Certificates {
    keeper: Keeper,
    watch: FileWatch,
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
    /// Somebody has asked for it, by a reload.
    Asked,
}

impl Certificates {
    /// Begins to watch; what is not as it should be is said. Must be called within the runtime.
    pub(super) fn watch(config: &Config, keeper: Keeper) -> Certificates {
        warn_of(config, &keeper);
        let mut recheck = tokio::time::interval(RECHECK_INTERVAL);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        recheck.reset();
        let mut certificates = Certificates {
            keeper,
            watch: FileWatch::new("certificates"),
            recheck,
            warned: Instant::now(),
            broken: Vec::new(),
            reloads: CertificateReloads::new(),
        };
        certificates.watch_folders();
        certificates.set_metrics();
        certificates
    }

    /// Waits until files should be read again. Nothing is lost when it is dropped while it waits.
    pub(super) async fn due(&mut self) -> Cause {
        tokio::select! {
            () = self.watch.changed() => Cause::Changed,
            _ = self.recheck.tick(), if !self.keeper.is_empty() => Cause::Recheck,
        }
    }

    /// What the files are for a configuration that follows the one in force.
    ///
    /// # Errors
    /// All that cannot be used.
    pub(super) fn following(&self, config: &Config) -> Result<Following, Vec<Finding>> {
        self.keeper.following(config)
    }

    /// A configuration is in force that follows the one before: its files are looked after from
    /// now on. Returns what workers make sessions with.
    pub(super) fn take_over(&mut self, config: &Config, following: Following) -> Arc<TlsStore> {
        self.keeper.take_over(following);
        warn_of(config, &self.keeper);
        self.watch_folders();
        self.set_metrics();
        if !self.keeper.is_empty()
            && let Err(error) = core_dump::forbid()
        {
            tracing::warn!(%error, "core dumps cannot be turned off; one would hold private keys");
        }
        self.keeper.store()
    }

    /// Reads all files again and says what came of it.
    pub(super) fn reload(&mut self, cause: Cause) {
        if self.keeper.is_empty() {
            return;
        }
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
        self.watch.watch(self.keeper.folders());
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

fn warn_of(config: &Config, keeper: &Keeper) {
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

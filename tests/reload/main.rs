//! Another configuration in a running process: what stays, what changes at once, what drains, and
//! that nobody notices who has nothing to do with it.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod load;
mod refused;
mod retired;

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use support::eventually;
use support::proxy::{Launch, Proxy};
use tempfile::TempDir;

const RELOADS: &str = "spliceway_config_reloads_total";

/// A proxy with a file that can be written again.
pub struct Case {
    folder: TempDir,
    /// The proxy.
    pub proxy: Proxy,
}

impl Case {
    /// Starts two workers with a configuration.
    pub fn start(toml: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.toml");
        fs::write(&path, toml).unwrap();
        let launch = Launch::with_arguments(&["run", "--config", path.to_str().unwrap()]);
        let launch = launch.option("--admin", "127.0.0.1:0").option("--workers", "2");
        let proxy = launch.start();
        Case { folder, proxy }
    }

    /// A path beside the file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts another configuration in the place of the file, as editors do.
    pub fn write(&self, toml: &str) {
        let next = self.path("next.toml");
        fs::write(&next, toml).unwrap();
        fs::rename(next, self.path("test.toml")).unwrap();
    }

    /// Has another configuration put in force, and waits until every worker goes by it.
    pub fn reload(&self, toml: &str) {
        let generation = self.generation();
        self.ask(toml, "success");
        eventually("the configuration is in force", || {
            (self.generation() > generation).then_some(())
        });
    }

    /// The same for one that cannot be put in force.
    pub fn reload_in_vain(&self, toml: &str) {
        self.ask(toml, "failure");
    }

    fn ask(&self, toml: &str, result: &str) {
        let before = self.proxy.metrics().sum(RELOADS, &[("result", result)]);
        self.write(toml);
        self.proxy.signal(Signal::SIGHUP);
        self.proxy.await_metric(RELOADS, &[("result", result)], |count| count > before);
    }

    fn generation(&self) -> u64 {
        self.status()["config"]["generation"].as_u64().unwrap()
    }

    /// What `/status` says now.
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.proxy.get("/status").unwrap().text()).unwrap()
    }

    /// Waits until no connection is left whose listener, upstream or server was removed.
    pub fn await_drained(&self) {
        self.proxy.await_metric("spliceway_connections_retired", &[], |left| left == 0.0);
        self.proxy.await_metric("spliceway_config_generations_draining", &[], |left| left == 0.0);
    }
}

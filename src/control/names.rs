//! Names among the servers: each is asked for by a task of its own, again when its answer is no
//! longer valid. What has changed is told; what was known last stays known while nobody answers.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::resolve::{Resolved, resolve, resolver};
use crate::config::names::{Dns, NameQuery, NamedServers};
use crate::config::{Config, ServerSettings, Upstream};
use crate::metrics::NameMetrics;

/// Answers that wait to be taken. A task whose answer finds no room waits.
const ANSWERS_QUEUED_MAX: usize = 64;

/// How long to wait after the first failure; twice as long each time, up to `dns.ttl_max`.
const RETRY_MIN: Duration = Duration::from_millis(500);

/// A name of an upstream, which is called by its own name.
type Key = (String, NamedServers);

/// The names of a configuration, and what they stand for.
#[derive(Debug)]
pub(super) struct Names {
    dns: Dns,
    tasks: HashMap<Key, Task>,
    known: HashMap<Key, Vec<ServerSettings>>,
    sender: mpsc::Sender<(Key, Vec<ServerSettings>)>,
    answers: mpsc::Receiver<(Key, Vec<ServerSettings>)>,
}

#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Default for Names {
    fn default() -> Names {
        let (sender, answers) = mpsc::channel(ANSWERS_QUEUED_MAX);
        let (tasks, known) = Default::default();
        Names { dns: Dns::default(), tasks, known, sender, answers }
    }
}

impl Names {
    /// Asks for the names of a configuration from now on, and for no others. Must be called within
    /// the runtime.
    pub(super) fn apply(&mut self, config: &Config) {
        if self.dns != config.dns {
            self.dns = config.dns.clone();
            self.tasks.clear();
        }
        let mut before = std::mem::take(&mut self.tasks);
        for (_, upstream) in config.active_upstreams() {
            for names in &upstream.names {
                let key = (upstream.name.clone(), names.clone());
                let task = before.remove(&key).unwrap_or_else(|| {
                    let asking = keep_asking(key.clone(), self.dns.clone(), self.sender.clone());
                    Task(tokio::spawn(asking).abort_handle())
                });
                self.tasks.insert(key, task);
            }
        }
        self.forget();
    }

    /// Keeps what is asked for, and what stands in for an answer that has not come.
    fn forget(&mut self) {
        let Names { tasks, known, .. } = self;
        let unanswered: Vec<NameQuery> = tasks
            .keys()
            .filter(|key| !known.contains_key(key))
            .map(|(_, names)| names.query.clone())
            .collect();
        known.retain(|key, _| tasks.contains_key(key) || unanswered.contains(&key.1.query));
    }

    /// Waits until a name stands for something else, and says of which upstream it is. Nothing is
    /// lost when it is dropped while it waits.
    pub(super) async fn changed(&mut self) -> String {
        loop {
            // This holds a sender itself, so there is always one.
            let Some((key, servers)) = self.answers.recv().await else {
                std::future::pending::<()>().await;
                continue;
            };
            let is_asked = self.tasks.contains_key(&key);
            if is_asked && self.known.get(&key) != Some(&servers) {
                let upstream = key.0.clone();
                self.known.insert(key, servers);
                self.forget();
                return upstream;
            }
        }
    }

    /// The servers of an upstream: those with addresses, and those for which its names stand. One
    /// address counts once.
    pub(super) fn servers(&self, upstream: &Upstream) -> Vec<ServerSettings> {
        let mut servers = upstream.servers.clone();
        for names in &upstream.names {
            for server in self.known(&(upstream.name.clone(), names.clone())) {
                if servers.iter().all(|it| it.address != server.address) {
                    servers.push(server.clone());
                }
            }
        }
        servers
    }
}

impl Names {
    /// Whether every name that is asked for has been answered once.
    pub(super) fn are_known(&self) -> bool {
        self.tasks.keys().all(|key| self.known.contains_key(key))
    }

    /// What a name stands for. Where it has got other settings or belongs to another upstream, and
    /// was not answered since: what it stood for before, there or elsewhere.
    fn known(&self, key: &Key) -> &[ServerSettings] {
        let (upstream, names) = key;
        let same = || self.known.iter().filter(|((_, known), _)| known.query == names.query);
        let before = || same().min_by_key(|((other, _), _)| (other != upstream, other.clone()));
        let known = self.known.get(key).or_else(|| before().map(|(_, servers)| servers));
        known.map_or(&[], Vec::as_slice)
    }
}

/// Asks for a name for as long as the task lasts.
async fn keep_asking(key: Key, dns: Dns, sender: mpsc::Sender<(Key, Vec<ServerSettings>)>) {
    let (upstream, names) = (&key.0, &key.1);
    let name = names.query.to_string();
    let metrics = NameMetrics::new(upstream, &name);
    let addresses_max = dns.addresses_max as usize;
    let (mut failures, mut left_out_before) = (0, 0);
    loop {
        // The system's name servers may be others by now.
        let answer = match resolver(&dns) {
            Ok(resolver) => resolve(&resolver, names, addresses_max).await,
            Err(error) => Err(format!("there is nobody to ask: {error}")),
        };
        metrics.count(answer.is_ok());
        let wait = match answer {
            Ok(Resolved { servers, left_out, ttl }) => {
                if failures > 0 {
                    tracing::info!(upstream, name, "a name resolves again");
                }
                if left_out > 0 && left_out != left_out_before {
                    tracing::warn!(
                        upstream,
                        name,
                        left_out,
                        "a name has more addresses than dns.addresses_max; the last are left out"
                    );
                }
                (failures, left_out_before) = (0, left_out);
                metrics.servers.set(servers.len() as f64);
                if sender.send((key.clone(), servers)).await.is_err() {
                    return;
                }
                ttl.clamp(dns.ttl_min, dns.ttl_max)
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(
                        upstream,
                        name,
                        error,
                        "a name does not resolve; what it stood for last is used meanwhile"
                    );
                }
                failures += 1;
                let doubled = RETRY_MIN.saturating_mul(1 << failures.min(16));
                doubled.min(dns.ttl_max)
            }
        };
        sleep(wait).await;
    }
}

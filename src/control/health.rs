//! Health checks: each server of an upstream that has them is probed at its interval, by a task of
//! its own. What a server's probes say is in its state, where workers read it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::probe::{Target, probe};
use crate::balance::random::Random;
use crate::config::balancing::HealthCheck;
use crate::config::{Config, Upstream};
use crate::health::checker::{Checker, Health};
use crate::id::{ServerId, UpstreamId};
use crate::metrics::HealthCheckMetrics;
use crate::roster::{Roster, Server, ServerState};
use crate::tls::store::TlsStore;

/// The checks that are carried on.
#[derive(Debug, Default)]
pub(super) struct HealthChecks {
    running: Vec<Running>,
}

/// The check of one server.
#[derive(Debug)]
struct Running {
    upstream: Upstream,
    name: String,
    state: Arc<ServerState>,
    tls: Arc<TlsStore>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All that a task works with.
struct Check {
    upstream: UpstreamId,
    upstream_name: String,
    server_name: String,
    target: Target,
    check: HealthCheck,
    state: Arc<ServerState>,
    tls: Arc<TlsStore>,
    metrics: HealthCheckMetrics,
}

impl HealthChecks {
    /// Probes the servers of a roster from now on, as the configuration says. Checks of servers
    /// about which nothing has changed go on; what is known of a server outlives a change.
    pub(super) fn apply(&mut self, config: &Config, roster: &Roster, tls: &Arc<TlsStore>) {
        let mut before = std::mem::take(&mut self.running);
        for (index, upstream) in config.active_upstreams() {
            let Some(check) = &upstream.balancing.health else { continue };
            let id = UpstreamId(u32::try_from(index).unwrap_or(u32::MAX));
            let servers = roster.upstream(id);
            for member in servers.members() {
                let server = &servers.servers()[member.index()];
                let goes_on = before.iter().position(|it| it.is_of(upstream, server, tls));
                let running = match goes_on {
                    Some(place) => before.swap_remove(place),
                    None => start(id, upstream, check, *member, server, tls),
                };
                self.running.push(running);
            }
        }
    }
}

impl Running {
    fn is_of(&self, upstream: &Upstream, server: &Server, tls: &Arc<TlsStore>) -> bool {
        // Servers of the upstream may have changed, which is no matter of this one.
        let settings = |it: &Upstream| Upstream { servers: Vec::new(), ..it.clone() };
        Arc::ptr_eq(&self.state, &server.state)
            && Arc::ptr_eq(&self.tls, tls)
            && self.name == server.settings.name
            && settings(&self.upstream) == settings(upstream)
    }
}

fn start(
    id: UpstreamId,
    upstream: &Upstream,
    check: &HealthCheck,
    member: ServerId,
    server: &Arc<Server>,
    tls: &Arc<TlsStore>,
) -> Running {
    let name = server.settings.name.clone();
    let check = Check {
        upstream: id,
        upstream_name: upstream.name.clone(),
        server_name: name.clone(),
        target: Target {
            address: server.settings.address.clone(),
            authority: server.authority.clone(),
            source: upstream.source,
            tls: None,
            proxy_protocol: upstream.proxy_protocol,
        },
        check: check.clone(),
        state: Arc::clone(&server.state),
        tls: Arc::clone(tls),
        metrics: HealthCheckMetrics::new(&upstream.name, &name),
    };
    let seed = server.identity ^ u64::from(id.0) << 32 ^ u64::from(member.0);
    let task = tokio::spawn(carry_on(check, Random::new(seed))).abort_handle();
    let (state, tls) = (Arc::clone(&server.state), Arc::clone(tls));
    Running { upstream: upstream.clone(), name, state, tls, task }
}

/// Probes a server for as long as it lasts. The first probe is sent at once.
async fn carry_on(mut check: Check, mut random: Random) {
    let mut checker = Checker::new(check.state.health());
    loop {
        // Certificates may have changed since the last one.
        check.target.tls = check.tls.client(check.upstream, &check.target.address);
        let outcome = timeout(check.check.timeout, probe(&check.target, &check.check.probe)).await;
        let failure = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure.to_string()),
            Err(_) => Some(format!("no answer within {:?}", check.check.timeout)),
        };
        check.metrics.count(failure.is_none());
        if let Some(health) = checker.observe(failure.is_none(), check.check.thresholds) {
            check.state.set_health(health, Instant::now());
            check.tell(health, failure.as_deref());
        }
        sleep(jittered(check.check.interval, &mut random)).await;
    }
}

impl Check {
    fn tell(&self, health: Health, failure: Option<&str>) {
        let (upstream, server) = (&self.upstream_name, &self.server_name);
        match failure {
            Some(failure) => tracing::warn!(
                upstream,
                server,
                failure,
                "a server is {}: its health checks fail",
                health.label()
            ),
            None => tracing::info!(
                upstream,
                server,
                "a server is {}: its health checks pass",
                health.label()
            ),
        }
    }
}

/// The interval, give or take a tenth: the probes of many servers, and of many proxies, are not to
/// come all at once.
fn jittered(interval: Duration, random: &mut Random) -> Duration {
    let tenth = interval.as_micros() as u64 / 10;
    let offset = random.below(2 * tenth + 1);
    interval - Duration::from_micros(tenth) + Duration::from_micros(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_varies_by_a_tenth() {
        let mut random = Random::new(7);
        let interval = Duration::from_secs(2);
        let waits: Vec<Duration> = (0..1000).map(|_| jittered(interval, &mut random)).collect();
        assert!(waits.iter().all(|wait| (1800..=2200).contains(&wait.as_millis())));
        assert!(waits.iter().any(|wait| wait.as_millis() < 1850));
        assert!(waits.iter().any(|wait| wait.as_millis() > 2150));
    }
}

//! `[upstreams.NAME]` as written -> [`Upstream`].

use std::net::IpAddr;
use std::time::Duration;

use super::balancing::Balancing;
use super::error::{alternatives, nearest};
use super::kinds::{Count, Mismatch, SourceAddress, Span};
use super::names::NamedServers;
use super::proxy_protocol;
use super::reader::{Fallback, Report, Section, Setting};
use super::server::{self, Servers};
use super::succession::Standing;
use super::tls::UpstreamTls;
use super::tls_upstream;
use super::valid::{check_name, narrow};
use super::{Pool, ServerSettings, Upstream, limits, upstream_balancing};
use crate::address::Address;
use crate::id::UpstreamId;
use crate::proxy_protocol::ProxyVersion;

const POOL_IDLE_DEFAULT: u64 = 64;

pub(super) struct UpstreamSettings {
    name: String,
    balancing: Balancing,
    source: Option<IpAddr>,
    pub(super) servers: Vec<Setting<ServerSettings>>,
    names: Vec<Setting<NamedServers>>,
    pool: Pool,
    tls: Option<UpstreamTls>,
    proxy_protocol: Option<ProxyVersion>,
}

impl UpstreamSettings {
    /// `idle_timeout` holds for the pool of every upstream that does not override it.
    pub(super) fn read(
        name: &str,
        mut section: Section<'_>,
        report: &mut Report,
        idle_timeout: &Setting<Duration>,
    ) -> UpstreamSettings {
        check_name(report, section.key(), section.origin(), name);
        let Servers { addresses: servers, names } = server::read(&mut section, report);
        let addresses = server::addresses(&servers);
        let balancing = upstream_balancing::read(&mut section, report);
        let source = section.read(report, "source", &SourceAddress, Fallback::Default(None)).value;
        check_servers(report, &addresses, source);
        let proxy_protocol = proxy_protocol::read_send(&mut section, report);
        let is_shared = proxy_protocol.is_none();
        let pool = read_pool(section.section(report, "pool"), report, idle_timeout, is_shared);
        let tls = tls_upstream::read(&mut section, report, &addresses, &names);
        section.finish(report);
        let name = name.to_owned();
        UpstreamSettings { name, balancing, source, servers, names, pool, tls, proxy_protocol }
    }

    pub(super) fn into_upstream(self) -> Upstream {
        Upstream {
            name: self.name,
            standing: Standing::Active,
            balancing: self.balancing,
            source: self.source,
            servers: self.servers.into_iter().map(|server| server.value).collect(),
            names: self.names.into_iter().map(|names| names.value).collect(),
            pool: self.pool,
            tls: self.tls,
            proxy_protocol: self.proxy_protocol,
        }
    }
}

fn check_servers(report: &mut Report, servers: &[Setting<Address>], source: Option<IpAddr>) {
    for server in servers {
        let Address::Ip(address) = &server.value else { continue };
        if address.port() == 0 {
            let problem = format!("found \"{address}\"");
            let expected = "a port from 1 to 65535, since nothing listens on port 0";
            report.error(&server.key, &server.origin, problem, expected);
        }
        if let Some(source) = source.filter(|source| address.is_ipv4() != source.is_ipv4()) {
            let problem = format!("{address} cannot be reached from source {source}");
            report.error(&server.key, &server.origin, problem, "both IPv4 or both IPv6");
        }
    }
}

fn read_pool(
    mut section: Section<'_>,
    report: &mut Report,
    idle_timeout: &Setting<Duration>,
    is_shared: bool,
) -> Pool {
    // A connection whose first bytes named one client must not carry another's requests.
    let idle_max = Fallback::Default(if is_shared { POOL_IDLE_DEFAULT } else { 0 });
    let idle_max = section.read(report, "idle_max", &Count(limits::POOL_IDLE), idle_max);
    if !is_shared && idle_max.value > 0 {
        let problem = "with proxy_protocol, each connection belongs to one client";
        report.error(&idle_max.key, &idle_max.origin, problem, "0, or nothing");
    }
    let idle_max = idle_max.value;
    let idle_timeout = Fallback::Inherit(idle_timeout);
    let idle_timeout =
        section.read(report, "idle_timeout", &Span(limits::TIMEOUT), idle_timeout).value;
    section.finish(report);
    Pool { idle_max: narrow(idle_max), idle_timeout }
}

/// The place of the upstream with this name.
pub(super) fn position(name: &str, upstreams: &[UpstreamSettings]) -> Option<usize> {
    upstreams.iter().position(|upstream| upstream.name == name)
}

/// The upstream that a key names; that there is none is reported.
pub(super) fn find(
    report: &mut Report,
    named: &Setting<String>,
    upstreams: &[UpstreamSettings],
) -> Option<UpstreamId> {
    let position = position(&named.value, upstreams);
    if position.is_none() {
        let names = || upstreams.iter().map(|upstream| upstream.name.as_str());
        let mismatch = Mismatch {
            problem: format!("there is no upstream named {:?}", named.value),
            expected: match upstreams {
                [] => format!("its servers in [upstreams.{}]", named.value),
                _ => alternatives(names()),
            },
            nearest: nearest(&named.value, names()),
        };
        report.mismatch(named.key.clone(), &named.origin, mismatch);
    }
    position.and_then(|place| u32::try_from(place).ok()).map(UpstreamId)
}

//! The tree as written -> [`Config`], or every error that is in it.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::conflict::{report_loops, report_overlaps};
use super::error::{ConfigError, alternatives, nearest};
use super::inherited::{KeepaliveSettings, RelaySettings, Shared, TimeoutSettings};
use super::kinds::{
    AdminBind, AutoOrCount, Choice, Count, LogPath, Mismatch, ProtocolName, Size, SourceAddress,
    Span, UpstreamName,
};
use super::raw::{Node, Origin};
use super::reader::{Effective, Fallback, Report, Section, Setting};
use super::{
    AccessLog, Balance, Config, Listener, LogFormat, LogTarget, Process, Protocol, RelayMemory,
    Upstream, Workers, limits,
};
use crate::address::Address;
use crate::id::UpstreamId;

const LOG_FORMAT: Choice<LogFormat> =
    Choice(&[("json", LogFormat::Json), ("combined", LogFormat::Combined)]);
const BALANCE: Choice<Balance> = Choice(&[("round_robin", Balance::RoundRobin)]);

const RELAY_MEMORY_DEFAULT: u64 = 256 << 20;
const BACKLOG_DEFAULT: u64 = 4096;

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Reads the whole tree. On success also every value in force with its origin, in the order in
/// which `explain` shows them.
///
/// # Errors
/// Everything that is wrong, sorted by where it was written.
pub fn validate(tree: &Node) -> Result<(Config, Vec<Effective>), Vec<ConfigError>> {
    let mut report = Report::default();
    let config = read_root(&mut report, tree);
    match config {
        Some(config) if report.errors.is_empty() => Ok((config, report.effective)),
        _ => {
            report.errors.sort_by(|one, other| one.origin.cmp(&other.origin));
            Err(report.errors)
        }
    }
}

/// What is read; `None` only if something was reported.
fn read_root(report: &mut Report, tree: &Node) -> Option<Config> {
    let mut root = Section::new(report, String::new(), tree);
    let process = read_process(root.section(report, "process"), report);
    let admin = read_admin(root.section(report, "admin"), report);
    let access_log = read_access_log(root.section(report, "access_log"), report);
    let mut relay = root.section(report, "relay");
    let relay_settings = RelaySettings::read(&mut relay, report, None);
    let memory = read_memory(&mut relay, report);
    relay.finish(report);
    let shared = Shared {
        relay: relay_settings,
        timeouts: TimeoutSettings::read(root.section(report, "timeouts"), report, None),
        keepalive: KeepaliveSettings::read(root.section(report, "keepalive"), report, None),
    };
    let listeners = root.section(report, "listeners");
    let upstreams = root.section(report, "upstreams");
    root.finish(report);

    let none = "at least one listener, such as [listeners.web] with bind and upstream";
    let (listeners_key, listeners_origin) =
        (listeners.key().to_owned(), listeners.origin().clone());
    let listeners = listeners.into_named(report);
    if listeners.is_empty() {
        report.error(&listeners_key, &listeners_origin, "missing", none);
    }
    let listeners: Vec<ListenerSettings> = listeners
        .into_iter()
        .map(|(name, section)| ListenerSettings::read(name, section, report, &shared))
        .collect();
    let upstreams: Vec<UpstreamSettings> = upstreams
        .into_named(report)
        .into_iter()
        .map(|(name, section)| UpstreamSettings::read(name, section, report))
        .collect();
    let targets: Vec<Option<usize>> = listeners
        .iter()
        .map(|listener| find_upstream(report, listener.upstream.as_ref()?, &upstreams))
        .collect();
    report_conflicts(report, &admin, &listeners, &targets, &upstreams);

    let listeners = listeners.into_iter().zip(targets);
    Some(Config {
        process,
        admin: admin.value,
        access_log,
        memory,
        listeners: listeners
            .map(|(listener, target)| {
                Some(listener.into_listener(UpstreamId(u32::try_from(target?).ok()?)))
            })
            .collect::<Option<Vec<Listener>>>()?,
        upstreams: upstreams.into_iter().map(UpstreamSettings::into_upstream).collect(),
    })
}

fn read_process(mut section: Section<'_>, report: &mut Report) -> Process {
    let count = |number: u64| usize::try_from(number).ok().and_then(NonZeroUsize::new);
    let workers = AutoOrCount(limits::WORKERS);
    let workers = section.read(report, "workers", &workers, Fallback::Default(None)).value;
    let connections = AutoOrCount(limits::CONNECTIONS);
    let connections =
        section.read(report, "connections_max", &connections, Fallback::Default(None)).value;
    let drain = Span(limits::DRAIN);
    let grace = Fallback::Default(Duration::ZERO);
    let drain_grace = section.read(report, "drain_grace", &drain, grace).value;
    let timeout = Fallback::Default(seconds(30));
    let drain_timeout = section.read(report, "drain_timeout", &drain, timeout).value;
    section.finish(report);
    Process {
        workers: workers.and_then(count).map_or(Workers::Auto, Workers::Count),
        connections_max: connections.and_then(count),
        drain_grace,
        drain_timeout,
    }
}

/// Where the admin endpoint is to be found unless the config says otherwise.
const ADMIN_DEFAULT: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9900);

fn read_admin(
    mut section: Section<'_>,
    report: &mut Report,
) -> Setting<Option<std::net::SocketAddr>> {
    let default = Fallback::Default(Some(ADMIN_DEFAULT));
    let bind = section.read(report, "bind", &AdminBind, default);
    section.finish(report);
    bind
}

fn read_access_log(mut section: Section<'_>, report: &mut Report) -> AccessLog {
    let target = Fallback::Default(LogTarget::Stdout);
    let target = section.read(report, "path", &LogPath, target).value;
    let format = Fallback::Default(LogFormat::Json);
    let format = section.read(report, "format", &LOG_FORMAT, format).value;
    section.finish(report);
    AccessLog { target, format }
}

fn read_memory(section: &mut Section<'_>, report: &mut Report) -> RelayMemory {
    let size = Size(limits::RELAY_MEMORY);
    let mut read =
        |name| section.read(report, name, &size, Fallback::Default(RELAY_MEMORY_DEFAULT)).value;
    RelayMemory { pipe_memory_max: read("pipe_memory"), buffer_memory_max: read("buffer_memory") }
}

struct ListenerSettings {
    key: String,
    name: String,
    bind: Vec<Setting<Address>>,
    backlog: u64,
    upstream: Option<Setting<String>>,
    relay: RelaySettings,
    timeouts: TimeoutSettings,
    keepalive: KeepaliveSettings,
}

impl ListenerSettings {
    fn read(
        name: &str,
        mut section: Section<'_>,
        report: &mut Report,
        shared: &Shared,
    ) -> ListenerSettings {
        check_name(report, section.key(), section.origin(), name);
        let bind = section.addresses(
            report,
            "bind",
            "an address such as \"0.0.0.0:8080\", or a list of them",
        );
        let upstream = section.require(
            report,
            "upstream",
            &UpstreamName,
            "the name of an upstream, with its servers in [upstreams.NAME]",
        );
        let protocol = Fallback::Default(());
        let _protocol = section.read(report, "protocol", &ProtocolName, protocol).value;
        let backlog = Fallback::Default(BACKLOG_DEFAULT);
        let backlog = section.read(report, "backlog", &Count(limits::BACKLOG), backlog).value;
        let mut relay_section = section.section(report, "relay");
        let relay = RelaySettings::read(&mut relay_section, report, Some(&shared.relay));
        relay_section.finish(report);
        let timeouts = section.section(report, "timeouts");
        let timeouts = TimeoutSettings::read(timeouts, report, Some(&shared.timeouts));
        let keepalive = section.section(report, "keepalive");
        let keepalive = KeepaliveSettings::read(keepalive, report, Some(&shared.keepalive));
        let key = section.key().to_owned();
        section.finish(report);
        let name = name.to_owned();
        ListenerSettings { key, name, bind, backlog, upstream, relay, timeouts, keepalive }
    }

    fn into_listener(self, upstream: UpstreamId) -> Listener {
        Listener {
            name: self.name,
            bind: self.bind.into_iter().map(|bind| bind.value).collect(),
            backlog: narrow(self.backlog),
            protocol: Protocol::Tcp(upstream),
            relay: self.relay.relay(),
            timeouts: self.timeouts.timeouts(),
            keepalive: self.keepalive.keepalive(),
        }
    }
}

fn find_upstream(
    report: &mut Report,
    named: &Setting<String>,
    upstreams: &[UpstreamSettings],
) -> Option<usize> {
    let position = upstreams.iter().position(|upstream| upstream.name == named.value);
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
    position
}

struct UpstreamSettings {
    name: String,
    balance: Balance,
    source: Option<IpAddr>,
    servers: Vec<Setting<Address>>,
}

impl UpstreamSettings {
    fn read(name: &str, mut section: Section<'_>, report: &mut Report) -> UpstreamSettings {
        check_name(report, section.key(), section.origin(), name);
        let servers = section.addresses(
            report,
            "servers",
            "a list of addresses, such as [\"127.0.0.1:9001\"]",
        );
        for server in &servers {
            if matches!(&server.value, Address::Ip(address) if address.port() == 0) {
                let problem = format!("found \"{}\"", server.value);
                let expected = "a port from 1 to 65535, since nothing listens on port 0";
                report.error(&server.key, &server.origin, problem, expected);
            }
        }
        let balance = Fallback::Default(Balance::RoundRobin);
        let balance = section.read(report, "balance", &BALANCE, balance).value;
        let source = section.read(report, "source", &SourceAddress, Fallback::Default(None)).value;
        for server in &servers {
            if let (Address::Ip(address), Some(source)) = (&server.value, source)
                && address.is_ipv4() != source.is_ipv4()
            {
                let problem = format!("{address} cannot be reached from source {source}");
                let expected = "both IPv4 or both IPv6";
                report.error(&server.key, &server.origin, problem, expected);
            }
        }
        section.finish(report);
        UpstreamSettings { name: name.to_owned(), balance, source, servers }
    }

    fn into_upstream(self) -> Upstream {
        Upstream {
            name: self.name,
            balance: self.balance,
            source: self.source,
            servers: self.servers.into_iter().map(|server| server.value).collect(),
            pool: super::Pool { idle_max: 64, idle_timeout: seconds(4) },
        }
    }
}

/// Names become parts of environment variables, where `__` separates keys and case is lost, and
/// labels of metrics.
fn check_name(report: &mut Report, key: &str, origin: &Origin, name: &str) {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| edge(c) || c == '-' || c == '_';
    let fits = limits::NAME_BYTES.contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(edge)
        && name.ends_with(edge)
        && !name.contains("__");
    if !fits {
        let expected = format!(
            "{} to {} of a-z, 0-9, \"-\" and \"_\", with a letter or digit at both ends and no \
             \"__\"",
            limits::NAME_BYTES.start(),
            limits::NAME_BYTES.end()
        );
        report.error(key, origin, format!("{name:?} cannot be a name"), expected);
    }
}

fn report_conflicts(
    report: &mut Report,
    admin: &Setting<Option<std::net::SocketAddr>>,
    listeners: &[ListenerSettings],
    targets: &[Option<usize>],
    upstreams: &[UpstreamSettings],
) {
    let admin = admin.value.map(|address| Setting {
        value: Address::Ip(address),
        key: admin.key.clone(),
        origin: admin.origin.clone(),
    });
    let listening = listeners.iter().flat_map(|listener| &listener.bind);
    let binds: Vec<&Setting<Address>> = admin.iter().chain(listening).collect();
    report_overlaps(report, &binds);
    for (listener, target) in listeners.iter().zip(targets) {
        if let Some(target) = target {
            report_loops(report, &listener.key, &listener.bind, &upstreams[*target].servers);
        }
    }
}

/// A number that its limit, [`limits::BACKLOG`] or [`limits::KEEPALIVE_PROBES`], keeps small.
pub(super) fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

//! The tree as written -> [`Config`], or every error that is in it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::conflict::{report_loops, report_overlaps};
use super::control;
use super::error::ConfigError;
use super::http_settings::{ForwardedSettings, HttpSettings, HttpTimeoutSettings, LimitSettings};
use super::inherited::{KeepaliveSettings, RelaySettings, Shared, TimeoutSettings};
use super::kinds::{AdminBind, AutoOrCount, Choice, Count, LogPath, Size, Span, Switch};
use super::listener::ListenerSettings;
use super::raw::{Node, Origin};
use super::reader::{Effective, Fallback, Report, Section, Setting};
use super::server;
use super::upstream::{self, UpstreamSettings};
use super::{
    AccessLog, Config, Listener, LogFormat, LogTarget, Process, RelayMemory, Workers, limits, names,
};
use crate::address::Address;

const LOG_FORMAT: Choice<LogFormat> =
    Choice(&[("json", LogFormat::Json), ("combined", LogFormat::Combined)]);

const RELAY_MEMORY_DEFAULT: u64 = 256 << 20;

/// At some 40 KiB each, a flood of them holds 20 MiB in each worker.
const HANDSHAKES_DEFAULT: NonZeroUsize = NonZeroUsize::new(512).expect("512 is not zero");

/// At 64 bytes each, 4 MiB, where limits are set for each client.
const LIMITED_CLIENTS_DEFAULT: NonZeroUsize =
    NonZeroUsize::new(64 << 10).expect("64 Ki is not zero");

/// Below the 5 seconds after which Node.js closes a connection: a request on one that has just
/// died is the commonest reason for a 502.
const UPSTREAM_IDLE_DEFAULT: Duration = seconds(4);

/// Nobody waits for the old process: its successor serves. So downloads and tunnels have the time
/// that most of them need.
const UPGRADE_DRAIN_DEFAULT: Duration = seconds(60 * 60);

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
    let control = control::read(root.section(report, "control"), report);
    let access_log = read_access_log(root.section(report, "access_log"), report);
    let mut relay = root.section(report, "relay");
    let relay_settings = RelaySettings::read(&mut relay, report, None);
    let memory = read_memory(&mut relay, report);
    relay.finish(report);
    let mut timeouts = root.section(report, "timeouts");
    let shared = Shared {
        relay: relay_settings,
        timeouts: TimeoutSettings::read(&mut timeouts, report, None),
        http: HttpSettings {
            timeouts: HttpTimeoutSettings::read(&mut timeouts, report, None),
            limits: LimitSettings::read(root.section(report, "http"), report, None),
            forwarded: ForwardedSettings::read(root.section(report, "forwarded"), report, None),
        },
        keepalive: KeepaliveSettings::read(root.section(report, "keepalive"), report, None),
    };
    let upstream_idle = Fallback::Default(UPSTREAM_IDLE_DEFAULT);
    let upstream_idle =
        timeouts.read(report, "upstream_idle", &Span(limits::TIMEOUT), upstream_idle);
    timeouts.finish(report);
    let dns = names::read(root.section(report, "dns"), report);
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
        .map(|(name, section)| UpstreamSettings::read(name, section, report, &upstream_idle))
        .collect();
    report_conflicts(report, &admin, &listeners, &upstreams);

    let listeners: Vec<Option<Listener>> =
        listeners.into_iter().map(|listener| listener.into_listener(report, &upstreams)).collect();
    Some(Config {
        process,
        admin: admin.value,
        control,
        access_log,
        memory,
        dns,
        listeners: listeners.into_iter().collect::<Option<Vec<Listener>>>()?,
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
    let handshakes = Fallback::Default(HANDSHAKES_DEFAULT.get() as u64);
    let handshakes =
        section.read(report, "handshakes_max", &Count(limits::HANDSHAKES), handshakes).value;
    let clients = Count(limits::LIMITED_CLIENTS);
    let fallback = Fallback::Default(LIMITED_CLIENTS_DEFAULT.get() as u64);
    let clients = section.read(report, "limited_clients_max", &clients, fallback).value;
    let drain = Span(limits::DRAIN);
    let grace = Fallback::Default(Duration::ZERO);
    let drain_grace = section.read(report, "drain_grace", &drain, grace).value;
    let timeout = Fallback::Default(seconds(30));
    let drain_timeout = section.read(report, "drain_timeout", &drain, timeout).value;
    let upgrade = Fallback::Default(seconds(30));
    let upgrade_timeout =
        section.read(report, "upgrade_timeout", &Span(limits::UPGRADE), upgrade).value;
    let timeout = Fallback::Default(UPGRADE_DRAIN_DEFAULT);
    let upgrade_drain = Span(limits::UPGRADE_DRAIN);
    let upgrade_drain_timeout =
        section.read(report, "upgrade_drain_timeout", &upgrade_drain, timeout).value;
    let watch = Fallback::Default(false);
    let watch_config = section.read(report, "watch_config", &Switch, watch).value;
    section.finish(report);
    Process {
        workers: workers.and_then(count).map_or(Workers::Auto, Workers::Count),
        connections_max: connections.and_then(count),
        handshakes_max: count(handshakes).unwrap_or(HANDSHAKES_DEFAULT),
        limited_clients_max: count(clients).unwrap_or(LIMITED_CLIENTS_DEFAULT),
        drain_grace,
        drain_timeout,
        upgrade_timeout,
        upgrade_drain_timeout,
        watch_config,
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

/// Names become parts of environment variables, where `__` separates keys and case is lost, and
/// labels of metrics.
pub(super) fn check_name(report: &mut Report, key: &str, origin: &Origin, name: &str) {
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
    for listener in listeners {
        let targets = listener.targets().into_iter();
        let targets: BTreeSet<usize> =
            targets.filter_map(|name| upstream::position(&name.value, upstreams)).collect();
        for target in targets {
            let servers = server::addresses(&upstreams[target].servers);
            report_loops(report, &listener.key, &listener.bind, &servers);
        }
    }
}

/// A number that its limit keeps small, such as [`limits::BACKLOG`].
pub(super) fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

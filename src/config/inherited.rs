//! The settings that stand both for all listeners and within one: `[relay]`, `[timeouts]`,
//! `[keepalive]` and what `[listeners.NAME]` overrides of them. Those of HTTP are in `http.rs`.

use std::time::Duration;

use super::http_settings::HttpSettings;
use super::kinds::{Choice, Count, PipeCapacity, Rounded, SizeOrOff, Span, Switch, WholeSeconds};
use super::reader::{Fallback, Report, Section, Setting};
use super::valid::{narrow, seconds};
use super::{Keepalive, Relay, RelayMode, Timeouts, limits};

const MODE: Choice<RelayMode> =
    Choice(&[("splice", RelayMode::Splice), ("copy", RelayMode::Copy), ("auto", RelayMode::Auto)]);
const PIPE_SIZE_DEFAULT: Rounded = Rounded::exactly(1 << 20);
const LOW_WATER_DEFAULT: Option<u64> = Some(512 << 10);
const KEEPALIVE_PROBES_DEFAULT: u64 = 6;

/// What holds for every listener that does not override it.
pub(super) struct Shared {
    pub(super) relay: RelaySettings,
    pub(super) timeouts: TimeoutSettings,
    pub(super) keepalive: KeepaliveSettings,
    pub(super) http: HttpSettings,
}

pub(super) struct RelaySettings {
    pub(super) mode: Setting<RelayMode>,
    pub(super) pipe_size: Setting<Rounded>,
    pub(super) low_water: Setting<Option<u64>>,
}

impl RelaySettings {
    /// Leaves `section` open: the one for all listeners has more keys.
    pub(super) fn read(
        section: &mut Section<'_>,
        report: &mut Report,
        shared: Option<&RelaySettings>,
    ) -> RelaySettings {
        let mode = Fallback::new(shared.map(|s| &s.mode), RelayMode::Auto);
        let pipe_size = Fallback::new(shared.map(|s| &s.pipe_size), PIPE_SIZE_DEFAULT);
        let low_water = Fallback::new(shared.map(|s| &s.low_water), LOW_WATER_DEFAULT);
        RelaySettings {
            mode: section.read(report, "mode", &MODE, mode),
            pipe_size: section.read(
                report,
                "pipe_size",
                &PipeCapacity(limits::PIPE_SIZE),
                pipe_size,
            ),
            low_water: section.read(report, "low_water", &SizeOrOff(limits::LOW_WATER), low_water),
        }
    }

    pub(super) fn relay(&self) -> Relay {
        Relay {
            mode: self.mode.value,
            pipe_size: self.pipe_size.value.size,
            low_water: self.low_water.value.map(narrow),
        }
    }
}

pub(super) struct TimeoutSettings {
    pub(super) connect: Setting<Duration>,
    pub(super) idle: Setting<Duration>,
    pub(super) half_closed: Setting<Duration>,
    pub(super) tls_handshake: Setting<Duration>,
    pub(super) proxy_header: Setting<Duration>,
}

impl TimeoutSettings {
    /// Leaves `section` open: HTTP has more keys.
    pub(super) fn read(
        section: &mut Section<'_>,
        report: &mut Report,
        shared: Option<&TimeoutSettings>,
    ) -> TimeoutSettings {
        let kind = Span(limits::TIMEOUT);
        let connect = Fallback::new(shared.map(|s| &s.connect), seconds(5));
        let idle = Fallback::new(shared.map(|s| &s.idle), seconds(5 * 60));
        let half_closed = Fallback::new(shared.map(|s| &s.half_closed), seconds(30));
        let tls_handshake = Fallback::new(shared.map(|s| &s.tls_handshake), seconds(10));
        let proxy_header = Fallback::new(shared.map(|s| &s.proxy_header), seconds(5));
        TimeoutSettings {
            connect: section.read(report, "connect", &kind, connect),
            idle: section.read(report, "idle", &kind, idle),
            half_closed: section.read(report, "half_closed", &kind, half_closed),
            tls_handshake: section.read(report, "tls_handshake", &kind, tls_handshake),
            proxy_header: section.read(report, "proxy_header", &kind, proxy_header),
        }
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts {
            connect: self.connect.value,
            idle: self.idle.value,
            half_closed: self.half_closed.value,
            tls_handshake: self.tls_handshake.value,
            proxy_header: self.proxy_header.value,
        }
    }
}

pub(super) struct KeepaliveSettings {
    pub(super) enabled: Setting<bool>,
    pub(super) idle: Setting<Duration>,
    pub(super) interval: Setting<Duration>,
    pub(super) probes: Setting<u64>,
}

impl KeepaliveSettings {
    pub(super) fn read(
        mut section: Section<'_>,
        report: &mut Report,
        shared: Option<&KeepaliveSettings>,
    ) -> KeepaliveSettings {
        let time = WholeSeconds(limits::KEEPALIVE);
        let count = Count(limits::KEEPALIVE_PROBES);
        let enabled = Fallback::new(shared.map(|s| &s.enabled), true);
        let idle = Fallback::new(shared.map(|s| &s.idle), seconds(60));
        let interval = Fallback::new(shared.map(|s| &s.interval), seconds(10));
        let probes = Fallback::new(shared.map(|s| &s.probes), KEEPALIVE_PROBES_DEFAULT);
        let settings = KeepaliveSettings {
            enabled: section.read(report, "enabled", &Switch, enabled),
            idle: section.read(report, "idle", &time, idle),
            interval: section.read(report, "interval", &time, interval),
            probes: section.read(report, "probes", &count, probes),
        };
        section.finish(report);
        settings
    }

    pub(super) fn keepalive(&self) -> Option<Keepalive> {
        self.enabled.value.then(|| Keepalive {
            idle: self.idle.value,
            interval: self.interval.value,
            probes: narrow(self.probes.value),
        })
    }
}

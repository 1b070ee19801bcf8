//! `[upstreams.NAME.health]` as written -> [`HealthCheck`].

use std::time::Duration;

use super::balancing::{HealthCheck, HttpProbe, Probe, Statuses};
use super::kinds::{Count, Span, Switch};
use super::limits;
use super::reader::{Fallback, Report, Section};
use super::upstream_kinds::{ProbeBody, ProbeHost, ProbePath, StatusRange};
use super::valid::{narrow, seconds};
use crate::health::checker::Thresholds;

const INTERVAL_DEFAULT: Duration = seconds(2);
const TIMEOUT_DEFAULT: Duration = seconds(1);

/// Statuses of a server that is well, unless the config says otherwise.
const STATUS_DEFAULT: (u16, u16) = (200, 299);

/// Reads the section; `None` if there is no such table.
pub(super) fn read(upstream: &mut Section<'_>, report: &mut Report) -> Option<HealthCheck> {
    let is_written = upstream.has("health");
    let mut section = upstream.section(report, "health");
    if !is_written {
        return None;
    }
    let probe = read_probe(&mut section, report);
    let interval = Fallback::Default(INTERVAL_DEFAULT);
    let interval = section.read(report, "interval", &Span(limits::PROBE_INTERVAL), interval).value;
    let timeout = Fallback::Default(TIMEOUT_DEFAULT);
    let timeout = section.read(report, "timeout", &Span(limits::PROBE_INTERVAL), timeout).value;
    let count = Count(limits::PROBES);
    let rise = section.read(report, "rise", &count, Fallback::Default(2)).value;
    let fall = section.read(report, "fall", &count, Fallback::Default(3)).value;
    section.finish(report);
    let thresholds = Thresholds { rise: narrow(rise), fall: narrow(fall) };
    Some(HealthCheck { probe: probe?, interval, timeout, thresholds })
}

fn read_probe(section: &mut Section<'_>, report: &mut Report) -> Option<Probe> {
    let path = section.optional(report, "http", &ProbePath);
    let tcp = section.optional(report, "tcp", &Switch);
    match (path, tcp.filter(|tcp| tcp.value)) {
        (Some(path), None) => {
            let host = section.optional(report, "host", &ProbeHost).map(|host| host.value);
            let status = section.values(report, "status", &StatusRange, StatusRange::EXPECTED);
            let mut status: Vec<_> = status.into_iter().map(|range| range.value).collect();
            if status.is_empty() {
                status.push(STATUS_DEFAULT);
            }
            let body = section.optional(report, "body", &ProbeBody).map(|body| body.value);
            let status = Statuses(status);
            Some(Probe::Http(HttpProbe { path: path.value, host, status, body }))
        }
        (None, Some(_)) => {
            for key in ["host", "status", "body"] {
                let problem = "a probe by TCP sends no request";
                section.refuse(report, key, problem, "http = \"/healthz\" instead of tcp");
            }
            Some(Probe::Tcp)
        }
        (Some(path), Some(_)) => {
            let problem = "there is tcp = true beside it";
            report.error(&path.key, &path.origin, problem, "one of the two");
            None
        }
        (None, None) => {
            let (key, origin) = (section.key().to_owned(), section.origin().clone());
            let expected = "http = \"/healthz\" or tcp = true";
            report.error(&key, &origin, "it does not say what a probe is", expected);
            None
        }
    }
}

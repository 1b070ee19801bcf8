//! `[[listeners.NAME.sni]]` as written -> [`Sni`].

use super::http_kinds::HostCondition;
use super::kinds::{Switch, UpstreamName};
use super::limits;
use super::raw::Origin;
use super::reader::{Fallback, Report, Section, Setting};
use super::tls::{Sni, SniRoute};
use super::tls_kinds::AlpnName;
use super::upstream::{self, UpstreamSettings};
use crate::route::sni::{SniPattern, SniRouter};

pub(super) struct SniSettings {
    routes: Vec<SniRouteSettings>,
}

struct SniRouteSettings {
    key: String,
    origin: Origin,
    pattern: SniPattern,
    terminates: bool,
    /// `None` only if something was reported.
    upstream: Option<Setting<String>>,
}

impl SniSettings {
    /// Reads the routes; `None` if there are none. `has_tls` tells whether the listener could
    /// end a session.
    pub(super) fn read(
        section: &mut Section<'_>,
        report: &mut Report,
        has_tls: bool,
    ) -> Option<SniSettings> {
        let is_written = section.has("sni");
        let expected = "a list of tables, such as [[listeners.NAME.sni]]";
        let errors_before = report.errors.len();
        let tables = section.tables(report, "sni", limits::ROUTES, expected);
        if !is_written {
            return None;
        }
        let default = section.optional(report, "upstream", &UpstreamName);
        let mut is_used = false;
        let mut routes = Vec::new();
        for table in tables {
            let route = SniRouteSettings::read(table, report, default.as_ref(), &mut is_used);
            if route.terminates && !has_tls {
                let problem = "there is nothing to end a session with";
                let expected = "certificates in a table tls of the listener";
                report.error(&route.key, &route.origin, problem, expected);
            }
            routes.push(route);
        }
        if report.errors.len() == errors_before {
            check_routes(report, &routes);
            check_use(section, report, &routes, default.as_ref().filter(|_| !is_used), has_tls);
        }
        Some(SniSettings { routes })
    }

    /// The upstreams that they name.
    pub(super) fn targets(&self) -> Vec<&Setting<String>> {
        self.routes.iter().filter_map(|route| route.upstream.as_ref()).collect()
    }

    /// `None` only if something was reported.
    pub(super) fn into_sni(
        self,
        report: &mut Report,
        upstreams: &[UpstreamSettings],
    ) -> Option<Sni> {
        let mut patterns = Vec::new();
        let mut routes = Vec::new();
        for route in self.routes {
            let upstream = upstream::find(report, route.upstream.as_ref()?, upstreams)?;
            patterns.push(route.pattern);
            routes.push(match route.terminates {
                true => SniRoute::Terminate(upstream),
                false => SniRoute::PassThrough(upstream),
            });
        }
        Some(Sni { router: SniRouter::new(patterns), routes })
    }
}

impl SniRouteSettings {
    /// `default` is where a session goes that ends here, if the route does not say; that it does
    /// is noted in `is_used`.
    fn read(
        mut section: Section<'_>,
        report: &mut Report,
        default: Option<&Setting<String>>,
        is_used: &mut bool,
    ) -> SniRouteSettings {
        let pattern = read_pattern(&mut section, report);
        let terminates = section.read(report, "terminate", &Switch, Fallback::Default(false)).value;
        let upstream = if terminates && !section.has("upstream") && default.is_some() {
            *is_used = true;
            default.cloned()
        } else {
            let expected = "the name of an upstream, with its servers in [upstreams.NAME]";
            section.require(report, "upstream", &UpstreamName, expected)
        };
        let (key, origin) = (section.key().to_owned(), section.origin().clone());
        section.finish(report);
        SniRouteSettings { key, origin, pattern, terminates, upstream }
    }
}

fn read_pattern(section: &mut Section<'_>, report: &mut Report) -> SniPattern {
    let errors_before = report.errors.len();
    let expected = "a list of names, such as [\"a.example\", \"*.b.example\"]";
    let names = section.values(report, "names", &HostCondition, expected);
    let expected = "a list of protocols, such as [\"h2\"]";
    let alpn = section.values(report, "alpn", &AlpnName, expected);
    let default = section.optional(report, "default", &Switch).filter(|it| it.value);
    let pattern = SniPattern {
        names: names.into_iter().map(|name| name.value).collect(),
        alpn: alpn.into_iter().map(|name| name.value).collect(),
    };
    let is_read = report.errors.len() == errors_before;
    match default {
        Some(default) if !pattern.is_any() => {
            let problem = "a route that is for some clients is not the one for all others";
            let expected = "either names and alpn, or default = true";
            report.error(&default.key, &default.origin, problem, expected);
        }
        None if pattern.is_any() && is_read => {
            let expected = "names or alpn, or default = true for all other clients";
            report.error(section.key(), section.origin(), "it does not say for whom", expected);
        }
        _ => {}
    }
    pattern
}

/// Reports each route that an earlier one hides: for the same name and the same protocols.
fn check_routes(report: &mut Report, routes: &[SniRouteSettings]) {
    for (index, route) in routes.iter().enumerate() {
        let hides = |other: &&SniRouteSettings| {
            let is_named = |name| other.pattern.names.contains(name);
            other.pattern.alpn == route.pattern.alpn
                && other.pattern.names.is_empty() == route.pattern.names.is_empty()
                && route.pattern.names.iter().all(is_named)
        };
        if let Some(other) = routes[..index].iter().find(hides) {
            let problem =
                format!("no client comes here: {} ({}) is for all of it", other.key, other.origin);
            report.error(&route.key, &route.origin, problem, "other names or protocols");
        }
    }
}

/// Reports what no route makes use of.
fn check_use(
    section: &Section<'_>,
    report: &mut Report,
    routes: &[SniRouteSettings],
    unused: Option<&Setting<String>>,
    has_tls: bool,
) {
    if let Some(upstream) = unused {
        let problem = "nothing goes there: every route of sni has an upstream of its own";
        let expected = "a route of sni with terminate = true and no upstream, or none here";
        report.error(&upstream.key, &upstream.origin, problem, expected);
    }
    if has_tls && !routes.iter().any(|route| route.terminates) {
        let key = format!("{}.tls", section.key());
        let problem = "no session ends here: every route of sni passes its clients through";
        report.error(&key, section.origin(), problem, "a route of sni with terminate = true");
    }
}

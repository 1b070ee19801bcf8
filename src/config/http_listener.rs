//! What `[listeners.NAME]` has with `protocol = "http"` -> [`Http`].

use super::file_routes;
use super::files::ErrorPage;
use super::headers;
use super::http_kinds::HostHeader;
use super::http_settings::{ForwardedSettings, HttpSettings, HttpTimeoutSettings, LimitSettings};
use super::inherited::RelaySettings;
use super::kinds::UpstreamName;
use super::reader::{Fallback, Report, Section, Setting};
use super::routes::{RouteDefaults, RouteSettings};
use super::upstream::UpstreamSettings;
use super::{Http, limits};
use crate::http::host::HostPolicy;
use crate::route::Router;

pub(super) struct HttpListenerSettings {
    routes: Vec<RouteSettings>,
    limits: LimitSettings,
    timeouts: HttpTimeoutSettings,
    forwarded: ForwardedSettings,
    error_pages: Vec<ErrorPage>,
}

impl HttpListenerSettings {
    /// What a TCP listener must not have.
    pub(super) const KEYS: [&str; 7] = [
        "routes",
        "http",
        "forwarded",
        "host_header",
        "request_headers",
        "response_headers",
        "error_pages",
    ];

    /// Leaves both sections open: they have keys that are not of HTTP.
    pub(super) fn read(
        section: &mut Section<'_>,
        timeouts: &mut Section<'_>,
        report: &mut Report,
        relay: &RelaySettings,
        shared: &HttpSettings,
    ) -> HttpListenerSettings {
        let timeouts = HttpTimeoutSettings::read(timeouts, report, Some(&shared.timeouts));
        let host_header = Fallback::Default(HostPolicy::Preserve);
        let defaults = RouteDefaults {
            relay,
            host_header: section.read(report, "host_header", &HostHeader, host_header),
            request_headers: headers::read_edits(section, "request_headers", report),
            response_headers: headers::read_edits(section, "response_headers", report),
        };
        let error_pages = file_routes::read_error_pages(section, report);
        let limits = section.section(report, "http");
        let forwarded = section.section(report, "forwarded");
        HttpListenerSettings {
            limits: LimitSettings::read(limits, report, Some(&shared.limits)),
            timeouts,
            forwarded: ForwardedSettings::read(forwarded, report, Some(&shared.forwarded)),
            routes: read_routes(section, report, &defaults),
            error_pages,
        }
    }

    /// The upstreams that it names.
    pub(super) fn targets(&self) -> Vec<&Setting<String>> {
        self.routes.iter().filter_map(RouteSettings::target).collect()
    }

    /// `None` only if something was reported.
    pub(super) fn into_http(
        self,
        report: &mut Report,
        upstreams: &[UpstreamSettings],
    ) -> Option<Http> {
        let routes = self.routes.into_iter();
        let routes: Vec<_> = routes.map(|route| route.into_route(report, upstreams)).collect();
        let (patterns, routes) = routes.into_iter().collect::<Option<(Vec<_>, Vec<_>)>>()?;
        Some(Http {
            router: Router::new(patterns),
            routes,
            limits: self.limits.limits(),
            timeouts: self.timeouts.timeouts(),
            forwarded: self.forwarded.policy(),
            error_pages: self.error_pages,
        })
    }
}

/// The routes in the order in which they were written, and behind them the one that `upstream`
/// stands for.
fn read_routes(
    section: &mut Section<'_>,
    report: &mut Report,
    defaults: &RouteDefaults<'_>,
) -> Vec<RouteSettings> {
    let expected = "a list of tables, such as [[listeners.NAME.routes]]";
    let tables = section.tables(report, "routes", limits::ROUTES, expected);
    let errors_before = report.errors.len();
    let upstream = match tables.is_empty() {
        true => {
            let expected = "the name of an upstream, or routes that say what to do";
            section.require(report, "upstream", &UpstreamName, expected)
        }
        false => section.optional(report, "upstream", &UpstreamName),
    };
    let routes = tables.into_iter().map(|table| RouteSettings::read(table, report, defaults));
    let mut routes: Vec<RouteSettings> = routes.collect();
    routes.extend(upstream.map(|upstream| defaults.route_to(upstream)));
    // A condition that could not be read is missing now: routes look alike that are not.
    if report.errors.len() == errors_before {
        report_unreachable(report, &routes);
    }
    routes
}

/// Reports each route that an earlier one with the same conditions hides.
fn report_unreachable(report: &mut Report, routes: &[RouteSettings]) {
    for (index, route) in routes.iter().enumerate() {
        let mut earlier = routes[..index].iter();
        if let Some(other) = earlier.find(|other| other.pattern == route.pattern) {
            let problem = format!(
                "no request comes here: {} ({}) has the same conditions",
                other.key, other.origin
            );
            report.error(&route.key, &route.origin, problem, "other conditions");
        }
    }
}

//! `[[listeners.NAME.routes]]` as written -> a [`Pattern`] and a [`Route`].

use std::sync::Arc;

use super::file_routes;
use super::headers;
use super::http_kinds::{
    Body, HeaderCondition, HostCondition, HostHeader, Location, MethodName, Prefix, RedirectStatus,
};
use super::inherited::RelaySettings;
use super::kinds::{Count, Switch, UpstreamName};
use super::raw::Origin;
use super::reader::{Fallback, Report, Section, Setting};
use super::upstream::{self, UpstreamSettings};
use super::{Action, Forward, Redirect, Relay, Respond, Route, limits};
use crate::http::edits::HeaderEdits;
use crate::http::field::FieldName;
use crate::http::host::HostPolicy;
use crate::http::prefix::{PathEdit, PathPrefix};
use crate::id::UpstreamId;
use crate::route::{HeaderPattern, HostPattern, Pattern};

/// What a route does, by the key that says it.
const ACTIONS: [&str; 4] = ["upstream", "redirect", "respond", "files"];

/// The keys that only a route with `upstream` may have.
const FORWARD_KEYS: [&str; 3] = ["host_header", "request_headers", "relay"];

/// The keys that only a route may have for which the rest of the path counts: one with `upstream`
/// or with `files`.
const PATH_KEYS: [&str; 2] = ["strip_prefix", "replace_prefix"];

const REDIRECT_STATUS_DEFAULT: u16 = 308;
const RESPOND_STATUS_DEFAULT: u64 = 200;

/// Statuses whose responses have no body (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
const BODILESS: [u16; 3] = [204, 205, 304];

/// What holds for every route of a listener that does not override it.
pub(super) struct RouteDefaults<'s> {
    pub(super) relay: &'s RelaySettings,
    pub(super) host_header: Setting<HostPolicy>,
    pub(super) request_headers: HeaderEdits,
    pub(super) response_headers: HeaderEdits,
}

impl RouteDefaults<'_> {
    /// The route for everything that no other one takes.
    pub(super) fn route_to(&self, upstream: Setting<String>) -> RouteSettings {
        RouteSettings {
            key: upstream.key.clone(),
            origin: upstream.origin.clone(),
            pattern: Pattern::default(),
            action: Some(ActionSettings::Forward(ForwardSettings {
                upstream: Some(upstream),
                relay: self.relay.relay(),
                host: self.host_header.value.clone(),
                path: PathEdit::Keep,
                request_headers: self.request_headers.clone(),
            })),
            response_headers: self.response_headers.clone(),
        }
    }
}

pub(super) struct RouteSettings {
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) pattern: Pattern,
    /// `None` only if something was reported.
    action: Option<ActionSettings>,
    response_headers: HeaderEdits,
}

enum ActionSettings {
    Forward(ForwardSettings),
    Answer(Action),
}

struct ForwardSettings {
    /// `None` only if something was reported.
    upstream: Option<Setting<String>>,
    relay: Relay,
    host: HostPolicy,
    path: PathEdit,
    request_headers: HeaderEdits,
}

impl RouteSettings {
    pub(super) fn read(
        mut section: Section<'_>,
        report: &mut Report,
        defaults: &RouteDefaults<'_>,
    ) -> RouteSettings {
        let pattern = read_pattern(&mut section, report);
        let response_headers = headers::read_edits(&mut section, "response_headers", report);
        let response_headers = defaults.response_headers.overlaid(&response_headers);
        let action = match action_key(&mut section, report) {
            "redirect" => {
                read_redirect(section.section(report, "redirect"), report, &response_headers)
            }
            "respond" => {
                read_respond(section.section(report, "respond"), report, &response_headers)
            }
            "files" => {
                let path = read_path_edit(&mut section, report, pattern.path.as_ref());
                let files = section.section(report, "files");
                let files = file_routes::read(files, report, path, &response_headers);
                files.map(|files| ActionSettings::Answer(Action::Files(Arc::new(files))))
            }
            _ => {
                let prefix = pattern.path.as_ref();
                let forward = read_forward(&mut section, report, defaults, prefix);
                Some(ActionSettings::Forward(forward))
            }
        };
        let (key, origin) = (section.key().to_owned(), section.origin().clone());
        section.finish(report);
        RouteSettings { key, origin, pattern, action, response_headers }
    }

    /// The upstream that it names.
    pub(super) fn target(&self) -> Option<&Setting<String>> {
        match &self.action {
            Some(ActionSettings::Forward(forward)) => forward.upstream.as_ref(),
            _ => None,
        }
    }

    /// `None` only if something was reported.
    pub(super) fn into_route(
        self,
        report: &mut Report,
        upstreams: &[UpstreamSettings],
    ) -> Option<(Pattern, Route)> {
        let action = match self.action? {
            ActionSettings::Answer(action) => action,
            ActionSettings::Forward(forward) => {
                let target = upstream::find(report, forward.upstream.as_ref()?, upstreams)?;
                Action::Forward(forward.into_forward(target))
            }
        };
        Some((self.pattern, Route { action, response_headers: self.response_headers }))
    }
}

impl ForwardSettings {
    fn into_forward(self, upstream: UpstreamId) -> Forward {
        let ForwardSettings { relay, host, path, request_headers, .. } = self;
        Forward { upstream, relay, host, path, request_headers }
    }
}

fn read_pattern(section: &mut Section<'_>, report: &mut Report) -> Pattern {
    let host = section.optional(report, "host", &HostCondition);
    let path = section.optional(report, "path", &Prefix);
    let expected = "a list of methods, such as [\"GET\", \"HEAD\"]";
    let methods = section.values(report, "methods", &MethodName, expected);
    let mut methods: Vec<Box<str>> = methods.into_iter().map(|method| method.value).collect();
    methods.sort();
    methods.dedup();
    let headers = section.section(report, "headers");
    let headers = headers.into_entries(report, FieldName::parse, &HeaderCondition).into_iter();
    Pattern {
        host: host.map_or(HostPattern::Any, |host| host.value),
        path: path.map(|path| path.value),
        methods,
        headers: headers.map(|(name, value)| HeaderPattern { name, value: value.value }).collect(),
    }
}

/// The one of [`ACTIONS`] that the route has; what does not go with it is reported.
fn action_key(section: &mut Section<'_>, report: &mut Report) -> &'static str {
    let action = ACTIONS.into_iter().find(|key| section.has(key)).unwrap_or(ACTIONS[0]);
    for other in ACTIONS.into_iter().filter(|key| *key != action) {
        let problem = format!("a route does one thing, and this one has {action} already");
        section.refuse(report, other, &problem, "a route of its own for it");
    }
    if action != ACTIONS[0] {
        for key in FORWARD_KEYS {
            let problem = format!("a route with {action} sends nothing on");
            section.refuse(report, key, &problem, "it in a route with upstream");
        }
    }
    if !matches!(action, "upstream" | "files") {
        for key in PATH_KEYS {
            let problem = format!("a route with {action} sends nothing on");
            section.refuse(report, key, &problem, "it in a route with upstream or files");
        }
    }
    action
}

fn read_forward(
    section: &mut Section<'_>,
    report: &mut Report,
    defaults: &RouteDefaults<'_>,
    prefix: Option<&PathPrefix>,
) -> ForwardSettings {
    let expected = "what to do with a request: upstream, files, redirect or respond";
    let upstream = section.require(report, "upstream", &UpstreamName, expected);
    let path = read_path_edit(section, report, prefix);
    let host = Fallback::Inherit(&defaults.host_header);
    let host = section.read(report, "host_header", &HostHeader, host).value;
    let request_headers = headers::read_edits(section, "request_headers", report);
    let mut relay_section = section.section(report, "relay");
    let relay = RelaySettings::read(&mut relay_section, report, Some(defaults.relay)).relay();
    relay_section.finish(report);
    let request_headers = defaults.request_headers.overlaid(&request_headers);
    ForwardSettings { upstream, relay, host, path, request_headers }
}

/// What becomes of the path: `strip_prefix` takes off what `path` is, `replace_prefix` puts
/// something else in its place.
fn read_path_edit(
    section: &mut Section<'_>,
    report: &mut Report,
    prefix: Option<&PathPrefix>,
) -> PathEdit {
    let strip = section.optional(report, "strip_prefix", &Switch).filter(|strip| strip.value);
    let replace = section.optional(report, "replace_prefix", &Prefix);
    let Some((key, origin)) = (replace.as_ref().map(|it| (&it.key, &it.origin)))
        .or(strip.as_ref().map(|it| (&it.key, &it.origin)))
    else {
        return PathEdit::Keep;
    };
    if strip.is_some() && replace.is_some() {
        report.error(key, origin, "the prefix is stripped already", "one of the two");
    }
    let Some(prefix) = prefix.cloned() else {
        // A path that could not be read has been reported.
        if !section.has("path") {
            report.error(key, origin, "there is no prefix", "path, which says what it is");
        }
        return PathEdit::Keep;
    };
    match replace {
        Some(with) => PathEdit::Replace { prefix, with: with.value },
        None => PathEdit::strip(prefix),
    }
}

fn read_redirect(
    mut section: Section<'_>,
    report: &mut Report,
    edits: &HeaderEdits,
) -> Option<ActionSettings> {
    let expected = "where to, such as \"https://{host}{path}{query}\"";
    let to = section.require(report, "to", &Location, expected);
    let status = Fallback::Default(REDIRECT_STATUS_DEFAULT);
    let status = section.read(report, "status", &RedirectStatus, status).value;
    section.finish(report);
    let is_written_anyway =
        |name: &FieldName| name.matches(b"location") || name.matches(b"content-type");
    let headers = edits.lines().filter(|line| !is_written_anyway(&line.name)).cloned().collect();
    Some(ActionSettings::Answer(Action::Redirect(Redirect {
        to: to?.value.value,
        status,
        headers,
    })))
}

fn read_respond(
    mut section: Section<'_>,
    report: &mut Report,
    edits: &HeaderEdits,
) -> Option<ActionSettings> {
    let status = Count(limits::RESPOND_STATUS);
    let status = section.read(report, "status", &status, Fallback::Default(RESPOND_STATUS_DEFAULT));
    let status = u16::try_from(status.value).ok()?;
    let headers = section.section(report, "headers");
    let (key, origin) = (headers.key().to_owned(), headers.origin().clone());
    let headers = headers::read_fields(headers, report);
    let headers = HeaderEdits::new(headers, Vec::new(), Vec::new())
        .map_err(|problem| report.error(&key, &origin, problem, "one of the two"));
    let body = section.optional(report, "body", &Body);
    section.finish(report);
    if let Some(body) = body.as_ref().filter(|body| !body.value.is_empty())
        && BODILESS.contains(&status)
    {
        let problem = format!("an answer with status {status} has no body");
        report.error(&body.key, &body.origin, problem, "another status, or no body");
    }
    let headers = headers.ok()?.overlaid(edits).lines().cloned().collect();
    let body = body.map_or_else(Box::default, |body| body.value);
    Some(ActionSettings::Answer(Action::Respond(Respond { status, headers, body })))
}

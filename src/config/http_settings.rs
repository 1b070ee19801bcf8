//! The settings of HTTP that stand both for all listeners and within one: `[http]`,
//! `[forwarded]`, the keys of `[timeouts]` that are of HTTP, and what `[listeners.NAME]` overrides of them.

use std::time::Duration;

use super::http_kinds::{TrustList, Written};
use super::kinds::{Choice, Count, Size, SizeOrOff, Span, Switch};
use super::reader::{Fallback, Report, Section, Setting};
use super::units::show_size;
use super::valid::seconds;
use super::{HttpLimits, HttpTimeouts, limits};
use crate::http::client::ClientSource;
use crate::http::forwarded::{ForwardedPolicy, TrustedPeers};
use crate::http::limits::{ChunkLimits, HeadLimits};

/// How many chunks of a message may have extensions as long as they may be.
const CHUNKS_EXTENDED: usize = 16;

/// What holds for every HTTP listener that does not override it.
pub(super) struct HttpSettings {
    pub(super) limits: LimitSettings,
    pub(super) timeouts: HttpTimeoutSettings,
    pub(super) forwarded: ForwardedSettings,
}

/// `[http]`
pub(super) struct LimitSettings {
    head_size: Setting<u64>,
    headers_max: Setting<u64>,
    target_size: Setting<u64>,
    chunk_extension_size: Setting<u64>,
    trailer_size: Setting<u64>,
    request_body_max: Setting<Option<u64>>,
}

impl LimitSettings {
    pub(super) fn read(
        mut section: Section<'_>,
        report: &mut Report,
        shared: Option<&LimitSettings>,
    ) -> LimitSettings {
        let (head, chunk) = (HeadLimits::default(), ChunkLimits::default());
        let fields_max = Fallback::new(shared.map(|s| &s.headers_max), head.fields_max as u64);
        let headers_max = section.read(report, "headers_max", &Count(limits::HEADERS), fields_max);
        let mut size = |name, range, inherited, default: usize| {
            section.read(report, name, &Size(range), Fallback::new(inherited, default as u64))
        };
        let head_size =
            size("head_size", limits::HEAD_SIZE, shared.map(|s| &s.head_size), head.head_size);
        let target_size = size(
            "target_size",
            limits::TARGET_SIZE,
            shared.map(|s| &s.target_size),
            head.target_size,
        );
        let chunk_extension_size = size(
            "chunk_extension_size",
            limits::CHUNK_EXTENSION_SIZE,
            shared.map(|s| &s.chunk_extension_size),
            chunk.extension_size,
        );
        let trailer_size = size(
            "trailer_size",
            limits::TRAILER_SIZE,
            shared.map(|s| &s.trailer_size),
            chunk.trailer_size,
        );
        let body = Fallback::new(shared.map(|s| &s.request_body_max), None);
        let settings = LimitSettings {
            head_size,
            headers_max,
            target_size,
            chunk_extension_size,
            trailer_size,
            request_body_max: section.read(
                report,
                "request_body_max",
                &SizeOrOff(limits::REQUEST_BODY),
                body,
            ),
        };
        // What is wrong for all is said once.
        let is_own = |shared: &LimitSettings| {
            settings.head_size.key != shared.head_size.key
                || settings.target_size.key != shared.target_size.key
        };
        if shared.is_none_or(is_own) {
            check_target_size(report, &settings);
        }
        section.finish(report);
        settings
    }

    pub(super) fn limits(&self) -> HttpLimits {
        let fields_max = bounded(self.headers_max.value);
        let extension_size = bounded(self.chunk_extension_size.value);
        let extensions_size = extension_size.saturating_mul(CHUNKS_EXTENDED);
        HttpLimits {
            head: HeadLimits {
                head_size: bounded(self.head_size.value),
                fields_max,
                target_size: bounded(self.target_size.value),
            },
            chunk: ChunkLimits {
                extension_size,
                extensions_size: extensions_size.min(*ChunkLimits::EXTENSION_SIZE.end()),
                trailer_size: bounded(self.trailer_size.value),
                trailer_fields_max: fields_max,
            },
            request_body_max: self.request_body_max.value,
        }
    }
}

/// A target that is allowed must fit into a head that is. What overrides the other is to blame.
fn check_target_size(report: &mut Report, settings: &LimitSettings) {
    let LimitSettings { head_size, target_size, .. } = settings;
    if target_size.value <= head_size.value {
        return;
    }
    let (target, head) = (show_size(target_size.value), show_size(head_size.value));
    if head_size.origin > target_size.origin {
        let problem = format!("{head} has no room for {} = {target}", target_size.key);
        report.error(&head_size.key, &head_size.origin, problem, "at least as much");
    } else {
        let problem = format!("{target} does not fit into {} = {head}", head_size.key);
        report.error(&target_size.key, &target_size.origin, problem, "at most as much");
    }
}

/// A number that its limit keeps far below what an address can be.
fn bounded(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const CLIENT: Choice<ClientSource> = Choice(&[
    ("x_forwarded_for", ClientSource::XForwardedFor),
    ("forwarded", ClientSource::Forwarded),
    ("peer", ClientSource::Peer),
]);

/// `[forwarded]`
pub(super) struct ForwardedSettings {
    trust: Setting<Written<TrustedPeers>>,
    client: Setting<ClientSource>,
    x_forwarded: Setting<bool>,
    forwarded: Setting<bool>,
    via: Setting<bool>,
    request_id: Setting<bool>,
}

impl ForwardedSettings {
    pub(super) fn read(
        mut section: Section<'_>,
        report: &mut Report,
        shared: Option<&ForwardedSettings>,
    ) -> ForwardedSettings {
        let default = ForwardedPolicy::default();
        let trust = Fallback::new(shared.map(|s| &s.trust), Written::default());
        let trust = section.read(report, "trust", &TrustList, trust);
        let client = Fallback::new(shared.map(|s| &s.client), default.client);
        let client = section.read(report, "client", &CLIENT, client);
        let mut read = |name, inherited, default| {
            section.read(report, name, &Switch, Fallback::new(inherited, default))
        };
        let settings = ForwardedSettings {
            trust,
            client,
            x_forwarded: read("x_forwarded", shared.map(|s| &s.x_forwarded), default.x_forwarded),
            forwarded: read("forwarded", shared.map(|s| &s.forwarded), default.forwarded),
            via: read("via", shared.map(|s| &s.via), default.via),
            request_id: read("request_id", shared.map(|s| &s.request_id), default.request_id),
        };
        section.finish(report);
        settings
    }

    pub(super) fn policy(self) -> ForwardedPolicy {
        ForwardedPolicy {
            trust: self.trust.value.value,
            client: self.client.value,
            x_forwarded: self.x_forwarded.value,
            forwarded: self.forwarded.value,
            via: self.via.value,
            request_id: self.request_id.value,
        }
    }
}

/// The keys of `[timeouts]` that are of HTTP and that a listener can override.
pub(super) struct HttpTimeoutSettings {
    request_head: Setting<Duration>,
    request_body: Setting<Duration>,
    response_head: Setting<Duration>,
    response_body: Setting<Duration>,
    keep_alive: Setting<Duration>,
    lingering: Setting<Duration>,
}

impl HttpTimeoutSettings {
    /// What a TCP listener must not have in its `timeouts`.
    pub(super) const KEYS: [&str; 6] = [
        "request_head",
        "request_body",
        "response_head",
        "response_body",
        "keep_alive",
        "lingering",
    ];

    /// Leaves `section` open: it has keys that are not of HTTP.
    pub(super) fn read(
        section: &mut Section<'_>,
        report: &mut Report,
        shared: Option<&HttpTimeoutSettings>,
    ) -> HttpTimeoutSettings {
        let kind = Span(limits::TIMEOUT);
        let mut read = |name, inherited, default| {
            section.read(report, name, &kind, Fallback::new(inherited, seconds(default)))
        };
        HttpTimeoutSettings {
            request_head: read("request_head", shared.map(|s| &s.request_head), 10),
            request_body: read("request_body", shared.map(|s| &s.request_body), 60),
            response_head: read("response_head", shared.map(|s| &s.response_head), 60),
            response_body: read("response_body", shared.map(|s| &s.response_body), 60),
            keep_alive: read("keep_alive", shared.map(|s| &s.keep_alive), 75),
            lingering: read("lingering", shared.map(|s| &s.lingering), 5),
        }
    }

    pub(super) fn timeouts(&self) -> HttpTimeouts {
        HttpTimeouts {
            request_head: self.request_head.value,
            request_body: self.request_body.value,
            response_head: self.response_head.value,
            response_body: self.response_body.value,
            keep_alive: self.keep_alive.value,
            lingering: self.lingering.value,
        }
    }
}

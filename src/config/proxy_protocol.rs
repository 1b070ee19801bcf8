//! `proxy_protocol` of listeners and upstreams.

use super::http_kinds::TrustList;
use super::kinds::Choice;
use super::reader::{Fallback, Report, Section};
use crate::http::forwarded::TrustedPeers;
use crate::proxy_protocol::ProxyVersion;

const ACCEPT: Choice<bool> = Choice(&[("off", false), ("required", true)]);

const SEND: Choice<Option<ProxyVersion>> =
    Choice(&[("off", None), ("v1", Some(ProxyVersion::V1)), ("v2", Some(ProxyVersion::V2))]);

/// `[listeners.NAME.proxy_protocol]`: whose header is believed; `None` where no header is
/// expected.
pub(super) fn read_accept(listener: &mut Section<'_>, report: &mut Report) -> Option<TrustedPeers> {
    let mut section = listener.section(report, "proxy_protocol");
    let accept = section.read(report, "accept", &ACCEPT, Fallback::Default(false));
    let trust = match accept.value {
        true => {
            let expected = "the networks of the proxies whose word holds, such as [\"10.0.0.0/8\"]";
            let trust = section.require(report, "trust", &TrustList, expected);
            let empty = trust.as_ref().filter(|it| it.value.value == TrustedPeers::default());
            if let Some(empty) = empty {
                let problem = "nobody could connect: a header is required and nobody's is believed";
                report.error(&empty.key, &empty.origin, problem, expected);
            }
            trust.map(|trust| trust.value.value)
        }
        false => {
            let expected = "accept = \"required\" beside it";
            section.refuse(report, "trust", "no header is expected", expected);
            None
        }
    };
    section.finish(report);
    trust
}

/// `proxy_protocol` of an upstream: the header that its servers are sent.
pub(super) fn read_send(upstream: &mut Section<'_>, report: &mut Report) -> Option<ProxyVersion> {
    upstream.read(report, "proxy_protocol", &SEND, Fallback::Default(None)).value
}

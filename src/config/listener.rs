//! `[listeners.NAME]` as written -> [`Listener`].

use super::http_listener::HttpListenerSettings;
use super::http_settings::HttpTimeoutSettings;
use super::inherited::{KeepaliveSettings, RelaySettings, Shared, TimeoutSettings};
use super::kinds::{Choice, Count, UpstreamName};
use super::limit_settings;
use super::proxy_protocol;
use super::reader::{Fallback, Report, Section, Setting};
use super::sni::SniSettings;
use super::succession::Standing;
use super::tls::ListenerTls;
use super::tls_listener;
use super::upstream::{self, UpstreamSettings};
use super::valid::{check_name, narrow};
use super::{Listener, Protocol, limits};
use crate::address::Address;
use crate::http::forwarded::TrustedPeers;
use crate::limits::ListenerLimits;

const BACKLOG_DEFAULT: u64 = 4096;
const PROTOCOL: Choice<Spoken> = Choice(&[("tcp", Spoken::Tcp), ("http", Spoken::Http)]);
const UPSTREAM_EXPECTED: &str = "the name of an upstream, with its servers in [upstreams.NAME]";

#[derive(Clone, Copy, PartialEq)]
enum Spoken {
    Tcp,
    Http,
}

pub(super) struct ListenerSettings {
    pub(super) key: String,
    name: String,
    pub(super) bind: Vec<Setting<Address>>,
    backlog: u64,
    protocol: ProtocolSettings,
    tls: Option<ListenerTls>,
    proxy_protocol: Option<TrustedPeers>,
    limits: ListenerLimits,
    relay: RelaySettings,
    timeouts: TimeoutSettings,
    keepalive: KeepaliveSettings,
}

enum ProtocolSettings {
    /// With its upstream.
    Tcp(Option<Setting<String>>),
    Sni(SniSettings),
    Http(Box<HttpListenerSettings>),
}

impl ListenerSettings {
    pub(super) fn read(
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
        let spoken = read_protocol(&mut section, report);
        let backlog = Fallback::Default(BACKLOG_DEFAULT);
        let backlog = section.read(report, "backlog", &Count(limits::BACKLOG), backlog).value;
        let mut relay_section = section.section(report, "relay");
        let relay = RelaySettings::read(&mut relay_section, report, Some(&shared.relay));
        relay_section.finish(report);
        let keepalive = section.section(report, "keepalive");
        let keepalive = KeepaliveSettings::read(keepalive, report, Some(&shared.keepalive));
        let mut timeouts_section = section.section(report, "timeouts");
        let timeouts = TimeoutSettings::read(&mut timeouts_section, report, Some(&shared.timeouts));
        timeouts_section.refuse(
            report,
            "upstream_idle",
            "an upstream is the same for all of its listeners",
            "it in [timeouts], or idle_timeout in [upstreams.NAME.pool]",
        );
        let proxy_protocol = proxy_protocol::read_accept(&mut section, report);
        let limits = limit_settings::read(&mut section, report, spoken == Spoken::Http);
        let tls = tls_listener::read(&mut section, report, spoken == Spoken::Http);
        let protocol = match spoken {
            Spoken::Tcp => {
                refuse_http(&mut section, &mut timeouts_section, report);
                read_tcp(&mut section, report)
            }
            Spoken::Http => {
                let problem = "a key of TCP: an HTTP listener routes by what a request asks for";
                section.refuse(report, "sni", problem, "routes with a host");
                ProtocolSettings::Http(Box::new(HttpListenerSettings::read(
                    &mut section,
                    &mut timeouts_section,
                    report,
                    &relay,
                    &shared.http,
                )))
            }
        };
        timeouts_section.finish(report);
        let key = section.key().to_owned();
        section.finish(report);
        ListenerSettings {
            key,
            name: name.to_owned(),
            bind,
            backlog,
            protocol,
            tls,
            proxy_protocol,
            limits,
            relay,
            timeouts,
            keepalive,
        }
    }

    /// The upstreams that it names.
    pub(super) fn targets(&self) -> Vec<&Setting<String>> {
        match &self.protocol {
            ProtocolSettings::Tcp(upstream) => upstream.iter().collect(),
            ProtocolSettings::Sni(sni) => sni.targets(),
            ProtocolSettings::Http(http) => http.targets(),
        }
    }

    /// `None` only if something was reported.
    pub(super) fn into_listener(
        self,
        report: &mut Report,
        upstreams: &[UpstreamSettings],
    ) -> Option<Listener> {
        let protocol = match self.protocol {
            ProtocolSettings::Tcp(name) => {
                Protocol::Tcp(upstream::find(report, name.as_ref()?, upstreams)?)
            }
            ProtocolSettings::Sni(sni) => Protocol::Sni(Box::new(sni.into_sni(report, upstreams)?)),
            ProtocolSettings::Http(http) => {
                Protocol::Http(Box::new(http.into_http(report, upstreams)?))
            }
        };
        Some(Listener {
            name: self.name,
            standing: Standing::Active,
            bind: self.bind.into_iter().map(|bind| bind.value).collect(),
            backlog: narrow(self.backlog),
            protocol,
            tls: self.tls,
            proxy_protocol: self.proxy_protocol,
            limits: self.limits,
            relay: self.relay.relay(),
            timeouts: self.timeouts.timeouts(),
            keepalive: self.keepalive.keepalive(),
        })
    }
}

/// Where the bytes of a TCP listener go: to one upstream, or by what a ClientHello asks for.
fn read_tcp(section: &mut Section<'_>, report: &mut Report) -> ProtocolSettings {
    let has_tls = section.has("tls");
    match SniSettings::read(section, report, has_tls) {
        Some(sni) => ProtocolSettings::Sni(sni),
        None => {
            let upstream = section.require(report, "upstream", &UpstreamName, UPSTREAM_EXPECTED);
            ProtocolSettings::Tcp(upstream)
        }
    }
}

/// A protocol that is not known reads as the one that has more keys, so that they do not all
/// become errors because of it.
fn read_protocol(section: &mut Section<'_>, report: &mut Report) -> Spoken {
    let errors_before = report.errors.len();
    let spoken = section.read(report, "protocol", &PROTOCOL, Fallback::Default(Spoken::Tcp)).value;
    if report.errors.len() > errors_before { Spoken::Http } else { spoken }
}

/// Reports what only an HTTP listener may have.
fn refuse_http(section: &mut Section<'_>, timeouts: &mut Section<'_>, report: &mut Report) {
    let problem = "a key of HTTP, and this listener speaks TCP";
    let expected = format!("protocol = \"http\" in [{}]", section.key());
    for key in HttpListenerSettings::KEYS {
        section.refuse(report, key, problem, &expected);
    }
    for key in HttpTimeoutSettings::KEYS {
        timeouts.refuse(report, key, problem, &expected);
    }
}

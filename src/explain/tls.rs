//! What `check` and `explain` say of TLS.

use serde_json::{Value, json};

use super::way::{Clients, Way};
use crate::capacity::RelayPlan;
use crate::config::raw::Origin;
use crate::config::tls::{ListenerTls, Sni, SniRoute, UnknownName, UpstreamTls, Verification};
use crate::config::{Config, ConfigError, Effective, Listener, Protocol};
use crate::load::Loaded;
use crate::route::sni::SniPattern;
use crate::tls::finding::Finding;
use crate::tls::inspect::time;
use crate::tls::keeper::{InUse, Keeper};

/// What was found, with the places of the keys that it is about.
pub fn as_errors(findings: &[Finding], loaded: &Loaded) -> Vec<ConfigError> {
    let error = |finding: &Finding| ConfigError {
        origin: origin_of(&finding.key, &loaded.effective),
        key: finding.key.clone(),
        problem: finding.to_string(),
        expected: String::new(),
        nearest: None,
    };
    findings.iter().map(error).collect()
}

/// One warning a line, as [`super::errors`] shows errors.
pub fn warnings(findings: &[Finding], loaded: &Loaded) -> String {
    let lines = as_errors(findings, loaded).into_iter().map(|it| format!("warning: {it}\n"));
    lines.collect()
}

/// Where a key was written; for a table, where the first value in it was.
fn origin_of(key: &str, effective: &[Effective]) -> Origin {
    let exact = effective.iter().find(|it| it.key == key);
    let is_within = |it: &&Effective| {
        let rest = it.key.strip_prefix(key);
        it.origin != Origin::Default && rest.is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    let found = exact.or_else(|| effective.iter().find(is_within));
    found.map_or(Origin::Default, |it| it.origin.clone())
}

/// Lines about the sessions of a listener's clients, if any end there.
pub(super) fn listener_lines(listener: &Listener, keeper: &Keeper) -> Vec<String> {
    let Some(tls) = &listener.tls else { return Vec::new() };
    let alpn = match tls.alpn.is_empty() {
        true => String::new(),
        false => format!(", {}", tls.alpn.join(", ")),
    };
    let tickets = if tls.tickets { "resumed by tickets" } else { "never resumed" };
    let mut lines =
        vec![format!("TLS {} and later{alpn}; sessions are {tickets}", tls.min_version.label())];
    lines.extend(own(listener, keeper).map(|certificate| {
        let description = certificate.description;
        format!(
            "certificate {} ({}, until {}): {}",
            certificate.files.chain.display(),
            description.algorithm,
            time(description.not_after),
            names(&certificate)
        )
    }));
    lines.push(match tls.unknown_name {
        UnknownName::Default => "for any other name: the first of them".to_owned(),
        UnknownName::Refuse => "for any other name: no session".to_owned(),
    });
    lines.extend(clients(tls));
    lines
}

fn own<'k>(listener: &'k Listener, keeper: &'k Keeper) -> impl Iterator<Item = InUse<'k>> {
    keeper.certificates().filter(|it| it.side == "listener" && it.name == listener.name)
}

fn names(certificate: &InUse<'_>) -> String {
    match certificate.description.names.is_empty() {
        true => "for no name".to_owned(),
        false => certificate.description.names.join(", "),
    }
}

fn clients(tls: &ListenerTls) -> Option<String> {
    let authority = tls.client_certificates.authority()?;
    Some(format!(
        "certificates of clients: {}, issued by {}, {}",
        tls.client_certificates.label(),
        authority.ca.display(),
        match authority.revocation_lists.len() {
            0 => "none of them revoked by a list".to_owned(),
            1 => "looked up in 1 revocation list".to_owned(),
            count => format!("looked up in {count} revocation lists"),
        }
    ))
}

/// A route of `sni`: whom it is for, where it leads, and which way its bytes take.
struct SniWay<'a> {
    pattern: &'a SniPattern,
    upstream: &'a str,
    terminates: bool,
    way: Way<'a>,
}

fn sni_ways<'a>(sni: &'a Sni, plan: &'a RelayPlan, config: &'a Config) -> Vec<SniWay<'a>> {
    let routes = sni.router.patterns().iter().zip(&sni.routes);
    let ways = routes.map(|(pattern, route)| {
        let upstream = &config.upstreams[route.upstream().index()];
        let clients = match route {
            SniRoute::PassThrough(_) => Clients::PassedThrough,
            SniRoute::Terminate(_) => Clients::Terminated,
        };
        SniWay {
            pattern,
            upstream: &upstream.name,
            terminates: matches!(route, SniRoute::Terminate(_)),
            way: Way::new(plan, clients, Some(upstream)),
        }
    });
    ways.collect()
}

/// Where the clients of a listener with routes of `sni` go, two lines for each route.
pub(super) fn sni_lines(listener: &Listener, plan: &RelayPlan, config: &Config) -> Vec<String> {
    let Protocol::Sni(sni) = &listener.protocol else { return Vec::new() };
    let mut lines = Vec::new();
    for SniWay { pattern, upstream, terminates, way } in sni_ways(sni, plan, config) {
        let what = if terminates { "its TLS ends here" } else { "passed through" };
        lines.push(format!("{pattern} -> {upstream}, {what}"));
        lines.push(format!("    {}", way.as_text()));
    }
    if !sni.router.patterns().iter().any(SniPattern::is_any) {
        lines.push("everybody else is refused".to_owned());
    }
    lines
}

/// The same for programs.
pub(super) fn sni_as_json(listener: &Listener, plan: &RelayPlan, config: &Config) -> Value {
    let Protocol::Sni(sni) = &listener.protocol else { return Value::Null };
    let route = |route: SniWay<'_>| {
        json!({
            "clients": route.pattern.to_string(),
            "upstream": route.upstream,
            "terminates": route.terminates,
            "relay": route.way.as_json(),
        })
    };
    sni_ways(sni, plan, config).into_iter().map(route).collect()
}

/// A line about sessions with an upstream's servers, if there are any.
pub(super) fn upstream_line(tls: &UpstreamTls) -> String {
    let name = tls
        .server_name
        .as_ref()
        .map_or_else(|| "its IP address".to_owned(), |name| name.to_str().into_owned());
    let verified = match &tls.verification {
        Verification::System => format!("verified by the system's roots for {name}"),
        Verification::Ca(path) => format!("verified by {} for {name}", path.display()),
        Verification::Skipped => "NOT verified".to_owned(),
    };
    let own = tls.client_certificate.as_ref();
    let own =
        own.map_or_else(String::new, |files| format!(", which is shown {}", files.chain.display()));
    format!("TLS {} and later, each server {verified}{own}", tls.min_version.label())
}

/// What there is to say of a listener's TLS, for programs.
pub(super) fn listener_as_json(listener: &Listener, keeper: &Keeper) -> Value {
    let Some(tls) = &listener.tls else { return Value::Null };
    let certificates = own(listener, keeper).map(|certificate| {
        json!({
            "chain": certificate.files.chain,
            "names": certificate.description.names,
            "algorithm": certificate.description.algorithm,
            "issuer": certificate.description.issuer,
            "not_before": certificate.description.not_before,
            "not_after": certificate.description.not_after,
        })
    });
    json!({
        "min_version": tls.min_version.label(),
        "alpn": tls.alpn,
        "certificates": certificates.collect::<Vec<_>>(),
        "client_certificates": tls.client_certificates.label(),
    })
}

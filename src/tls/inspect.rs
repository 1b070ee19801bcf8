//! What is not as it should be, although it works: for `spliceway check`, and for warnings at the
//! start and later on.

use std::path::PathBuf;

use rustls::RootCertStore;

use super::certificate::{Chain, Description};
use super::files::is_readable_by_others;
use super::finding::Finding;
use super::keeper::{InUse, Keeper};
use crate::config::tls::{ListenerTls, SniRoute, UnknownName, Verification};
use crate::config::{Config, Listener, Protocol};
use crate::route::HostPattern;

const DAY: i64 = 24 * 60 * 60;

/// From how many days before its end on a certificate is warned of: three weeks are enough for
/// somebody to come back from a holiday.
pub const EXPIRY_WARNING_DAYS: i64 = 21;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inspection {
    /// Clients, or servers, will refuse this.
    pub errors: Vec<Finding>,
    /// Somebody should look at this.
    pub warnings: Vec<Finding>,
}

/// Looks at everything. `now` is in seconds since 1970; `system` are the system's roots, or what
/// stands for them.
pub fn inspect(config: &Config, keeper: &Keeper, system: &RootCertStore, now: i64) -> Inspection {
    let mut inspection = Inspection::default();
    for certificate in keeper.certificates() {
        inspect_certificate(certificate, system, now, &mut inspection);
    }
    for (_, listener) in config.active_listeners() {
        if let Some(tls) = &listener.tls {
            inspection.warnings.extend(uncovered(listener, tls, keeper));
        }
    }
    inspection.warnings.extend(unverified(config));
    inspection
}

/// Each upstream whose servers need not prove who they are.
pub fn unverified(config: &Config) -> Vec<Finding> {
    let skips = |tls: &crate::config::tls::UpstreamTls| tls.verification == Verification::Skipped;
    let active = config.active_upstreams().map(|(_, upstream)| upstream);
    let upstreams = active.filter(|it| it.tls.as_ref().is_some_and(skips));
    let finding = |name: &str| Finding {
        key: format!("upstreams.{name}.tls.danger_skip_verification"),
        file: PathBuf::new(),
        words: format!(
            "the servers of upstream {name} are not verified: whoever is on the way to them can \
             read and change everything"
        ),
    };
    upstreams.map(|upstream| finding(&upstream.name)).collect()
}

fn inspect_certificate(
    certificate: InUse<'_>,
    system: &RootCertStore,
    now: i64,
    inspection: &mut Inspection,
) {
    let InUse { key, files, description, side, .. } = certificate;
    let about_chain =
        |words: String| Finding { key: format!("{key}.chain"), file: files.chain.clone(), words };
    if let Some((is_error, words)) = validity(description, now) {
        let list = if is_error { &mut inspection.errors } else { &mut inspection.warnings };
        list.push(about_chain(words));
    }
    match &description.chain {
        Chain::SelfIssued => {}
        Chain::Broken(place) => inspection.errors.push(about_chain(format!(
            "the chain is broken: certificate {place} was not issued by the one behind it; \
             expected the certificate first, then whoever issued it, and so on"
        ))),
        // Only servers' certificates are for everybody to verify.
        Chain::IssuedBy { name, encoded } if side == "listener" && !is_root(system, encoded) => {
            inspection.warnings.push(about_chain(format!(
                "the chain ends with a certificate issued by {name}, which is no root that this \
                 system knows: clients that do not know it either will refuse it; if it is not a \
                 root of your own, its certificate is missing from the file"
            )));
        }
        Chain::IssuedBy { .. } => {}
    }
    if side == "listener" && description.names.is_empty() {
        inspection.warnings.push(about_chain(
            "it is for no name (subjectAltName): clients that look at names will refuse it"
                .to_owned(),
        ));
    }
    if is_readable_by_others(&files.key) {
        inspection.warnings.push(Finding {
            key: format!("{key}.key"),
            file: files.key.clone(),
            words: "the private key is readable by every user of this machine; expected \
                    permissions such as 0600"
                .to_owned(),
        });
    }
}

/// What there is to say of the time in which a certificate is good, and whether it is not good
/// now.
pub fn validity(description: &Description, now: i64) -> Option<(bool, String)> {
    let Description { not_before, not_after, .. } = description;
    let days = |seconds: i64| match seconds / DAY {
        0 => "in less than a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    };
    if now > *not_after {
        return Some((true, format!("the certificate has expired, {}", time(*not_after))));
    }
    if now < *not_before {
        return Some((true, format!("the certificate is good only from {} on", time(*not_before))));
    }
    let left = not_after - now;
    (left < EXPIRY_WARNING_DAYS * DAY)
        .then(|| (false, format!("the certificate expires {}, {}", days(left), time(*not_after))))
}

/// A time as people write it.
pub fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| "at no time".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// Roots are kept by the content of their name, without what encloses it.
fn is_root(system: &RootCertStore, encoded: &[u8]) -> bool {
    const ENCLOSING_MAX: usize = 4;
    let is_name = |subject: &[u8]| {
        encoded.ends_with(subject) && encoded.len() - subject.len() <= ENCLOSING_MAX
    };
    system.roots.iter().any(|root| is_name(root.subject.as_ref()))
}

/// Each name that a listener has something for and no certificate is for.
fn uncovered<'c>(
    listener: &'c Listener,
    tls: &'c ListenerTls,
    keeper: &'c Keeper,
) -> impl Iterator<Item = Finding> + 'c {
    let certificates = keeper.certificates();
    let own = certificates.filter(|it| it.side == "listener" && it.name == listener.name);
    let own: Vec<&Description> = own.map(|it| it.description).collect();
    let what = match tls.unknown_name {
        UnknownName::Default => "clients are shown the first one, and will refuse it",
        UnknownName::Refuse => "clients that ask for it are refused",
    };
    let names = names_served(listener).into_iter();
    names.filter(move |name| !is_covered(name, &own)).map(move |name| Finding {
        key: format!("listeners.{}.tls.certificates", listener.name),
        file: PathBuf::new(),
        words: format!("no certificate of listener {} is for {name}: {what}", listener.name),
    })
}

/// The names that the routes of a listener ask for and whose sessions end there, each once.
fn names_served(listener: &Listener) -> Vec<HostPattern> {
    let mut names: Vec<HostPattern> = match &listener.protocol {
        Protocol::Tcp(_) => Vec::new(),
        Protocol::Http(http) => {
            http.router.patterns().iter().map(|pattern| pattern.host.clone()).collect()
        }
        Protocol::Sni(sni) => {
            let routes = sni.router.patterns().iter().zip(&sni.routes);
            let ended = routes.filter(|(_, route)| matches!(route, SniRoute::Terminate(_)));
            ended.flat_map(|(pattern, _)| pattern.names.iter().cloned()).collect()
        }
    };
    let mut seen = Vec::new();
    names.retain(|name| {
        let is_new = *name != HostPattern::Any && !seen.contains(name);
        seen.push(name.clone());
        is_new
    });
    names
}

/// A wildcard of a route is for any number of labels, one of a certificate for one: the
/// certificate with the same words is what was meant.
fn is_covered(name: &HostPattern, certificates: &[&Description]) -> bool {
    match name {
        HostPattern::Any => true,
        HostPattern::Exact(name) => {
            // As a URL has an address of IPv6, which a certificate has without brackets.
            let name = name.trim_start_matches('[').trim_end_matches(']');
            certificates.iter().any(|it| it.covers(name))
        }
        HostPattern::Wildcard(suffix) => certificates
            .iter()
            .any(|it| it.names.iter().any(|name| name.strip_prefix('*') == Some(suffix))),
    }
}

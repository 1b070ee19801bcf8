//! `[upstreams.NAME.tls]` as written -> [`UpstreamTls`].

use super::kinds::Switch;
use super::names::{NameQuery, NamedServers};
use super::reader::{Fallback, Report, Section, Setting};
use super::tls::{UpstreamTls, Verification};
use super::tls_kinds::{CertifiedName, FilePath, TLS_VERSION};
use super::tls_listener::{read_alpn, read_certificate_files};
use rustls::pki_types::ServerName;

use crate::address::Address;
use crate::tls::algorithms::TlsVersion;

/// What turns verification off: a name that nobody writes by accident.
const SKIP: &str = "danger_skip_verification";

/// Reads the section; `None` if there is no such table.
pub(super) fn read(
    upstream: &mut Section<'_>,
    report: &mut Report,
    servers: &[Setting<Address>],
    names: &[Setting<NamedServers>],
) -> Option<UpstreamTls> {
    let is_written = upstream.has("tls");
    let mut section = upstream.section(report, "tls");
    if !is_written {
        return None;
    }
    let problem = "servers are verified always";
    let expected = format!("nothing; or, for a server that cannot be verified, {SKIP} = true");
    section.refuse(report, "verify", problem, &expected);
    let ca = section.optional(report, "ca", &FilePath);
    let skip = section.read(report, SKIP, &Switch, Fallback::Default(false));
    if let Some(ca) = ca.as_ref().filter(|_| skip.value) {
        let problem = format!("nothing is verified by it: {} is true", skip.key);
        report.error(&ca.key, &ca.origin, problem, "one of the two");
    }
    let server_name = section.optional(report, "server_name", &CertifiedName);
    check_unix_servers(&section, report, servers, server_name.is_some() || skip.value);
    let server_name = server_name.map(|name| name.value);
    let server_name = server_name.or_else(|| name_of(&section, report, servers, names, skip.value));
    let has_certificate = section.has("client_certificate");
    let certificate = section.section(report, "client_certificate");
    let client_certificate =
        has_certificate.then(|| read_certificate_files(certificate, report)).flatten();
    let min_version = Fallback::Default(TlsVersion::Tls12);
    let min_version = section.read(report, "min_version", &TLS_VERSION, min_version).value;
    let alpn = read_alpn(&mut section, report);
    section.finish(report);
    Some(UpstreamTls {
        verification: match (skip.value, ca) {
            (true, _) => Verification::Skipped,
            (false, Some(ca)) => Verification::Ca(ca.value),
            (false, None) => Verification::System,
        },
        server_name,
        client_certificate,
        min_version,
        alpn,
    })
}

/// The name that servers must prove to have, where a name stands for them.
fn name_of(
    section: &Section<'_>,
    report: &mut Report,
    servers: &[Setting<Address>],
    names: &[Setting<NamedServers>],
    is_skipped: bool,
) -> Option<ServerName<'static>> {
    let first = names.first()?;
    if let (NameQuery::Host { host, .. }, [], [_]) = (&first.value.query, servers, names)
        && let Ok(name) = ServerName::try_from(host.trim_end_matches('.').to_owned())
    {
        return Some(name);
    }
    if !is_skipped {
        let key = format!("{}.server_name", section.key());
        let problem = "missing: it is not clear which name the servers of this upstream prove";
        let expected = "the name in their certificates, such as \"app.example.com\"";
        report.error(&key, section.origin(), problem, expected);
    }
    None
}

/// A unix socket has no address that a certificate could be for.
fn check_unix_servers(
    section: &Section<'_>,
    report: &mut Report,
    servers: &[Setting<Address>],
    is_named: bool,
) {
    let unix = servers.iter().find(|server| server.value.is_unix());
    if let Some(server) = unix.filter(|_| !is_named) {
        let key = format!("{}.server_name", section.key());
        let problem = format!("missing: a certificate cannot be for {}", server.value);
        let expected = "the name in the server's certificate, such as \"app.example.com\"";
        report.error(&key, section.origin(), problem, expected);
    }
}

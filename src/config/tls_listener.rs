//! `[listeners.NAME.tls]` as written -> [`ListenerTls`].

use super::kinds::{Choice, Switch};
use super::limits;
use super::reader::{Fallback, Report, Section};
use super::tls::{CertificateFiles, ClientAuthority, ClientCertificates, ListenerTls, UnknownName};
use super::tls_kinds::{AlpnName, CipherName, FilePath, GroupName, TLS_VERSION};
use crate::tls::algorithms::{TlsVersion, is_of_tls13};

const UNKNOWN_NAME: Choice<UnknownName> =
    Choice(&[("default", UnknownName::Default), ("refuse", UnknownName::Refuse)]);

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Off,
    Optional,
    Required,
}

const MODE: Choice<Mode> =
    Choice(&[("off", Mode::Off), ("optional", Mode::Optional), ("required", Mode::Required)]);

/// The protocol that an HTTP listener agrees on, and the only one that it speaks.
const ALPN_HTTP: &str = "http/1.1";

/// Reads the section; `None` if there is no such table, or if what is in it cannot be used, which
/// is reported.
pub(super) fn read(
    listener: &mut Section<'_>,
    report: &mut Report,
    is_http: bool,
) -> Option<ListenerTls> {
    let is_written = listener.has("tls");
    let mut section = listener.section(report, "tls");
    if !is_written {
        return None;
    }
    let certificates = read_certificates(&mut section, report);
    let unknown_name = Fallback::Default(UnknownName::Default);
    let unknown_name = section.read(report, "unknown_name", &UNKNOWN_NAME, unknown_name).value;
    let min_version = Fallback::Default(TlsVersion::Tls12);
    let min_version = section.read(report, "min_version", &TLS_VERSION, min_version).value;
    let alpn = read_listener_alpn(&mut section, report, is_http);
    let client_certificates = section.section(report, "client_certificates");
    let client_certificates = read_client_certificates(client_certificates, report);
    let expected = "a list of cipher suites, such as [\"TLS13_AES_128_GCM_SHA256\"]";
    let ciphers = section.values(report, "ciphers", &CipherName, expected);
    if let Some(first) = ciphers.first()
        && min_version == TlsVersion::Tls13
        && !ciphers.iter().any(|cipher| is_of_tls13(cipher.value))
    {
        let problem = "none of them is of TLS 1.3, and min_version allows no other version";
        report.error(&first.key, &first.origin, problem, "one that begins with \"TLS13_\"");
    }
    let expected = "a list of groups, such as [\"X25519\"]";
    let groups = section.values(report, "groups", &GroupName, expected);
    let tickets = section.read(report, "tickets", &Switch, Fallback::Default(true)).value;
    section.finish(report);
    Some(ListenerTls {
        certificates,
        unknown_name,
        min_version,
        alpn,
        client_certificates: client_certificates?,
        ciphers: ciphers.into_iter().map(|cipher| cipher.value).collect(),
        groups: groups.into_iter().map(|group| group.value).collect(),
        tickets,
    })
}

fn read_certificates(section: &mut Section<'_>, report: &mut Report) -> Vec<CertificateFiles> {
    let expected = "a list such as [{ chain = \"web.pem\", key = \"web.key\" }]";
    let errors_before = report.errors.len();
    let tables = section.tables(report, "certificates", limits::CERTIFICATES, expected);
    if tables.is_empty() && report.errors.len() == errors_before {
        let key = format!("{}.certificates", section.key());
        report.error(&key, section.origin(), "missing", expected);
    }
    tables.into_iter().filter_map(|table| read_certificate_files(table, report)).collect()
}

/// A certificate and its key; `None` only if something was reported.
pub(super) fn read_certificate_files(
    mut section: Section<'_>,
    report: &mut Report,
) -> Option<CertificateFiles> {
    let expected = "the path of a PEM file with the certificate, and those that lead to a root";
    let chain = section.require(report, "chain", &FilePath, expected);
    let expected = "the path of a PEM file with the private key";
    let key = section.require(report, "key", &FilePath, expected);
    section.finish(report);
    Some(CertificateFiles { chain: chain?.value, key: key?.value })
}

/// `alpn` on either side.
pub(super) fn read_alpn(section: &mut Section<'_>, report: &mut Report) -> Vec<Box<str>> {
    let expected = "a list of protocols, such as [\"http/1.1\"]";
    let alpn = section.values(report, "alpn", &AlpnName, expected);
    alpn.into_iter().map(|name| name.value).collect()
}

fn read_listener_alpn(
    section: &mut Section<'_>,
    report: &mut Report,
    is_http: bool,
) -> Vec<Box<str>> {
    let is_written = section.has("alpn");
    let alpn = read_alpn(section, report);
    if !is_http {
        return alpn;
    }
    if is_written && alpn.iter().any(|name| &**name != ALPN_HTTP) {
        let key = format!("{}.alpn", section.key());
        let problem = "an HTTP listener agrees on nothing that it does not speak";
        report.error(&key, section.origin(), problem, format!("[\"{ALPN_HTTP}\"]"));
    }
    vec![ALPN_HTTP.into()]
}

/// `None` only if something was reported.
fn read_client_certificates(
    mut section: Section<'_>,
    report: &mut Report,
) -> Option<ClientCertificates> {
    let mode = section.read(report, "mode", &MODE, Fallback::Default(Mode::Off)).value;
    let certificates = match mode {
        Mode::Off => {
            for key in ["ca", "revocation_lists"] {
                let problem = "certificates of clients are not asked for";
                let expected = "mode = \"optional\" or \"required\" beside it";
                section.refuse(report, key, problem, expected);
            }
            Some(ClientCertificates::Off)
        }
        Mode::Optional => read_authority(&mut section, report).map(ClientCertificates::Optional),
        Mode::Required => read_authority(&mut section, report).map(ClientCertificates::Required),
    };
    section.finish(report);
    certificates
}

/// `None` only if something was reported.
fn read_authority(section: &mut Section<'_>, report: &mut Report) -> Option<ClientAuthority> {
    let expected = "the path of a PEM file with the authorities that certify clients";
    let ca = section.require(report, "ca", &FilePath, expected);
    let expected = "a list of PEM files, such as [\"clients.crl.pem\"]";
    let lists = section.values(report, "revocation_lists", &FilePath, expected);
    let revocation_lists = lists.into_iter().map(|list| list.value).collect();
    Some(ClientAuthority { ca: ca?.value, revocation_lists })
}

//! Versions, cipher suites and groups by the names that rustls has for them.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};

/// The versions of TLS that are spoken. Older ones are not to be used (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    /// As written in the config, and in labels: `1.2` or `1.3`.
    pub fn label(self) -> &'static str {
        match self {
            TlsVersion::Tls12 => "1.2",
            TlsVersion::Tls13 => "1.3",
        }
    }

    /// As OpenSSL calls it, and with it the PROXY protocol and most logs: `TLSv1.3`.
    pub fn name(self) -> &'static str {
        match self {
            TlsVersion::Tls12 => "TLSv1.2",
            TlsVersion::Tls13 => "TLSv1.3",
        }
    }

    /// This version and every later one, the latest first.
    pub fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        static VERSIONS: [&SupportedProtocolVersion; 2] =
            [&rustls::version::TLS13, &rustls::version::TLS12];
        match self {
            TlsVersion::Tls12 => &VERSIONS,
            TlsVersion::Tls13 => &VERSIONS[..1],
        }
    }

    /// The version of a session, if it is one that is spoken.
    pub fn of(version: rustls::ProtocolVersion) -> Option<TlsVersion> {
        match version {
            rustls::ProtocolVersion::TLSv1_2 => Some(TlsVersion::Tls12),
            rustls::ProtocolVersion::TLSv1_3 => Some(TlsVersion::Tls13),
            _ => None,
        }
    }
}

/// The names of all cipher suites that can be chosen, such as `TLS13_AES_128_GCM_SHA256`.
pub fn cipher_names() -> impl Iterator<Item = &'static str> {
    aws_lc_rs::ALL_CIPHER_SUITES.iter().map(|suite| name_of_cipher(suite.suite()))
}

/// The cipher suite of that name.
pub fn cipher_named(name: &str) -> Option<CipherSuite> {
    let mut suites = aws_lc_rs::ALL_CIPHER_SUITES.iter().map(SupportedCipherSuite::suite);
    suites.find(|suite| name_of_cipher(*suite) == name)
}

/// The name of a cipher suite.
pub fn name_of_cipher(suite: CipherSuite) -> &'static str {
    suite.as_str().unwrap_or("unknown")
}

/// Whether a cipher suite is of TLS 1.3; those of TLS 1.2 are others.
pub fn is_of_tls13(suite: CipherSuite) -> bool {
    let mut suites = aws_lc_rs::ALL_CIPHER_SUITES.iter();
    suites.any(|it| it.suite() == suite && it.tls13().is_some())
}

/// The names of all groups that keys can be agreed on in, such as `X25519`.
pub fn group_names() -> impl Iterator<Item = &'static str> {
    aws_lc_rs::ALL_KX_GROUPS.iter().map(|group| name_of_group(group.name()))
}

/// The group of that name.
pub fn group_named(name: &str) -> Option<NamedGroup> {
    let mut groups = aws_lc_rs::ALL_KX_GROUPS.iter().map(|group| group.name());
    groups.find(|group| name_of_group(*group) == name)
}

/// The name of a group.
pub fn name_of_group(group: NamedGroup) -> &'static str {
    group.as_str().unwrap_or("unknown")
}

/// What does the cryptography: with these cipher suites and groups, in this order; where a list
/// is empty, with what rustls chooses.
pub fn provider(ciphers: &[CipherSuite], groups: &[NamedGroup]) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    if !ciphers.is_empty() {
        let suite = |name: &CipherSuite| {
            aws_lc_rs::ALL_CIPHER_SUITES.iter().find(|it| it.suite() == *name).copied()
        };
        provider.cipher_suites = ciphers.iter().filter_map(suite).collect();
    }
    if !groups.is_empty() {
        let group = |name: &NamedGroup| {
            aws_lc_rs::ALL_KX_GROUPS.iter().find(|it| it.name() == *name).copied()
        };
        provider.kx_groups =
            groups.iter().filter_map(group).collect::<Vec<&'static dyn SupportedKxGroup>>();
    }
    Arc::new(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_what_they_name() {
        assert!(cipher_names().count() >= 9 && group_names().count() >= 4);
        for name in cipher_names() {
            assert_eq!(cipher_named(name).map(name_of_cipher), Some(name));
            assert_eq!(cipher_named(name).map(is_of_tls13), Some(name.starts_with("TLS13_")));
        }
        for name in group_names() {
            assert_eq!(group_named(name).map(name_of_group), Some(name));
        }
        assert_eq!((cipher_named("unknown"), group_named("unknown")), (None, None));
    }

    #[test]
    fn what_is_chosen_is_what_is_used() {
        let cipher = cipher_named("TLS13_AES_128_GCM_SHA256").unwrap();
        let group = group_named("X25519").unwrap();
        let provider = provider(&[cipher], &[group]);
        assert_eq!(provider.cipher_suites.len(), 1);
        assert_eq!(provider.kx_groups.len(), 1);
        assert_eq!(provider.kx_groups[0].name(), group);
    }
}

//! Why a TLS session came to nothing, said once: the label of the metric and the word of the log.

use std::fmt;

use rustls::{Error, PeerIncompatible};

/// Why a handshake failed, or an established session broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsFailure {
    /// The first bytes are not those of a TLS record.
    NotTls,
    /// The first bytes are a request of plain HTTP.
    PlainHttp,
    /// No certificate is there for the name that the client asks for.
    NoCertificate,
    /// No version of TLS that both sides speak.
    Version,
    /// Nothing else that both sides speak: cipher suites, groups, signatures, extensions.
    Incompatible,
    /// The peer's certificate is missing, or is not trusted.
    PeerCertificate,
    /// The peer has sent a fatal alert.
    Alert,
    /// The peer does not follow the protocol, or a record was tampered with.
    Protocol,
    /// The peer did not answer in time.
    TimedOut,
    /// The peer's stream ended, or its socket failed, in the middle of the handshake.
    Closed,
    /// This machine could not go on: an error of our own.
    Internal,
}

impl TlsFailure {
    /// Every failure, in the order in which arrays indexed by failure hold them.
    pub const ALL: [TlsFailure; 11] = [
        TlsFailure::NotTls,
        TlsFailure::PlainHttp,
        TlsFailure::NoCertificate,
        TlsFailure::Version,
        TlsFailure::Incompatible,
        TlsFailure::PeerCertificate,
        TlsFailure::Alert,
        TlsFailure::Protocol,
        TlsFailure::TimedOut,
        TlsFailure::Closed,
        TlsFailure::Internal,
    ];

    /// Where arrays indexed by failure keep this one: the order of the declaration, which
    /// [`TlsFailure::ALL`] repeats.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The label of the metric and the field of the access log.
    pub fn label(self) -> &'static str {
        match self {
            TlsFailure::NotTls => "not_tls",
            TlsFailure::PlainHttp => "plain_http",
            TlsFailure::NoCertificate => "no_certificate",
            TlsFailure::Version => "version",
            TlsFailure::Incompatible => "incompatible",
            TlsFailure::PeerCertificate => "peer_certificate",
            TlsFailure::Alert => "alert",
            TlsFailure::Protocol => "protocol",
            TlsFailure::TimedOut => "timed_out",
            TlsFailure::Closed => "closed",
            TlsFailure::Internal => "internal",
        }
    }

    /// Sorts an error of the library.
    pub fn of(error: &Error) -> TlsFailure {
        match error {
            Error::PeerIncompatible(reason) => TlsFailure::of_incompatible(reason),
            Error::InvalidCertificate(_)
            | Error::NoCertificatesPresented
            | Error::InvalidCertRevocationList(_)
            | Error::UnsupportedNameType => TlsFailure::PeerCertificate,
            Error::AlertReceived(_) => TlsFailure::Alert,
            // The library's way to say that the resolver has found none.
            Error::General(words) if words.contains("certificate chain") => {
                TlsFailure::NoCertificate
            }
            Error::General(_)
            | Error::FailedToGetCurrentTime
            | Error::FailedToGetRandomBytes
            | Error::EncryptError
            | Error::HandshakeNotComplete => TlsFailure::Internal,
            _ => TlsFailure::Protocol,
        }
    }

    fn of_incompatible(reason: &PeerIncompatible) -> TlsFailure {
        match reason {
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled => TlsFailure::Version,
            _ => TlsFailure::Incompatible,
        }
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_stands_where_its_index_says() {
        for (index, failure) in TlsFailure::ALL.into_iter().enumerate() {
            assert_eq!(failure.index(), index, "{failure}");
        }
    }
}

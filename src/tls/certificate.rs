//! A certificate with its private key, from PEM (RFC 7468), and what can be told of it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use zeroize::Zeroize;

use super::distinguished_name;

/// How many certificates a chain may have: more than any client follows.
pub const CHAIN_MAX: usize = 16;

/// A certificate that can be shown, and the key with which to prove that it is ours.
#[derive(Debug, Clone)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    description: Description,
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The names that it is for, in small letters: hosts, `*.` and the rest of one, IP addresses.
    pub names: Vec<Box<str>>,
    /// Since when it is good, in seconds since 1970.
    pub not_before: i64,
    /// Until when, in seconds since 1970.
    pub not_after: i64,
    /// Who has issued it, as text.
    pub issuer: String,
    /// Of its key: `ECDSA`, `RSA` or `EdDSA`.
    pub algorithm: &'static str,
    /// Where its chain leads.
    pub chain: Chain,
}

/// Where a chain of certificates leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// To one that has issued itself.
    SelfIssued,
    /// To one that was issued by somebody else, as it should be: the name, and the same encoded
    /// (RFC 5280, section 4.1.2.4). A client must know it as a root.
    IssuedBy {
        /// As text.
        name: String,
        /// As encoded.
        encoded: Box<[u8]>,
    },
    /// Nowhere: this one, counted from 1, was not issued by the one behind it.
    Broken(usize),
}

/// Which of the two files something is wrong with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The certificate and those behind it.
    Chain,
    /// The private key.
    Key,
}

impl Certificate {
    /// From the texts of both files.
    ///
    /// # Errors
    /// What is wrong, and with which of the two, in words that stand behind the file's name.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Certificate, (Part, String)> {
        let chain = parse_chain(chain).map_err(|words| (Part::Chain, words))?;
        let mut key = parse_key(key).map_err(|words| (Part::Key, words))?;
        let signing = any_supported_type(&key);
        key.zeroize();
        let signing = signing.map_err(|_| {
            let words = "holds a key of a kind that is not supported; expected RSA of 2048 to \
                         8192 bits, ECDSA with P-256, P-384 or P-521, or Ed25519";
            (Part::Key, words.to_owned())
        })?;
        let description = describe(&chain, algorithm_name(signing.algorithm()))
            .ok_or_else(|| (Part::Chain, "does not hold a certificate of X.509".to_owned()))?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) => Ok(Certificate { certified: Arc::new(certified), description }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err((Part::Key, "does not fit the certificate: it is another's key".to_owned()))
            }
            Err(error) => Err((Part::Chain, format!("cannot be used: {error}"))),
        }
    }

    /// For a session.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }
}

impl Description {
    /// Whether it is for a host, whose name is in small letters, or for an IP address. A wildcard
    /// is for one more label, no more and no less (RFC 9525, section 6.3).
    pub fn covers(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(suffix) => parent == Some(suffix),
            None => **name == *host,
        })
    }
}

/// All certificates of a text, in their order.
pub(super) fn parse_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| pem_words(&error))?;
    match chain.len() {
        0 => Err("holds no certificate; expected PEM with \"BEGIN CERTIFICATE\"".to_owned()),
        length if length > CHAIN_MAX => {
            Err(format!("holds {length} certificates; a chain has {CHAIN_MAX} at most"))
        }
        _ => Ok(chain),
    }
}

fn parse_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let has = |words: &[u8]| memchr::memmem::find(pem, words).is_some();
        match error {
            _ if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") => {
                "holds a key that is encrypted, and nobody is there to type its passphrase; \
                 decrypt it with \"openssl pkey\""
                    .to_owned()
            }
            PemError::NoItemsFound => {
                "holds no private key; expected PEM with \"BEGIN PRIVATE KEY\"".to_owned()
            }
            error => pem_words(&error),
        }
    })
}

/// What is wrong with a text, without any of the text itself, which may be of a key.
pub(super) fn pem_words(error: &PemError) -> String {
    let what = match error {
        PemError::MissingSectionEnd { .. } => "it ends in the middle",
        PemError::Base64Decode(_) => "what stands between BEGIN and END is not Base64",
        _ => "it breaks the rules of the format",
    };
    format!("is not PEM: {what}")
}

fn describe(chain: &[CertificateDer<'static>], algorithm: &'static str) -> Option<Description> {
    let parsed: Option<Vec<X509Certificate<'_>>> = chain.iter().map(|der| parse(der)).collect();
    let parsed = parsed?;
    let (own, last) = (parsed.first()?, parsed.last()?);
    let broken =
        parsed.windows(2).position(|pair| pair[0].issuer().as_raw() != pair[1].subject().as_raw());
    let chain = match broken {
        Some(index) => Chain::Broken(index + 1),
        None if last.issuer().as_raw() == last.subject().as_raw() => Chain::SelfIssued,
        None => Chain::IssuedBy {
            name: distinguished_name::to_text(last.issuer()),
            encoded: last.issuer().as_raw().into(),
        },
    };
    Some(Description {
        names: names(own),
        not_before: own.validity().not_before.timestamp(),
        not_after: own.validity().not_after.timestamp(),
        issuer: distinguished_name::to_text(own.issuer()),
        algorithm,
        chain,
    })
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        GeneralName::IPAddress(bytes) => {
            let ip = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let ip = ip.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            ip.ok().map(|ip| ip.to_string().into())
        }
        _ => None,
    };
    names.filter_map(name).collect()
}

fn algorithm_name(algorithm: SignatureAlgorithm) -> &'static str {
    match algorithm {
        SignatureAlgorithm::RSA => "RSA",
        SignatureAlgorithm::ECDSA => "ECDSA",
        SignatureAlgorithm::ED25519 | SignatureAlgorithm::ED448 => "EdDSA",
        _ => "unknown",
    }
}

/// Who a peer is, by the certificate that it has shown and that was found to be good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The subject, as text (RFC 4514).
    pub subject: String,
    /// The common name of the subject; empty where it has none.
    pub common_name: String,
    /// The SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
}

impl PeerIdentity {
    /// From the peer's certificate; `None` where it cannot be read, which does not happen to one
    /// that was verified.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<PeerIdentity> {
        let parsed = parse(certificate)?;
        let mut fingerprint = String::with_capacity(64);
        for byte in digest(&SHA256, certificate).as_ref() {
            write!(fingerprint, "{byte:02x}").expect("writing to a String never fails");
        }
        let common_name = distinguished_name::common_name(parsed.subject());
        Some(PeerIdentity {
            subject: distinguished_name::to_text(parsed.subject()),
            common_name: common_name.unwrap_or_default(),
            fingerprint,
        })
    }
}

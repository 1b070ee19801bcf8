//! Which certificate a client is shown: by the name that it asks for, and by what it can verify.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use crate::config::tls::UnknownName;

/// The certificates of a listener.
#[derive(Debug)]
pub struct CertificateResolver {
    certificates: Vec<Arc<CertifiedKey>>,
    /// By name; by what follows the `*` and with its dot for wildcards. Places in
    /// `certificates`, the cheapest to sign with first, then in the order of the config.
    by_name: HashMap<Box<str>, Vec<usize>>,
    /// For names that none is for, and for clients that ask for none.
    default: Vec<usize>,
}

impl CertificateResolver {
    /// For these certificates, in the order of the config.
    pub fn new(certificates: &[&Certificate], unknown_name: UnknownName) -> CertificateResolver {
        let mut order: Vec<usize> = (0..certificates.len()).collect();
        // A signature with RSA costs some twenty times one with ECDSA.
        order.sort_by_key(|index| {
            certificates[*index].certified().key.algorithm() == SignatureAlgorithm::RSA
        });
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for index in order {
            for name in &certificates[index].description().names {
                let key: &str = name.strip_prefix('*').unwrap_or(name);
                by_name.entry(key.into()).or_default().push(index);
            }
        }
        // Others for the same name may suit a client that cannot verify the first.
        let default = match (unknown_name, certificates.first()) {
            (UnknownName::Default, Some(first)) => {
                let name = first.description().names.first();
                let name = name.map(|name| name.strip_prefix('*').unwrap_or(name));
                name.and_then(|name| by_name.get(name)).cloned().unwrap_or_else(|| vec![0])
            }
            _ => Vec::new(),
        };
        let certificates = certificates.iter().map(|it| Arc::clone(it.certified())).collect();
        CertificateResolver { certificates, by_name, default }
    }

    /// Those for a name, the best first: the name itself, then the wildcard for it.
    fn candidates(&self, name: Option<&str>) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        // With a final dot or without one, it is the same name (RFC 1034, section 3.1).
        let name = name.map(|name| name.strip_suffix('.').unwrap_or(name)).unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let exact = self.by_name.get(&*lower);
        let wildcard = lower.find('.').and_then(|dot| self.by_name.get(&lower[dot..]));
        let named: Vec<usize> = exact.into_iter().chain(wildcard).flatten().copied().collect();
        let places = if named.is_empty() { self.default.clone() } else { named };
        places.into_iter().map(|place| &self.certificates[place])
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let mut candidates = self.candidates(hello.server_name());
        candidates.find(|it| it.key.choose_scheme(schemes).is_some()).cloned()
    }
}

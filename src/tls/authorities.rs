//! Whom to believe: roots, and lists of what is good no longer.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::pem_words;

/// The roots in a text of PEM.
///
/// # Errors
/// What is wrong, in words that stand behind the file's name.
pub fn roots_from_pem(pem: &[u8]) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| pem_words(&error))?;
        roots.add(certificate).map_err(|error| format!("cannot be used: {error}"))?;
    }
    match roots.is_empty() {
        true => Err("holds no certificate; expected PEM with \"BEGIN CERTIFICATE\"".to_owned()),
        false => Ok(Arc::new(roots)),
    }
}

/// The roots that the system trusts. Those that cannot be used are left out: the rest of a
/// system's store is none the worse for them.
///
/// # Errors
/// There are none.
pub fn system_roots() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    match (roots.is_empty(), found.errors.first()) {
        (false, _) => Ok(Arc::new(roots)),
        (true, Some(error)) => Err(format!("the system's roots cannot be read: {error}")),
        (true, None) => Err("the system has no roots; install its package of them, often called \
                             ca-certificates, or name a file with ca"
            .to_owned()),
    }
}

/// The revocation lists in a text of PEM.
///
/// # Errors
/// What is wrong, in words that stand behind the file's name.
pub fn revocation_lists_from_pem(
    pem: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
    let lists = lists.map_err(|error| pem_words(&error))?;
    match lists.is_empty() {
        true => Err("holds no revocation list; expected PEM with \"BEGIN X509 CRL\"".to_owned()),
        false => Ok(lists),
    }
}

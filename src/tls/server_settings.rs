//! `[listeners.NAME.tls]` and what its files hold -> what rustls works with.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientCertVerifierBuilder, NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier,
};
use rustls::{RootCertStore, ServerConfig};

use super::algorithms;
use super::certificate::Certificate;
use super::resolver::CertificateResolver;
use crate::config::tls::{ClientCertificates, ListenerTls};

/// How many tickets a client gets for its next sessions (RFC 8446, section 4.6.1): it may use
/// each once, and browsers open a second connection at once.
const TICKETS: usize = 2;

/// What certificates of clients are judged by.
#[derive(Debug, Clone)]
pub struct ClientTrust {
    /// Who may have issued them.
    pub roots: Arc<RootCertStore>,
    /// What is good no longer.
    pub revocation_lists: Vec<CertificateRevocationListDer<'static>>,
}

impl ClientTrust {
    /// Whether certificates can be judged by it.
    ///
    /// # Errors
    /// What is wrong, in words that stand behind a file's name.
    pub(super) fn check(&self) -> Result<(), String> {
        let built = self.verifier(&algorithms::provider(&[], &[])).build();
        built.map(drop).map_err(|error| format!("cannot be used: {error}"))
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> ClientCertVerifierBuilder {
        let (roots, provider) = (Arc::clone(&self.roots), Arc::clone(provider));
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        match self.revocation_lists.is_empty() {
            true => builder,
            // An old list does not know what was revoked since.
            false => {
                builder.with_crls(self.revocation_lists.clone()).enforce_revocation_expiration()
            }
        }
    }
}

/// The keys of a listener's tickets, which are made by themselves, turn over every six hours, and
/// are the same for all workers. Whoever holds a ticket is not asked for a certificate again, so
/// these are new where the judgement of certificates is.
///
/// # Errors
/// The system has no randomness.
pub fn ticket_keys() -> Result<Arc<dyn ProducesTickets>, String> {
    Ticketer::new().map_err(|error| error.to_string())
}

/// What sessions of a listener's clients are made with.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn server_config(
    settings: &ListenerTls,
    certificates: &[&Certificate],
    clients: Option<&ClientTrust>,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, String> {
    let provider = algorithms::provider(&settings.ciphers, &settings.groups);
    let verifier = client_verifier(&settings.client_certificates, clients, &provider)?;
    let resolver = CertificateResolver::new(certificates, settings.unknown_name);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(settings.min_version.and_later())
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = settings.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    // What comes before the handshake is over can be sent again by anybody (RFC 8446, section 8).
    config.max_early_data_size = 0;
    // Sessions are resumed from tickets alone: nothing is kept here, and all workers can.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = if settings.tickets { TICKETS } else { 0 };
    if settings.tickets {
        config.ticketer = Arc::clone(tickets);
    }
    Ok(Arc::new(config))
}

fn client_verifier(
    settings: &ClientCertificates,
    clients: Option<&ClientTrust>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let (Some(_), Some(trust)) = (settings.authority(), clients) else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let mut builder = trust.verifier(provider);
    if matches!(settings, ClientCertificates::Optional(_)) {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| error.to_string())
}

//! `[upstreams.NAME.tls]` and what its files hold -> what rustls works with.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::algorithms;
use super::certificate::Certificate;
use crate::address::Address;
use crate::config::tls::UpstreamTls;

/// Servers whose sessions can be resumed, for each upstream: more than most have.
const SESSIONS_MAX: usize = 256;

/// What sessions with an upstream's servers are made with. Without `roots`, servers need not
/// prove who they are.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn client_config(
    settings: &UpstreamTls,
    roots: Option<&Arc<RootCertStore>>,
    own: Option<&Certificate>,
) -> Result<Arc<ClientConfig>, String> {
    let provider = algorithms::provider(&[], &[]);
    let verifier: Arc<dyn ServerCertVerifier> = match roots {
        Some(roots) => {
            let provider = Arc::clone(&provider);
            WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider)
                .build()
                .map_err(|error| error.to_string())?
        }
        None => Arc::new(Unverified { provider: Arc::clone(&provider) }),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(settings.min_version.and_later())
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match own {
        Some(own) => {
            let own: CertifiedKey = own.certified().as_ref().clone();
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = settings.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// Whom a server must prove to be: `server_name`, or its address.
pub fn server_name(settings: &UpstreamTls, server: &Address) -> ServerName<'static> {
    match (&settings.server_name, server) {
        (Some(name), _) => name.clone(),
        (None, Address::Ip(address)) => ServerName::from(address.ip()),
        // Such a server has a name, or is not verified: the config holds nothing else.
        (None, Address::Unix(_) | Address::Abstract(_)) => {
            ServerName::from(std::net::IpAddr::from(std::net::Ipv4Addr::LOCALHOST))
        }
    }
}

/// Believes every server. Its signatures are verified still: with a wrong one, the two ends would
/// not even agree on who it says it is.
#[derive(Debug)]
struct Unverified {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

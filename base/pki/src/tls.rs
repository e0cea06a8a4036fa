//! TLS settings of both ends. One crypto provider, aws-lc-rs, named at every use so that no process-wide default matters.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{Error, Identity};

/// Which TLS versions a peer may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// 1.2 and 1.3: a KubeEdge peer may be on the other end.
    Kubeedge,
    /// 1.3 only: both ends are ours.
    Own,
}

/// What a server wants from its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// A certificate of our authority or no connection.
    Required,
    /// A certificate is verified if one is sent (joining nodes have none yet).
    Optional,
}

/// Settings of a server that verifies clients against `ca` (DER).
pub fn server_config(
    identity: &Identity,
    ca: &[u8],
    clients: ClientAuth,
    versions: Versions,
) -> Result<ServerConfig, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca)?.into(), provider());
    let verifier = match clients {
        ClientAuth::Required => verifier,
        ClientAuth::Optional => verifier.allow_unauthenticated(),
    };
    Ok(ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions.list())?
        .with_client_cert_verifier(verifier.build()?)
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())?)
}

/// Settings of a client that trusts `ca` (DER) alone and, once it has one, shows its own certificate.
pub fn client_config(ca: &[u8], identity: Option<&Identity>, versions: Versions) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions.list())?
        .with_root_certificates(roots(ca)?);
    Ok(match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?,
        None => builder.with_no_client_auth(),
    })
}

/// Settings of a client that fetches `/ca.crt` and nothing else: it verifies no server, because what it fetches is
/// verified by the hash in the join token ([`crate::JoinToken::check_authority`]). Never send anything over it.
pub fn unverified_client_config() -> Result<ClientConfig, Error> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(Versions::Kubeedge.list())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(algorithms)))
        .with_no_client_auth())
}

/// A verifier that accepts every certificate, for connectors whose user asked for `insecureSkipVerify`. The link and the API
/// never use it.
pub fn any_server() -> Arc<dyn ServerCertVerifier> {
    Arc::new(AnyServer(provider().signature_verification_algorithms))
}

/// The crypto provider of the whole program.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

static KUBEEDGE_VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
static OWN_VERSIONS: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

impl Versions {
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Kubeedge => &KUBEEDGE_VERSIONS,
            Self::Own => &OWN_VERSIONS,
        }
    }
}

fn roots(ca: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca.to_vec()))?;
    Ok(roots)
}

/// Accepts every certificate, but still only a handshake signed with that certificate's key.
#[derive(Debug)]
struct AnyServer(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

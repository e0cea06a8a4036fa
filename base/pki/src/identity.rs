//! A certificate with its key, and what a certificate says about its holder.

use std::path::Path;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Error, NODES_ORGANIZATION, files};

/// A certificate chain and the private key of its first certificate.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, then those that lead to the authority (usually none).
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Identity {
    /// Reads certificate and key from PEM files; `None` when neither exists.
    pub fn load(certificate: &Path, key: &Path) -> Result<Option<Self>, Error> {
        if !files::both_exist(certificate, key)? {
            return Ok(None);
        }
        Ok(Some(Self { chain: files::read_certificates(certificate)?, key: files::read_key(key)? }))
    }

    /// Writes both as PEM files: the key first and 0600, so that a crash between leaves an error to see, not a
    /// certificate whose key is lost.
    pub fn save(&self, certificate: &Path, key: &Path) -> Result<(), Error> {
        files::write(key, &self.key_pem(), true)?;
        files::write(certificate, &self.certificate_pem(), false)
    }

    /// The certificate chain as PEM, for kubeconfig files.
    pub fn certificate_pem(&self) -> String {
        self.chain.iter().map(|certificate| files::pem("CERTIFICATE", certificate)).collect()
    }

    /// The private key as PEM, for kubeconfig files. Secret.
    pub fn key_pem(&self) -> String {
        files::key_pem(&self.key)
    }

    /// The certificate itself.
    pub fn certificate(&self) -> Result<&CertificateDer<'static>, Error> {
        self.chain.first().ok_or(Error::Der("certificate"))
    }
}

/// What a verified certificate says about its holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Subject common name; empty if there is none.
    pub common_name: String,
    /// Subject organisations.
    pub organizations: Vec<String>,
}

impl Peer {
    /// Reads the subject of a certificate. Does not verify it: TLS has.
    pub fn from_certificate(der: &[u8]) -> Result<Self, Error> {
        let certificate = parse(der)?;
        let subject = certificate.subject();
        let text =
            |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_owned);
        Ok(Self {
            common_name: subject.iter_common_name().find_map(text).unwrap_or_default(),
            organizations: subject.iter_organization().filter_map(text).collect(),
        })
    }

    /// The node this certificate stands for: common name `system:node:<name>` in organisation `system:nodes`.
    pub fn node_name(&self) -> Option<&str> {
        let member = self.organizations.iter().any(|organization| organization == NODES_ORGANIZATION);
        self.common_name.strip_prefix("system:node:").filter(|name| member && !name.is_empty())
    }
}

/// SHA-256 of the certificate's public key (SubjectPublicKeyInfo), in hex.
pub fn certificate_fingerprint(der: &[u8]) -> Result<String, Error> {
    Ok(sha256_hex(parse(der)?.public_key().raw))
}

pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Error::Der("certificate")),
    }
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

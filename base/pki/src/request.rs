//! Certificate requests of nodes: made at the edge, checked in the cloud.

use rcgen::{CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

use crate::identity::sha256_hex;
use crate::{Error, Identity, NODES_ORGANIZATION, certificate_fingerprint};

/// Longest accepted request (KubeEdge 1.23: 1 MiB; a real one has about 300 bytes).
pub const MAX_REQUEST_BYTES: usize = 1 << 20;

/// A key made at the edge and the request that asks the cloud to certify it.
#[derive(Debug)]
pub struct NodeRequest {
    key: PrivateKeyDer<'static>,
    der: Vec<u8>,
}

impl NodeRequest {
    /// A request for `node` with a new P-256 key, in KubeEdge's form: C=CN, O=system:nodes, L=Hangzhou, ST=Zhejiang,
    /// CN=system:node:&lt;node&gt;.
    pub fn new(node: &str) -> Result<Self, Error> {
        Self::with_key(node, KeyPair::generate()?)
    }

    /// The same with the key of an existing identity. An interrupted join must repeat with the same key, since the
    /// cloud remembers the first key of each name.
    pub fn renew(node: &str, key: &PrivateKeyDer<'_>) -> Result<Self, Error> {
        Self::with_key(node, KeyPair::try_from(key)?)
    }

    /// The request, PKCS#10 DER: the body of `GET /edge.crt`.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key, to be saved before the request is sent.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// Joins the issued certificate (DER) with the key; refuses one that was issued for another key.
    pub fn complete(self, certificate: Vec<u8>) -> Result<Identity, Error> {
        if certificate_fingerprint(&certificate)? != request_fingerprint(&self.der)? {
            return Err(Error::Refused("the certificate that came back belongs to another key".into()));
        }
        Ok(Identity { chain: vec![CertificateDer::from(certificate)], key: self.key })
    }

    fn with_key(node: &str, key: KeyPair) -> Result<Self, Error> {
        check_node_name(node)?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CountryName, "CN");
        subject.push(DnType::OrganizationName, NODES_ORGANIZATION);
        subject.push(DnType::LocalityName, "Hangzhou");
        subject.push(DnType::StateOrProvinceName, "Zhejiang");
        subject.push(DnType::CommonName, node_common_name(node));
        let mut params = CertificateParams::default();
        params.distinguished_name = subject;
        let der = params.serialize_request(&key)?.der().to_vec();
        Ok(Self { key: key.into(), der })
    }
}

/// Common name of a node's certificate.
pub fn node_common_name(node: &str) -> String {
    format!("system:node:{node}")
}

/// SHA-256 of the request's public key (SubjectPublicKeyInfo), in hex: equal to that of the certificate issued for it.
pub fn request_fingerprint(der: &[u8]) -> Result<String, Error> {
    Ok(sha256_hex(parse(der)?.certification_request_info.subject_pki.raw))
}

/// Checks a node's request against KubeEdge's rules: signed by its own key, common name of this very node,
/// organisation `system:nodes` and no other, ECDSA.
pub(crate) fn check(der: &[u8], node: &str) -> Result<CertificateSigningRequestParams, Error> {
    check_node_name(node)?;
    let refuse = |text: String| Err(Error::Refused(text));
    if der.len() > MAX_REQUEST_BYTES {
        return refuse(format!("it has {} bytes, at most {MAX_REQUEST_BYTES} are read", der.len()));
    }
    let request = parse(der)?;
    let subject = &request.certification_request_info.subject;
    let names: Vec<&str> = subject.iter_common_name().filter_map(|name| name.as_str().ok()).collect();
    if names != [node_common_name(node)] {
        return refuse(format!("its common name is {names:?}, for this node it must be \"system:node:{node}\""));
    }
    let organizations: Vec<&str> = subject.iter_organization().filter_map(|name| name.as_str().ok()).collect();
    if organizations != [NODES_ORGANIZATION] {
        return refuse(format!("its organisation is {organizations:?}, it must be \"{NODES_ORGANIZATION}\""));
    }
    let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der))
        .or_else(|error| refuse(format!("its signature or extensions are not acceptable ({error})")))?;
    if ![&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384].contains(&request.public_key.algorithm()) {
        return refuse("its key is not ECDSA P-256 or P-384".into());
    }
    Ok(request)
}

fn parse(der: &[u8]) -> Result<X509CertificationRequest<'_>, Error> {
    match X509CertificationRequest::from_der(der) {
        Ok(([], request)) => Ok(request),
        _ => Err(Error::Der("certificate request")),
    }
}

/// A node name is a Kubernetes object name (RFC 1123 subdomain).
fn check_node_name(node: &str) -> Result<(), Error> {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inner)
    };
    if node.len() <= 253 && node.split('.').all(label) {
        Ok(())
    } else {
        Err(Error::NodeName(node.chars().take(300).collect()))
    }
}

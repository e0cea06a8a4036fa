//! The TLS properties common to all connectors with sockets.

use std::fs;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{ConnectError, Props};

/// Properties that are not built: text in place of files, and settings that weaken TLS.
const UNBUILT: [&str; 6] =
    ["certificationRaw", "privateKeyRaw", "rootCARaw", "certficationRaw", "insecureSkipVerify", "renegotiationSupport"];

/// Client settings from `rootCaPath`, `certificationPath` and `privateKeyPath`. There are no built-in authorities: a
/// server that wants TLS needs `rootCaPath`.
pub(crate) fn client_config(props: &Props) -> Result<Arc<ClientConfig>, ConnectError> {
    props.refuse(&UNBUILT)?;
    let root = props.text("rootCaPath")?.ok_or(ConnectError::Missing("rootCaPath"))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates("rootCaPath", root)? {
        roots.add(certificate).map_err(|error| invalid("rootCaPath", root, &error))?;
    }
    let builder =
        ClientConfig::builder_with_provider(edgeward_pki::tls::provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| invalid("tlsMinVersion", "", &error))?.with_root_certificates(roots);
    let config = match (props.text("certificationPath")?, props.text("privateKeyPath")?) {
        (None, None) => builder.with_no_client_auth(),
        (Some(chain), Some(key)) => {
            let private = read("privateKeyPath", key)?;
            let private =
                PrivateKeyDer::from_pem_slice(&private).map_err(|error| invalid("privateKeyPath", key, &error))?;
            let chain_path = chain;
            let chain = certificates("certificationPath", chain)?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| invalid("certificationPath", chain_path, &error))?
        }
        (Some(_), None) => return Err(ConnectError::Missing("privateKeyPath")),
        (None, Some(_)) => return Err(ConnectError::Missing("certificationPath")),
    };
    Ok(Arc::new(config))
}

fn certificates(key: &'static str, path: &str) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let text = read(key, path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    read.map_err(|error| invalid(key, path, &error))
}

fn read(key: &'static str, path: &str) -> Result<Vec<u8>, ConnectError> {
    fs::read(path).map_err(|error| invalid(key, path, &error))
}

fn invalid(key: &'static str, path: &str, error: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::Invalid { key, reason: format!("{path}: {error}") }
}

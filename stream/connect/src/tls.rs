//! The TLS properties common to all connectors with sockets.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{ConnectError, Props};

/// A file's property and the ones that carry its text in base64. The misspelling is in old configurations.
type Pem = (&'static str, &'static [&'static str]);
const ROOT: Pem = ("rootCaPath", &["rootCARaw"]);
const CHAIN: Pem = ("certificationPath", &["certificationRaw", "certficationRaw"]);
const KEY: Pem = ("privateKeyPath", &["privateKeyRaw"]);

static ONLY_13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

/// Client settings of eKuiper's TLS properties. Without `rootCaPath` or `rootCARaw` the system's authorities are trusted.
/// `insecure` is the connector's default of `insecureSkipVerify`.
///
/// # Errors
/// A file cannot be read, a text is no base64 or no PEM, or a certificate comes without its key.
pub(crate) fn client_config(props: &Props, insecure: bool) -> Result<Arc<ClientConfig>, ConnectError> {
    let provider = edgeward_pki::tls::provider();
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions(props)?);
    let builder = builder.map_err(|error| invalid("tlsMinVersion", "", &error))?;
    let builder = match props.flag_if_set("insecureSkipVerify")?.unwrap_or(insecure) {
        true => builder.dangerous().with_custom_certificate_verifier(edgeward_pki::tls::any_server()),
        false => builder.with_root_certificates(roots(props)?),
    };
    Ok(Arc::new(match (text(props, CHAIN)?, text(props, KEY)?) {
        (None, None) => builder.with_no_client_auth(),
        (Some(chain), Some(key)) => {
            let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| invalid(KEY.0, "", &error))?;
            let config = builder.with_client_auth_cert(certificates(CHAIN.0, &chain)?, key);
            config.map_err(|error| invalid(CHAIN.0, "", &error))?
        }
        (Some(_), None) => return Err(ConnectError::Missing(KEY.0)),
        (None, Some(_)) => return Err(ConnectError::Missing(CHAIN.0)),
    }))
}

/// Settings of a server with the PEM files of its certificates and of its key; `name` is the section they come from
/// (`basic.restTls`, `source.httpServerTls`).
///
/// # Errors
/// A file cannot be read or is no PEM, or the key belongs to another certificate; the text names section, key and file.
pub fn server_config(name: &str, certificates: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let bad = |property: &str, path: &Path, error: &dyn std::fmt::Display| {
        format!("{name}.{property}: {}: {error}", path.display())
    };
    let chain = CertificateDer::pem_file_iter(certificates).and_then(|read| read.collect());
    let chain: Vec<_> = chain.map_err(|error| bad("certfile", certificates, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad("keyfile", key, &error))?;
    let builder = ServerConfig::builder_with_provider(edgeward_pki::tls::provider());
    let builder = builder.with_safe_default_protocol_versions();
    let config = builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    Ok(Arc::new(config.map_err(|error| bad("certfile", certificates, &error))?))
}

/// rustls knows no version below 1.2: asking for less allows 1.2 and 1.3.
fn versions(props: &Props) -> Result<&'static [&'static SupportedProtocolVersion], ConnectError> {
    if let Some(mode) = props.text("renegotiationSupport")?.filter(|mode| *mode != "never") {
        return Err(ConnectError::Unsupported(format!("renegotiationSupport {mode}")));
    }
    match props.text("tlsMinVersion")?.unwrap_or("tls1.2") {
        "tls1.0" | "tls1.1" | "tls1.2" => Ok(rustls::ALL_VERSIONS),
        "tls1.3" => Ok(&ONLY_13),
        other => Err(invalid("tlsMinVersion", other, &"use tls1.2 or tls1.3")),
    }
}

fn roots(props: &Props) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    match text(props, ROOT)? {
        Some(text) => {
            for certificate in certificates(ROOT.0, &text)? {
                roots.add(certificate).map_err(|error| invalid(ROOT.0, "", &error))?;
            }
        }
        // Single certificates of the system that cannot be read are left out, as every browser does.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    Ok(roots)
}

/// The PEM text of a file or of a property that carries it.
fn text(props: &Props, (path, raw): Pem) -> Result<Option<Vec<u8>>, ConnectError> {
    for key in raw {
        if let Some(coded) = props.text(key)? {
            return STANDARD.decode(coded).map(Some).map_err(|error| invalid(path, key, &error));
        }
    }
    let Some(file) = props.text(path)? else { return Ok(None) };
    fs::read(file).map(Some).map_err(|error| invalid(path, file, &error))
}

fn certificates(key: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    read.map_err(|error| invalid(key, "", &error))
}

fn invalid(key: &'static str, value: &str, error: &dyn std::fmt::Display) -> ConnectError {
    let reason = if value.is_empty() { error.to_string() } else { format!("{value}: {error}") };
    ConnectError::Invalid { key, reason }
}

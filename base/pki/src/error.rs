//! The one error type of this room.

use std::path::PathBuf;

/// Why a key, certificate or TLS setting could not be made, read or accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}; check that the folder exists and belongs to this user")]
    File {
        /// `read`, `write` or `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// One of certificate and key is there, the other is not.
    #[error("{present} is there but {missing} is not; restore it from a backup, or remove the first to start afresh")]
    Half {
        /// The file that exists.
        present: PathBuf,
        /// The file that does not.
        missing: PathBuf,
    },
    /// A file is there but holds no usable PEM.
    #[error("{path} holds no {what}; restore it from a backup")]
    Pem {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// Bytes that should be a certificate or a request are not.
    #[error("not a {0} in DER form")]
    Der(&'static str),
    /// A certificate request that may not be signed; the text says which rule it breaks.
    #[error("certificate request refused: {0}")]
    Refused(String),
    /// A node name that cannot be one.
    #[error("{0:?} is no node name; use lower-case letters, digits, '-' and '.', at most 253 of them")]
    NodeName(String),
    /// The certificate library refused.
    #[error("cannot make the certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refused a certificate, key or version.
    #[error("cannot use certificate and key for TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The TLS library refused the set of trusted authorities.
    #[error("cannot verify client certificates against the authority: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

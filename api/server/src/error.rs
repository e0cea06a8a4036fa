//! Why the server cannot start or listen.

use std::path::PathBuf;

/// Everything that keeps the API server from starting. Refused requests are `ApiError`s (Status objects) instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused what the server needs at its start.
    #[error("cannot prepare the store: {0}; look at the message of the store, repair it and start again")]
    Store(String),
    /// A platform definition or a stored CRD is unusable.
    #[error("cannot install {what}: {reason}; this is a bug, please report it")]
    Install {
        /// The object.
        what: String,
        /// Why it was refused.
        reason: String,
    },
    /// The file of the token key cannot be read or written.
    #[error("cannot use token key file {path}: {source}; make it readable and writable by this user")]
    TokenKeyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of the token key holds something else.
    #[error(
        "token key file {path} holds no ECDSA P-256 key; restore it, or remove it to get a new key (all tokens end)"
    )]
    TokenKeyBroken {
        /// The file.
        path: String,
    },
    /// Signing failed.
    #[error("cannot sign a token: {0}; look at the system's random source and try again")]
    Sign(String),
    /// The TLS settings are unusable.
    #[error("cannot set up TLS: {0}; check certificate, key and client CA")]
    Tls(String),
    /// The service network is too small or not IPv4.
    #[error("service network {0} is unusable; give an IPv4 network of at most /28, such as 10.43.0.0/16")]
    ServiceNetwork(String),
}

//! The one error type of this room.

use std::net::SocketAddr;

/// Why the hub could not start or do what its handle was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {source}; is another cloudcore or edgeward running there?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificates or keys.
    #[error(transparent)]
    Pki(#[from] edgeward_pki::Error),
    /// The API refused or did not answer.
    #[error("cannot {action}: {reason}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the API said.
        reason: String,
    },
}

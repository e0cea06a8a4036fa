//! What can go wrong on a node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeward_twin::TwinError;

/// Why a part of the agent could not start or do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the agent cannot be used.
    #[error("{what} {path}: {reason}; check that the folder exists, is writable and not damaged")]
    Io {
        /// What the file is for.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// No space left.
    #[error("{what} {path}: the disk is full; free space, nothing accepted so far is lost")]
    DiskFull {
        /// What the file is for.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// Another process uses the same files.
    #[error("{what} {path} is in use by another process; stop the other agent or give this one its own data folder")]
    InUse {
        /// What the file is for.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// A reading that cannot be kept.
    #[error("reading refused: {reason}")]
    Reading {
        /// The rule it breaks.
        reason: String,
    },
    /// No session with the cloud.
    #[error("the cloud cannot be reached now; try again when the link is up")]
    Offline,
    /// Too many requests wait for an answer.
    #[error("{0} requests to the cloud wait for an answer; try again later")]
    Busy(usize),
    /// A request got no answer in time.
    #[error("the cloud did not answer about {0} in time; try again later")]
    Unanswered(String),
    /// A message could not be read or written.
    #[error("link message: {0}")]
    Message(String),
    /// A server does not answer as it should.
    #[error("{server} cannot be reached: {reason}; check its address, the network and that the server runs")]
    Unreachable {
        /// `host:port`.
        server: String,
        /// What happened.
        reason: String,
    },
    /// The cloud refuses this node.
    #[error("{server} refuses node {node}: {reason}")]
    Refused {
        /// `host:port`.
        server: String,
        /// This node.
        node: String,
        /// The cloud's words.
        reason: String,
    },
    /// The join token is of no use.
    #[error(transparent)]
    Token(#[from] edgeward_pki::TokenError),
    /// The node has no valid certificate and no token to get one.
    #[error(
        "this node has no valid certificate and no join token to get one; create a token with `edgeward token create` and give it"
    )]
    NoToken,
    /// Certificate or key cannot be used.
    #[error("credentials: {0}")]
    Credentials(String),
    /// The twins cannot do their work.
    #[error(transparent)]
    Twin(Arc<TwinError>),
    /// A part of the agent could not start.
    #[error("{part}: {reason}")]
    Part {
        /// Which one.
        part: &'static str,
        /// Its words, with what to do.
        reason: String,
    },
    /// An address cannot be listened on.
    #[error(
        "cannot listen for the local API on {address}: {reason}; stop what uses the port or choose another address"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's words.
        reason: String,
    },
    /// The replica's datastore refused.
    #[error("replica: {0}")]
    Store(#[from] edgeward_store::StoreError),
    /// An object is changed faster than the change could be made.
    #[error("replica: {0} changes too often; try again")]
    Contended(String),
    /// The part that would do it has ended.
    #[error("{0} is shutting down")]
    Stopped(&'static str),
}

impl From<TwinError> for Error {
    fn from(error: TwinError) -> Self {
        Self::Twin(Arc::new(error))
    }
}

impl Error {
    /// Sorts the system's errors into the cases an operator can act on.
    pub(crate) fn io(what: &'static str, path: &Path, error: &std::io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { what, path },
            _ => Self::Io { what, path, reason: error.to_string() },
        }
    }
}

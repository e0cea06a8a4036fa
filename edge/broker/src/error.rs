//! Why the broker cannot start or take something.

use std::net::SocketAddr;
use std::path::PathBuf;

use edgeward_mqtt::MqttError;

/// An error of the broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// An address cannot be listened on.
    #[error("cannot listen for MQTT on {address}: {source}; stop what uses the port or choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The file of sessions and retained messages cannot be used.
    #[error("cannot use the broker's file {}: {source}; check the disk, or move the file away to start without old sessions", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file was written by a newer version.
    #[error("the broker's file {} has format {found}, this version reads {supported}; start the newer version", path.display())]
    NewerStore {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Ours.
        supported: i64,
    },
    /// A topic or filter is not valid.
    #[error("{text:?}: {source}")]
    Topic {
        /// As it was given.
        text: String,
        /// Why.
        source: MqttError,
    },
    /// A message is larger than [`crate::Limits::max_packet_bytes`].
    #[error("message of {size} bytes is larger than the limit of {limit} bytes; send less or raise the limit")]
    TooLarge {
        /// Topic and payload in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A subscriber that confirms gave a message up, or the broker stopped first.
    #[error("message was not confirmed; send it again")]
    NotConfirmed,
}

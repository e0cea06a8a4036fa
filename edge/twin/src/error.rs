use std::path::PathBuf;

use crate::DeviceId;

/// What can go wrong with twins.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// The database cannot be opened or is damaged.
    #[error(
        "twin store {path:?} cannot be opened: {source}; check the disk, or move the file away: twins fill again with the next reports"
    )]
    Open {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database was written by a newer program.
    #[error("twin store {path:?} has format {found}, this program knows up to {known}; start the newer program again")]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Format of the file.
        found: i64,
        /// Newest format this program reads.
        known: i64,
    },
    /// A commit failed; nothing of it was kept.
    #[error("twin store cannot write: {0}; free disk space or check the disk, then repeat")]
    Commit(#[from] rusqlite::Error),
    /// The commit of a shared transaction failed for everybody in it.
    #[error("twin store cannot write: {0}; free disk space or check the disk, then repeat")]
    Shared(String),
    /// The broker refused the twin's subscriptions.
    #[error("twin cannot subscribe: {0}")]
    Subscribe(#[from] edgeward_broker::BrokerError),
    /// Not a device of this node.
    #[error("device {0} is not on this node; check its nodeName or nodeSelector")]
    UnknownDevice(DeviceId),
    /// A report does not fit the twin.
    #[error("report of device {device} refused: {reason}")]
    Refused {
        /// The device.
        device: DeviceId,
        /// KubeEdge's words.
        reason: String,
    },
    /// A Device or DeviceModel document that cannot be understood.
    #[error("{kind} {name:?} is not valid: {reason}")]
    Document {
        /// `Device` or `DeviceModel`.
        kind: &'static str,
        /// `<namespace>/<name>` as far as known.
        name: String,
        /// Field and reason.
        reason: String,
    },
    /// The twin service has stopped.
    #[error("twin service has stopped; start the agent again")]
    Stopped,
}

use std::path::PathBuf;

use edgeward_twin::TwinError;

/// What can go wrong with drivers and simulators.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The twin does not take the driver.
    #[error(transparent)]
    Twin(#[from] TwinError),
    /// A file to replay cannot be read.
    #[error("{path:?} cannot be replayed: {reason}; give a CSV file with the header timestamp,value")]
    Replay {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        reason: String,
    },
    /// The simulated slaves cannot listen.
    #[error("modbus simulator cannot listen on {address}: {source}; choose a free port")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The options cannot be run.
    #[error("simulation cannot run: {0}")]
    Options(String),
}

//! Errors with eKuiper's codes.

use std::net::SocketAddr;
use std::path::PathBuf;

use edgeward_connect::ConnectError;
use edgeward_engine::EngineError;
use edgeward_plugins::PluginError;
use edgeward_sql::SqlError;

/// eKuiper's error codes (`pkg/errorx`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Anything else: eKuiper gives a code of its own to few errors.
    Undefined = 1000,
    /// A name that is not known.
    NotFound = 1002,
    /// A file or a peer that cannot be read.
    Io = 1003,
    /// SQL that cannot be read.
    Parser = 2001,
    /// A statement that cannot be planned.
    Planner = 2101,
    /// A statement that cannot be run.
    Executor = 2201,
    /// A stream or table.
    Stream = 3000,
    /// A rule.
    Rule = 4000,
    /// A configuration key.
    ConfKey = 5000,
}

/// An error of the rules service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The catalogue's file cannot be used.
    #[error("cannot use the rules' file {}: {source}; check the disk, or move the file away to start without rules", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The folder cannot be made.
    #[error("cannot make the rules' folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file was written by a newer version.
    #[error("the rules' file {} has format {found}, this version reads {supported}; start the newer version", path.display())]
    NewerStore {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Ours.
        supported: i64,
    },
    /// The address of REST cannot be listened on.
    #[error("cannot listen for rules' REST on {address}: {source}; stop what uses the port or choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A request that cannot be done, with eKuiper's code.
    #[error("{message}")]
    Refused {
        /// The code.
        code: Code,
        /// The text.
        message: String,
    },
}

impl RulesError {
    pub(crate) fn refused(code: Code, message: impl Into<String>) -> RulesError {
        RulesError::Refused { code, message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> RulesError {
        RulesError::refused(Code::NotFound, message)
    }

    /// The code a client sees.
    pub fn code(&self) -> Code {
        match self {
            RulesError::Refused { code, .. } => *code,
            _ => Code::Undefined,
        }
    }
}

impl From<SqlError> for RulesError {
    fn from(error: SqlError) -> RulesError {
        RulesError::refused(Code::Parser, error.to_string())
    }
}

impl From<EngineError> for RulesError {
    fn from(error: EngineError) -> RulesError {
        RulesError::refused(Code::Planner, error.to_string())
    }
}

impl From<PluginError> for RulesError {
    fn from(error: PluginError) -> RulesError {
        let code = if matches!(error, PluginError::Unknown(_)) { Code::NotFound } else { Code::Undefined };
        RulesError::refused(code, error.to_string())
    }
}

impl From<ConnectError> for RulesError {
    fn from(error: ConnectError) -> RulesError {
        let code = if matches!(error, ConnectError::UnknownService(_)) { Code::NotFound } else { Code::Executor };
        RulesError::refused(code, error.to_string())
    }
}

pub(crate) type Result<T> = std::result::Result<T, RulesError>;

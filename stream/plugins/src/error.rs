//! Why a plugin cannot be used.

use std::path::PathBuf;
use std::time::Duration;

use edgeward_sp::SpError;

/// An error of a plugin or of its installation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// A file or folder of a plugin cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A package that cannot be installed.
    #[error("{0}")]
    Package(String),
    /// A name that would leave its folder.
    #[error("invalid name {0:?}: use letters, digits, '_', '-' and '.', and begin with a letter or digit")]
    Name(String),
    /// No plugin of this name.
    #[error("{0} is not found")]
    Unknown(String),
    /// There is one already.
    #[error("invalid name {0}: duplicate")]
    Exists(String),
    /// A symbol that another plugin has.
    #[error("{symbol} belongs to plugin {owner} already; rename it or delete that plugin")]
    Taken {
        /// The symbol.
        symbol: String,
        /// Whose it is.
        owner: String,
    },
    /// Rules use it.
    #[error("{name} is used by rule {rule}; stop the rule first")]
    InUse {
        /// The plugin.
        name: String,
        /// One of the rules.
        rule: String,
    },
    /// A body of REST that cannot be read or obeyed.
    #[error("{0}")]
    Body(String),
    /// A script that does not run.
    #[error("{0}")]
    Script(String),
    /// A limit of the options.
    #[error("{0}")]
    Limit(String),
    /// The process cannot be started or ended.
    #[error("plugin {name} does not run: {reason}")]
    Process {
        /// The plugin.
        name: String,
        /// What happened.
        reason: String,
    },
    /// The process did not answer.
    #[error("plugin {name} did not answer within {limit:?}; look at its log for what it waits for")]
    Timeout {
        /// The plugin or function.
        name: String,
        /// The time it had.
        limit: Duration,
    },
    /// The process answered with an error.
    #[error("plugin {name}: {reason}")]
    Refused {
        /// The plugin or function.
        name: String,
        /// Its text.
        reason: String,
    },
    /// The socket to the process cannot be used.
    #[error(transparent)]
    Socket(#[from] SpError),
}

/// A result with a plugin error.
pub(crate) type Result<T, E = PluginError> = std::result::Result<T, E>;

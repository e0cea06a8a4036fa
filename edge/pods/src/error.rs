//! The one error type of this room.

use std::path::{Path, PathBuf};

/// What can go wrong between a pod document and running containers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// containerd, `ctr` or a CNI plugin is not installed.
    #[error(
        "{program} is not installed: on Debian run `apt-get install --no-install-recommends containerd runc \
         containernetworking-plugins iptables`, or set the path of the program in the configuration"
    )]
    NotInstalled {
        /// Program as configured.
        program: String,
    },
    /// containerd does not answer on its socket.
    #[error("containerd does not answer on {socket}: {reason}; look into {log}")]
    NotAnswering {
        /// Socket path.
        socket: PathBuf,
        /// Last failure seen.
        reason: String,
        /// containerd's own log, where it was started by this agent.
        log: PathBuf,
    },
    /// A call to the container runtime failed; `reason` is the runtime's own text.
    #[error("container runtime refused {call}: {reason}")]
    Runtime {
        /// Name of the CRI call.
        call: &'static str,
        /// gRPC code.
        code: tonic::Code,
        /// The runtime's message.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// `read`, `create`, …
        action: &'static str,
        /// What was to be read or written.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A child process (`ctr`, `iptables`) failed.
    #[error("`{command}` failed: {reason}")]
    Command {
        /// Program and arguments, for people.
        command: String,
        /// Its standard error or the reason it did not start.
        reason: String,
    },
    /// The pod document asks for something that cannot be done; the text is what the kubelet would say.
    #[error("{0}")]
    Config(String),
    /// A ConfigMap, Secret or token could not be had from the node's own copy of the API.
    #[error("{0}")]
    Api(String),
    /// No such pod or container on this node.
    #[error("{0}")]
    NotFound(String),
    /// The room is shutting down.
    #[error("the pod service has stopped")]
    Stopped,
}

impl Error {
    /// Wraps an I/O error with what was being done; for `map_err`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// Whether the runtime said the thing does not exist.
    pub(crate) fn is_runtime_not_found(&self) -> bool {
        matches!(self, Self::Runtime { code: tonic::Code::NotFound, .. })
    }
}

//! Limits and places of portable plugins.

use std::path::PathBuf;
use std::time::Duration;

/// Options of portable plugins.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of the unpacked plugins, one folder each (`plugins/portable`).
    pub folder: PathBuf,
    /// Folder of the sockets. The SDKs know only `/tmp`.
    pub sockets: PathBuf,
    /// Interpreter of Python plugins (`portable.pythonBin`).
    pub python: PathBuf,
    /// How long a process may take to its handshake (`portable.initTimeout`).
    pub init_timeout: Duration,
    /// How long a process may take to accept a message (`portable.sendTimeout`).
    pub send_timeout: Duration,
    /// How long a process may take to answer (`portable.recvTimeout`).
    pub recv_timeout: Duration,
    /// Shortest and longest wait before a process that died is started again.
    pub restart: (Duration, Duration),
    /// Plugins that may be installed.
    pub max_plugins: usize,
    /// Largest package unpacked, in bytes of all its files.
    pub max_package_bytes: u64,
    /// Most files of a package.
    pub max_package_files: usize,
    /// Longest line of a process's output that is logged whole, in bytes.
    pub max_log_line: usize,
    /// Calls of one function that may wait.
    pub max_calls: usize,
    /// Limits of the sockets.
    pub socket: edgeward_sp::Options,
}

impl Options {
    /// eKuiper's defaults over a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Options {
        Options {
            folder: folder.into(),
            sockets: "/tmp".into(),
            python: "python".into(),
            init_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(5),
            recv_timeout: Duration::from_secs(5),
            restart: (Duration::from_millis(200), Duration::from_secs(30)),
            max_plugins: 64,
            max_package_bytes: 512 << 20,
            max_package_files: 10_000,
            max_log_line: 2048,
            max_calls: 1024,
            socket: edgeward_sp::Options::default(),
        }
    }
}

use std::time::Duration;

/// Limits of a datastore.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that read while the writer writes; also the most reads at once, more wait. Each costs up to 0.5 MiB of cache.
    pub readers: usize,
    /// Writes that may wait for the disk; more wait outside.
    pub write_queue: usize,
    /// Most writes of one commit. Larger groups mean fewer syncs and longer answers.
    pub batch: usize,
    /// Largest value in bytes; etcd's customary limit by default.
    pub max_value_bytes: usize,
    /// Bytes of the file beyond which creates and updates are refused; deletions pass.
    pub max_file_bytes: u64,
    /// Bytes of recent changes kept in memory for watches; older ones are read from disk.
    pub recent_bytes: usize,
    /// Changes kept for pinned lists and for watches that come back.
    pub history_revisions: u64,
    /// Bytes of replaced values kept.
    pub history_bytes: u64,
    /// How long replaced values are kept.
    pub history_age: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 4,
            write_queue: 4096,
            batch: 512,
            max_value_bytes: 1536 * 1024,
            max_file_bytes: 8 << 30,
            recent_bytes: 4 << 20,
            history_revisions: 20_000,
            history_bytes: 64 << 20,
            history_age: Duration::from_secs(600),
        }
    }
}

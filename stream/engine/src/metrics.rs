//! Plain counters of a rule, read under the names of its plan.

/// Counters of the fused operators.
#[derive(Debug, Clone, Default)]
pub(crate) struct CoreMetrics {
    pub(crate) rows_in: u64,
    pub(crate) rows_kept: u64,
    pub(crate) emitted: u64,
    pub(crate) last_invocation: i64,
    pub(crate) exceptions: u64,
    pub(crate) last_exception: String,
    pub(crate) last_exception_time: i64,
}

impl CoreMetrics {
    pub(crate) fn fail(&mut self, text: &str, now: i64) {
        self.exceptions += 1;
        self.last_exception = text.to_string();
        self.last_exception_time = now;
    }
}

/// What the status of a rule shows for one node of its plan (section 4.3 of eKuiper's rules).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeMetrics {
    /// Node and instance, e.g. `op_3_filter_0`.
    pub name: String,
    /// `records_in_total`.
    pub records_in: u64,
    /// `records_out_total`.
    pub records_out: u64,
    /// `messages_processed_total`.
    pub processed: u64,
    /// `process_latency_us` of the last message.
    pub latency_us: u64,
    /// `buffer_length`.
    pub buffer_length: u64,
    /// `last_invocation`, ms since 1970; 0 for never.
    pub last_invocation: i64,
    /// `exceptions_total`.
    pub exceptions: u64,
    /// `last_exception`.
    pub last_exception: String,
    /// `last_exception_time`, ms since 1970; 0 for never.
    pub last_exception_time: i64,
    /// Connection of a source or sink that has one.
    pub connection: Option<crate::Connection>,
    /// When that connection came and went.
    pub connection_times: ConnectionTimes,
    /// The nodes it feeds, without their instances.
    pub feeds: Vec<String>,
}

/// When a connection came and went, in ms since 1970; 0 for never.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConnectionTimes {
    /// `connection_last_connected_time`.
    pub connected: i64,
    /// `connection_last_disconnected_time`.
    pub disconnected: i64,
    /// `connection_last_disconnected_message`.
    pub reason: String,
    /// `connection_last_try_time`.
    pub tried: i64,
}

impl ConnectionTimes {
    /// A connection is in this state since `now`.
    pub(crate) fn note(&mut self, state: &crate::Connection, now: i64) {
        match state {
            crate::Connection::Connected => self.connected = now,
            crate::Connection::Connecting => self.tried = now,
            crate::Connection::Disconnected(reason) => {
                self.disconnected = now;
                self.reason.clone_from(reason);
            }
        }
    }
}

//! Plain counters of a rule, read under the names of its plan.

/// Counters of the fused operators.
#[derive(Debug, Clone, Default)]
pub(crate) struct CoreMetrics {
    pub(crate) rows_in: u64,
    /// Rows that early conditions kept.
    pub(crate) rows_kept: u64,
    /// Collections that left the window.
    pub(crate) windows: u64,
    /// Collections that joins left something of.
    pub(crate) joined: u64,
    /// Collections that late conditions left something of.
    pub(crate) filtered: u64,
    /// Collections that HAVING left something of.
    pub(crate) held: u64,
    /// Messages of the projection.
    pub(crate) emitted: u64,
    /// When a row came last, ms since 1970; 0 for never.
    pub(crate) last_invocation: i64,
    /// When a collection left the window last.
    pub(crate) last_window: i64,
    /// Of the steps that failed.
    pub(crate) failures: Vec<Failures>,
}

/// What went wrong in one step of the plan.
#[derive(Debug, Clone)]
pub(crate) struct Failures {
    pub(crate) step: &'static str,
    pub(crate) count: u64,
    pub(crate) last: String,
    /// When, ms since 1970.
    pub(crate) at: i64,
}

/// The step of rows that cannot be read.
pub(crate) const DECODER: &str = "decoder";
/// The step of everything a statement computes outside its conditions.
pub(crate) const PROJECT: &str = "project";

/// Errors name their clause; it tells the step.
const STEPS: [(&str, &str); 7] = [
    ("run Where error", "filter"),
    ("run window trigger error", "window"),
    ("run Join error", "join"),
    ("run Group By error", "aggregate"),
    ("run Having error", "having"),
    ("run Order By error", "order"),
    ("error in preprocessor", DECODER),
];

impl CoreMetrics {
    /// Counts an error at the step its text names, else at this one; answers which.
    pub(crate) fn fail(&mut self, text: &str, now: i64, or: &'static str) -> &'static str {
        let step = STEPS.iter().find(|(begin, _)| text.starts_with(begin)).map_or(or, |(_, step)| step);
        let position = self.failures.iter().position(|failures| failures.step == step).unwrap_or_else(|| {
            self.failures.push(Failures { step, count: 0, last: String::new(), at: 0 });
            self.failures.len() - 1
        });
        let failures = &mut self.failures[position];
        failures.count += 1;
        failures.last = text.to_string();
        failures.at = now;
        step
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

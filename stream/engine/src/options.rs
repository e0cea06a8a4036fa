//! Options of a rule as the engine needs them.

use jiff::tz::TimeZone;

/// Behaviour of one rule (section 4.1 of eKuiper's rules), with eKuiper's defaults.
#[derive(Debug, Clone)]
pub struct RuleOptions {
    /// Rows carry their own time.
    pub is_event_time: bool,
    /// How late a row may be in event time, in ms.
    pub late_tolerance: i64,
    /// Entries of every queue.
    pub buffer_length: usize,
    /// Metadata of the row goes to the sink as `__meta`.
    pub send_meta_to_sink: bool,
    /// Nil columns are sent as null.
    pub send_nil_field: bool,
    /// Run-time errors are sent to the sinks.
    pub send_error: bool,
    /// 0 at most once, 1 at least once, 2 exactly once.
    pub qos: u8,
    /// Time between checkpoints in ms, with qos of 1 and more.
    pub checkpoint_interval: i64,
    /// A full queue slows the source down instead of losing its oldest entry.
    pub disable_buffer_full_discard: bool,
    /// `basic.timezone`.
    pub timezone: TimeZone,
}

impl Default for RuleOptions {
    fn default() -> RuleOptions {
        RuleOptions {
            is_event_time: false,
            late_tolerance: 1000,
            buffer_length: 1024,
            send_meta_to_sink: false,
            send_nil_field: false,
            send_error: false,
            qos: 0,
            checkpoint_interval: 300_000,
            disable_buffer_full_discard: false,
            timezone: TimeZone::UTC,
        }
    }
}

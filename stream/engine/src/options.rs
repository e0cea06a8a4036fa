//! Options of a rule as the engine needs them.

use jiff::tz::TimeZone;

use crate::EngineError;

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

impl RuleOptions {
    /// Reads the `options` of a rule's JSON; absent ones keep their defaults, unknown ones are ignored as eKuiper does.
    /// Durations are Go text (`1m30s`) or milliseconds.
    ///
    /// # Errors
    /// An option of another type or outside its range.
    pub fn from_json(json: &serde_json::Value) -> Result<RuleOptions, EngineError> {
        let mut options = RuleOptions::default();
        let Some(object) = json.as_object() else {
            return if json.is_null() {
                Ok(options)
            } else {
                Err(EngineError::Plan("rule options must be an object".into()))
            };
        };
        for (key, value) in object {
            let wrong = || EngineError::Plan(format!("invalid value {value} of rule option {key}"));
            match key.as_str() {
                "isEventTime" => options.is_event_time = value.as_bool().ok_or_else(wrong)?,
                "lateTolerance" => options.late_tolerance = duration(value).ok_or_else(wrong)?,
                "bufferLength" => {
                    options.buffer_length =
                        value.as_u64().and_then(|length| usize::try_from(length).ok()).ok_or_else(wrong)?
                }
                "sendMetaToSink" => options.send_meta_to_sink = value.as_bool().ok_or_else(wrong)?,
                "sendNilField" => options.send_nil_field = value.as_bool().ok_or_else(wrong)?,
                "sendError" => options.send_error = value.as_bool().ok_or_else(wrong)?,
                "qos" => {
                    options.qos = value
                        .as_u64()
                        .filter(|qos| *qos <= 2)
                        .and_then(|qos| u8::try_from(qos).ok())
                        .ok_or_else(wrong)?
                }
                "checkpointInterval" => options.checkpoint_interval = duration(value).ok_or_else(wrong)?,
                "disableBufferFullDiscard" => {
                    options.disable_buffer_full_discard = value.as_bool().ok_or_else(wrong)?
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

/// Milliseconds of a number or of Go's duration text; never negative.
pub(crate) fn duration(value: &serde_json::Value) -> Option<i64> {
    let ms = match value {
        serde_json::Value::String(text) => edgeward_functions::time::go_duration(text)? / 1_000_000,
        other => other.as_i64()?,
    };
    (ms >= 0).then_some(ms)
}

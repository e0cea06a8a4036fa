//! Options of a rule as the engine needs them.

use std::ops::RangeInclusive;

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
    /// A last checkpoint is taken when the rule is stopped (`enableSaveStateBeforeStop`).
    pub save_before_stop: bool,
    /// A full queue slows the source down instead of losing its oldest entry.
    pub disable_buffer_full_discard: bool,
    /// Windows whose aggregates allow it run `inc_*` aggregates (`planOptimizeStrategy.enableIncrementalWindow`).
    pub incremental_window: bool,
    /// An alias is computed anew wherever it is used (`planOptimizeStrategy.disableAliasRefCal`).
    pub disable_alias_ref_cal: bool,
    /// A sliding window with delay is also sent when it is triggered (`windowOption.enableSendSlidingWindowTwice`).
    pub send_sliding_window_twice: bool,
    /// Most groups of a window, partitions of an analytic function and state windows at a time (`maxGroups`): what comes beyond
    /// that is an error, so that hostile keys cannot fill the memory.
    pub max_groups: usize,
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
            save_before_stop: false,
            disable_buffer_full_discard: false,
            incremental_window: false,
            disable_alias_ref_cal: false,
            send_sliding_window_twice: false,
            max_groups: 1_000_000,
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
        for (key, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            let wrong = || EngineError::Plan(format!("invalid {key} {value} in the options of a rule"));
            let flag = || value.as_bool().ok_or_else(wrong);
            let whole =
                |range: RangeInclusive<u64>| value.as_u64().filter(|whole| range.contains(whole)).ok_or_else(wrong);
            match key.to_ascii_lowercase().as_str() {
                "iseventtime" => options.is_event_time = flag()?,
                "latetolerance" => options.late_tolerance = duration(value).ok_or_else(wrong)?,
                "bufferlength" => options.buffer_length = usize::try_from(whole(1..=1_000_000)?).unwrap_or(1024),
                "maxgroups" => options.max_groups = usize::try_from(whole(1..=u64::MAX)?).unwrap_or(usize::MAX),
                "sendmetatosink" => options.send_meta_to_sink = flag()?,
                "sendnilfield" => options.send_nil_field = flag()?,
                "senderror" => options.send_error = flag()?,
                "qos" => options.qos = u8::try_from(whole(0..=2)?).unwrap_or(0),
                "checkpointinterval" => options.checkpoint_interval = duration(value).ok_or_else(wrong)?,
                "enablesavestatebeforestop" => options.save_before_stop = flag()?,
                "disablebufferfulldiscard" => options.disable_buffer_full_discard = flag()?,
                "planoptimizestrategy" => options.read_strategy(value)?,
                _ => {}
            }
        }
        Ok(options)
    }

    /// `planOptimizeStrategy`; what only changes how eKuiper plans has no effect here.
    fn read_strategy(&mut self, strategy: &serde_json::Value) -> Result<(), EngineError> {
        let members = strategy.as_object().into_iter().flatten();
        let window = strategy.get("windowOption").and_then(serde_json::Value::as_object).into_iter().flatten();
        for (key, value) in members.chain(window).filter(|(_, value)| !value.is_null()) {
            let flag = || {
                let wrong = || EngineError::Plan(format!("invalid {key} {value} in planOptimizeStrategy"));
                value.as_bool().ok_or_else(wrong)
            };
            match key.to_ascii_lowercase().as_str() {
                "enableincrementalwindow" => self.incremental_window = flag()?,
                "disablealiasrefcal" => self.disable_alias_ref_cal = flag()?,
                "enablesendslidingwindowtwice" => self.send_sliding_window_twice = flag()?,
                _ => {}
            }
        }
        Ok(())
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

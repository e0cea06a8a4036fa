//! `interval` of a source that is sent its data: the latest message in each interval, or the latest of each value of
//! `mergeField`.

use std::collections::BTreeMap;
use std::time::Duration;

use edgeward_engine::json::{Numbers, parse};
use edgeward_engine::{Body, Emitter, Message, SourceError, Step};
use edgeward_functions::format::GoText;
use edgeward_service::Counter;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

/// Most values of `mergeField` in one interval.
const MAX_VALUES: usize = 10_000;

static DROPPED: Counter = Counter::new(
    "edgeward_connect_rate_limited_total",
    "messages of sources that gave way to a later one in the same interval",
);

/// The messages of the present interval.
pub(super) struct Limit {
    merged_by: Option<String>,
    /// By the text of the column; all under one name without `mergeField`.
    latest: Mutex<BTreeMap<String, Message>>,
}

impl Limit {
    pub(super) fn new(merged_by: Option<String>) -> Limit {
        Limit { merged_by, latest: Mutex::default() }
    }

    /// What waits, in the order of the values.
    pub(super) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.latest.lock()).into_values().collect()
    }

    /// Sends what waits at the end of each interval, for ever.
    pub(super) async fn run(&self, every: Duration, emitter: &Emitter) -> Result<(), SourceError> {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // The first tick is now.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            emitter.emit_all(self.take()).await;
        }
    }

    fn value(&self, field: &str, body: &Body) -> Result<String, String> {
        let missing = || format!("mergeField {field} not found in the message");
        match body {
            Body::Row(row) => row.get(field).map(|value| GoText(value).to_string()).ok_or_else(missing),
            Body::Payload(payload) => {
                let row = parse(payload, Numbers::Float).map_err(|error| format!("mergeField needs JSON: {error}"))?;
                let value = row.as_map().and_then(|row| row.get(field));
                value.map(|value| GoText(value).to_string()).ok_or_else(missing)
            }
        }
    }
}

impl Step for Limit {
    fn pass(&self, message: Message, _: &mut Vec<Message>) -> Result<(), String> {
        let value = match &self.merged_by {
            Some(field) => self.value(field, &message.body)?,
            None => String::new(),
        };
        let mut latest = self.latest.lock();
        if latest.len() >= MAX_VALUES && !latest.contains_key(&value) {
            return Err(format!("mergeField has more than {MAX_VALUES} values in one interval"));
        }
        if latest.insert(value, message).is_some() {
            DROPPED.inc();
        }
        Ok(())
    }
}

//! Properties of `simulator`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::{ConnectError, Props};

/// What to send, and how.
#[derive(Debug, PartialEq)]
pub(super) struct Config {
    /// One JSON object for each row.
    pub(super) rows: Vec<Bytes>,
    /// Between two rows; default 1 s.
    pub(super) interval: Duration,
    /// Begin again after the last row (default), or end.
    pub(super) looped: bool,
}

impl Config {
    pub(super) fn read(props: &Props) -> Result<Config, ConnectError> {
        let bad = || ConnectError::Invalid { key: "data", reason: "not a list of objects".to_owned() };
        let rows = match props.get("data") {
            None => return Err(ConnectError::Missing("data")),
            Some(Value::Array(rows)) => rows.clone(),
            Some(row @ Value::Object(_)) => vec![row.clone()],
            Some(_) => return Err(bad()),
        };
        if rows.is_empty() || !rows.iter().all(Value::is_object) {
            return Err(bad());
        }
        let interval = props.duration_ms("interval")?.unwrap_or(1_000);
        Ok(Config {
            rows: rows.iter().map(|row| Bytes::from(row.to_string())).collect(),
            interval: Duration::from_millis(interval.max(1)),
            looped: props.flag_if_set("loop")?.unwrap_or(true),
        })
    }
}

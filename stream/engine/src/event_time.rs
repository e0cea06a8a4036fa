//! How a row's event time is read from the TIMESTAMP column of its stream.

use std::sync::Arc;

use edgeward_functions::format::GoText;
use edgeward_functions::{Error, Value, time};
use jiff::tz::TimeZone;

use crate::{Row, StreamDef};

/// The TIMESTAMP column of a stream.
#[derive(Debug)]
pub(crate) struct Timestamp {
    column: Arc<str>,
    slot: usize,
    format: Option<String>,
    zone: TimeZone,
}

impl Timestamp {
    /// None: the stream has no such column. `slot` gives the slot of a column.
    pub(crate) fn new(definition: &StreamDef, slot: impl FnOnce(&str) -> usize) -> Option<Timestamp> {
        let column = definition.timestamp.as_deref()?;
        Some(Timestamp {
            column: column.into(),
            slot: slot(column),
            format: definition.timestamp_format.clone(),
            zone: definition.timezone.clone(),
        })
    }

    /// The time in ms since 1970; none when it is missing or unreadable.
    pub(crate) fn read(&self, row: &Row) -> Option<i64> {
        match row.get(self.slot) {
            Value::Nil => None,
            // Milliseconds need no detour over a calendar.
            Value::Int(ms) => Some(*ms),
            Value::Float(ms) => Some(*ms as i64),
            value => self.convert(value).ok(),
        }
    }

    fn convert(&self, value: &Value) -> Result<i64, Error> {
        let time = match (value, &self.format) {
            (Value::Str(text), Some(format)) => time::parse_with(text, format, &self.zone),
            (value, _) => time::to_timestamp(value, &self.zone),
        };
        time.map(|time| time.as_millisecond())
    }

    /// Why [`Timestamp::read`] answered none.
    pub(crate) fn failure(&self, row: &Row) -> String {
        let value = row.get(self.slot);
        let column = &self.column;
        match self.convert(value) {
            Err(error) if !value.is_nil() => {
                format!("cannot convert timestamp field {column} to timestamp with error {error}")
            }
            _ => format!("cannot find timestamp field {column} in tuple {}", GoText(&Value::Map(row.all().clone()))),
        }
    }
}

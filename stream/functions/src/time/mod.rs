//! Instants from and to text: eKuiper's format letters and the many forms it reads without being told.

mod duration;
mod guess;
mod pattern;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use duration::go_duration;
pub use guess::guess;
pub(crate) use pattern::{day_name, month_name};
pub use pattern::{format, parse_with};

use crate::error::{Error, Result};
use crate::{Value, timestamp_ms};

/// The instant a value stands for: a time, a number of milliseconds since 1970, or text in one of the usual forms.
///
/// # Errors
/// The value is none of these.
pub fn to_timestamp(value: &Value, zone: &TimeZone) -> Result<Timestamp> {
    match value {
        Value::Time(time) => Ok(*time),
        Value::Int(ms) => Ok(timestamp_ms(*ms)),
        Value::Float(ms) => Ok(timestamp_ms(*ms as i64)),
        Value::Str(text) => guess(text, zone).ok_or_else(|| Error::call(format!("Can't parse string as time: {text}"))),
        other => Err(Error::call(format!("unsupported type {} to timestamp", other.type_name()))),
    }
}

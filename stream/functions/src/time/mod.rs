//! Instants from and to text: eKuiper's format letters and the many forms it reads without being told.

mod duration;
mod guess;
mod layout;
mod parts;
mod pattern;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

pub use duration::{go_duration, parse_duration};
pub use guess::{guess, offset_of};
pub use layout::Layout;
pub use pattern::{format, parse_with};

use crate::error::{Error, Result};
use crate::format::GoText;
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
        other => Err(Error::call(format!("unsupported type to convert to timestamp {}", GoText(other)))),
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// English name of a month, 1 to 12.
pub fn month_name(month: i8) -> &'static str {
    MONTHS[usize::try_from(month - 1).unwrap_or(0) % 12]
}

/// English name of a weekday.
pub fn day_name(day: Weekday) -> &'static str {
    DAYS[usize::try_from(day.to_sunday_zero_offset()).unwrap_or(0) % 7]
}

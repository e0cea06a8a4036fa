//! The date and time functions. Text arguments are read in the usual formats, numbers are ms since 1970.

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};

use super::{int, text};
use crate::error::{Error, Result};
use crate::registry::Type::{Any, DateTime, Int, Str};
use crate::registry::{Args, Context, Function};
use crate::time::{day_name, format as format_letters, month_name, offset_of, parse_duration, to_timestamp};
use crate::{Value, timestamp_ms};

/// A function of one time.
macro_rules! part {
    ($name:literal, $run:expr) => {
        Function::scalar($name, (1, 1), &[Any], |args, context| Ok(($run)(zoned(args, 0, context)?)))
    };
}

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::scalar("now", (0, 1), &[Int], |args, context| current(args, context, "yyyy-MM-dd HH:mm:ss")),
    Function::scalar("cur_time", (0, 1), &[Int], |args, context| current(args, context, "HH:mm:ss")),
    Function::scalar("cur_date", (0, 0), &[Any], |args, context| current(args, context, "yyyy-MM-dd")),
    Function::scalar("tstamp", (0, 0), &[Any], |_, context| Ok(Value::Int(context.now))),
    Function::scalar("format_time", (2, 2), &[DateTime, Str], |args, context| {
        format_letters(to_timestamp(&args[0], &context.zone)?, &text(args, 1), &context.zone).map(Value::from)
    }),
    Function::scalar("date_calc", (2, 2), &[Any, Str], date_calc),
    Function::scalar("date_diff", (2, 2), &[Any], date_diff),
    part!("day_name", |time: Zoned| Value::str(day_name(time.weekday()))),
    part!("day", |time: Zoned| Value::Int(time.day().into())),
    part!("day_of_week", |time: Zoned| Value::Int(time.weekday().to_sunday_zero_offset().into())),
    part!("day_of_year", |time: Zoned| Value::Int(time.day_of_year().into())),
    part!("month", |time: Zoned| Value::Int(time.month().into())),
    part!("month_name", |time: Zoned| Value::str(month_name(time.month()))),
    part!("hour", |time: Zoned| Value::Int(time.hour().into())),
    part!("minute", |time: Zoned| Value::Int(time.minute().into())),
    part!("second", |time: Zoned| Value::Int(time.second().into())),
    part!("microsecond", |time: Zoned| Value::Int(i64::from(time.subsec_nanosecond()) / 1000)),
    part!("last_day", |time: Zoned| Value::str(time.date().last_of_month().to_string())),
    part!("to_seconds", |time: Zoned| Value::Int(time.timestamp().as_second())),
    Function::scalar("from_days", (1, 1), &[Int], |args, _| {
        let days = int(args, 0)?.clamp(-3_000_000, 2_900_000);
        stamp(timestamp_ms(days * 86_400_000), "yyyy-MM-dd", &TimeZone::UTC)
    }),
    Function::scalar("from_unix_time", (1, 1), &[Int], |args, context| {
        stamp(timestamp_ms(int(args, 0)?.saturating_mul(1000)), "yyyy-MM-dd HH:mm:ss", &context.zone)
    }),
    Function::scalar("convert_tz", (2, 2), &[Any, Str], convert_tz),
];

/// An argument as a time of day and a date: text that says its offset from UTC keeps it, everything else is seen in the zone of the
/// process, as Go's times carry their zone with them.
fn zoned(args: &Args<'_>, index: usize, context: &Context) -> Result<Zoned> {
    let value = &*args[index];
    let zone = value.as_str().and_then(|text| offset_of(text, &context.zone)).map(Offset::to_time_zone);
    Ok(to_timestamp(value, &context.zone)?.to_zoned(zone.unwrap_or_else(|| context.zone.clone())))
}

fn stamp(time: Timestamp, letters: &str, zone: &TimeZone) -> Result<Value> {
    format_letters(time, letters, zone).map(Value::from)
}

/// The clock as text, with as many digits of the second's fraction as the argument says.
fn current(args: &Args<'_>, context: &Context, letters: &str) -> Result<Value> {
    let digits = if args.is_empty() { 0 } else { int(args, 0)? };
    let digits = usize::try_from(digits)
        .ok()
        .filter(|digits| *digits <= 6)
        .ok_or_else(|| Error::call("fsp must be in the range 0 ~ 6"))?;
    let fraction = if digits > 0 { format!(".{}", "S".repeat(digits)) } else { String::new() };
    stamp(timestamp_ms(context.now), &format!("{letters}{fraction}"), &context.zone)
}

fn date_calc(args: &Args<'_>, context: &Context) -> Result<Value> {
    let nanos = parse_duration(&text(args, 1)).map_err(Error::call)?;
    let moved = to_timestamp(&args[0], &context.zone)?
        .checked_add(nanos.nanoseconds())
        .map_err(|error| Error::call(error.to_string()))?;
    stamp(moved, "yyyy-MM-dd HH:mm:ss", &context.zone)
}

/// `b - a` in nanoseconds.
fn date_diff(args: &Args<'_>, context: &Context) -> Result<Value> {
    let (from, to) = (to_timestamp(&args[0], &context.zone)?, to_timestamp(&args[1], &context.zone)?);
    let nanos = to.as_nanosecond() - from.as_nanosecond();
    // Go's durations saturate.
    Ok(Value::Int(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })))
}

/// The instant as RFC 3339 text in another zone.
fn convert_tz(args: &Args<'_>, context: &Context) -> Result<Value> {
    let name = text(args, 1);
    let zone = TimeZone::get(&name).map_err(|_| Error::call(format!("unknown time zone {name}")))?;
    let time = to_timestamp(&args[0], &context.zone)?;
    let json =
        crate::json::Printer::new(zone).text(&Value::Time(time)).map_err(|error| Error::call(error.to_string()))?;
    Ok(Value::str(json.trim_matches('"')))
}

//! Times: sprig's date functions, the methods of Go's `time.Time`, and Go's layouts.

use std::fmt::Write as _;

use edgeward_functions::time::go_duration;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::{Function, Ty, function, int, text};
use crate::value::Val;

const A: Ty = Ty::Any;
const S: Ty = Ty::Str;
const T: Ty = Ty::Time;

pub(super) const FUNCTIONS: &[Function] = &[
    function("now", &[], |_, _| Ok(Val::Time(Timestamp::now()))),
    function("date", &[S, A], |_, a| Ok(Val::str(layout(&instant(&a[1]).to_zoned(TimeZone::system()), text(a, 0))))),
    function("dateInZone", &[S, A, S], |_, a| Ok(in_zone(a))),
    function("date_in_zone", &[S, A, S], |_, a| Ok(in_zone(a))),
    function("htmlDate", &[A], |_, a| Ok(Val::str(layout(&instant(&a[0]).to_zoned(TimeZone::system()), "2006-01-02")))),
    function("dateModify", &[S, T], |_, a| Ok(modify(a))),
    function("date_modify", &[S, T], |_, a| Ok(modify(a))),
    function("unixEpoch", &[T], |_, a| Ok(Val::str(instant(&a[0]).as_second().to_string()))),
    function("duration", &[A], |_, a| {
        let seconds = match &a[0] {
            Val::Str(text) => text.parse().unwrap_or(0),
            Val::Int(seconds, crate::value::IntKind::Int64) => *seconds,
            _ => 0,
        };
        Ok(Val::str(duration(seconds)))
    }),
    function("ago", &[A], |_, a| {
        let passed = Timestamp::now().as_millisecond() - instant(&a[0]).as_millisecond();
        Ok(Val::str(duration((passed + 500).div_euclid(1000))))
    }),
];

const METHODS: &[Function] = &[
    function("Format", &[T, S], |_, a| Ok(Val::str(layout(&utc(&a[0]), text(a, 1))))),
    function("String", &[T], |_, a| Ok(Val::str(time_text(instant(&a[0]))))),
    function("UTC", &[T], |_, a| Ok(a[0].clone())),
    function("Unix", &[T], |_, a| Ok(Val::int64(instant(&a[0]).as_second()))),
    function("UnixMilli", &[T], |_, a| Ok(Val::int64(instant(&a[0]).as_millisecond()))),
    function("UnixMicro", &[T], |_, a| Ok(Val::int64(instant(&a[0]).as_microsecond()))),
    function("UnixNano", &[T], |_, a| Ok(Val::int64(instant(&a[0]).as_nanosecond() as i64))),
    function("Year", &[T], |_, a| Ok(Val::int(utc(&a[0]).year().into()))),
    function("Month", &[T], |_, a| Ok(Val::str(MONTHS[utc(&a[0]).month() as usize - 1]))),
    function("Day", &[T], |_, a| Ok(Val::int(utc(&a[0]).day().into()))),
    function("YearDay", &[T], |_, a| Ok(Val::int(utc(&a[0]).day_of_year().into()))),
    function("Weekday", &[T], |_, a| Ok(Val::str(DAYS[utc(&a[0]).weekday().to_sunday_zero_offset() as usize]))),
    function("Hour", &[T], |_, a| Ok(Val::int(utc(&a[0]).hour().into()))),
    function("Minute", &[T], |_, a| Ok(Val::int(utc(&a[0]).minute().into()))),
    function("Second", &[T], |_, a| Ok(Val::int(utc(&a[0]).second().into()))),
    function("Nanosecond", &[T], |_, a| Ok(Val::int(utc(&a[0]).subsec_nanosecond().into()))),
];

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

/// A method of `time.Time`; the first parameter is the time.
pub(crate) fn method(name: &str) -> Option<Function> {
    METHODS.iter().find(|method| method.name == name).copied()
}

/// `Time.String`.
pub(crate) fn time_text(time: Timestamp) -> String {
    layout(&time.to_zoned(TimeZone::UTC), "2006-01-02 15:04:05.999999999 -0700 MST")
}

fn utc(value: &Val) -> Zoned {
    instant(value).to_zoned(TimeZone::UTC)
}

/// A time, or seconds since 1970 as a Go integer; anything else means now.
fn instant(value: &Val) -> Timestamp {
    match value {
        Val::Time(time) => *time,
        Val::Int(..) => Timestamp::from_second(int(std::slice::from_ref(value), 0)).unwrap_or(Timestamp::MAX),
        _ => Timestamp::now(),
    }
}

fn in_zone(args: &[Val]) -> Val {
    let zone = match text(args, 2) {
        "Local" => TimeZone::system(),
        "" | "UTC" => TimeZone::UTC,
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    Val::str(layout(&instant(&args[1]).to_zoned(zone), text(args, 0)))
}

fn modify(args: &[Val]) -> Val {
    let time = instant(&args[1]);
    let moved = go_duration(text(args, 0)).and_then(|nanos| time.checked_add(SignedDuration::from_nanos(nanos)).ok());
    Val::Time(moved.unwrap_or(time))
}

/// `Duration.String` of whole seconds.
fn duration(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let all = seconds.unsigned_abs();
    match (all / 3600, all / 60 % 60, all % 60) {
        (0, 0, seconds) => format!("{sign}{seconds}s"),
        (0, minutes, seconds) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// The elements of a layout, longer ones before their beginnings.
const ELEMENTS: [&str; 33] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "Z07:00:00",
    "Z070000",
    "Z07:00",
    "Z0700",
    "Z07",
    "-07:00:00",
    "-070000",
    "-07:00",
    "-0700",
    "-07",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "PM",
    "pm",
    "__2",
    "_2",
    "1",
    "2",
    "3",
    "4",
    "5",
];

/// `Time.Format`.
fn layout(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = fraction(rest, time, &mut out) {
            rest = &rest[length..];
        } else if let Some(element) = ELEMENTS.iter().find(|element| is_element(rest, element)) {
            write_element(time, element, &mut out);
            rest = &rest[element.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn is_element(rest: &str, element: &str) -> bool {
    // `Jan` and `Mon` are words of their own, not the beginning of one; `_2006` is an underscore and a year.
    match rest.strip_prefix(element) {
        Some(after) => match element {
            "Jan" | "Mon" => !after.starts_with(|char: char| char.is_ascii_lowercase()),
            "_2" => !after.starts_with("006"),
            _ => true,
        },
        None => false,
    }
}

/// `.000` and `.999` after the seconds.
fn fraction(rest: &str, time: &Zoned, out: &mut String) -> Option<usize> {
    let point = rest.chars().next().filter(|char| matches!(char, '.' | ','))?;
    let digit = rest[1..].chars().next().filter(|char| matches!(char, '0' | '9'))?;
    let count = rest[1..].chars().take_while(|char| *char == digit).count();
    if rest[1 + count..].starts_with(|char: char| char.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{:09}", time.subsec_nanosecond());
    let shown = &nanos[..count.min(9)];
    let shown = if digit == '9' { shown.trim_end_matches('0') } else { shown };
    if !shown.is_empty() {
        out.push(point);
        out.push_str(shown);
    }
    Some(1 + count)
}

fn write_element(time: &Zoned, element: &str, out: &mut String) {
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let month = MONTHS[time.month() as usize - 1];
    let day = DAYS[time.weekday().to_sunday_zero_offset() as usize];
    // Writing to a string cannot fail.
    let _ = match element {
        "January" => out.write_str(month),
        "Jan" => out.write_str(&month[..3]),
        "Monday" => out.write_str(day),
        "Mon" => out.write_str(&day[..3]),
        "MST" => write!(out, "{}", time.strftime("%Z")),
        "2006" => write!(out, "{:04}", time.year()),
        "06" => write!(out, "{:02}", time.year().rem_euclid(100)),
        "01" => write!(out, "{:02}", time.month()),
        "1" => write!(out, "{}", time.month()),
        "002" => write!(out, "{:03}", time.day_of_year()),
        "__2" => write!(out, "{:3}", time.day_of_year()),
        "02" => write!(out, "{:02}", time.day()),
        "_2" => write!(out, "{:2}", time.day()),
        "2" => write!(out, "{}", time.day()),
        "15" => write!(out, "{:02}", time.hour()),
        "03" => write!(out, "{hour12:02}"),
        "3" => write!(out, "{hour12}"),
        "04" => write!(out, "{:02}", time.minute()),
        "4" => write!(out, "{}", time.minute()),
        "05" => write!(out, "{:02}", time.second()),
        "5" => write!(out, "{}", time.second()),
        "PM" => out.write_str(if time.hour() >= 12 { "PM" } else { "AM" }),
        "pm" => out.write_str(if time.hour() >= 12 { "pm" } else { "am" }),
        zone => write_offset(time.offset().seconds(), zone, out),
    };
}

fn write_offset(seconds: i32, element: &str, out: &mut String) -> std::fmt::Result {
    if element.starts_with('Z') && seconds == 0 {
        return out.write_char('Z');
    }
    let (sign, all) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let (hours, minutes, rest) = (all / 3600, all / 60 % 60, all % 60);
    match &element[1..] {
        "07" => write!(out, "{sign}{hours:02}"),
        "0700" => write!(out, "{sign}{hours:02}{minutes:02}"),
        "07:00" => write!(out, "{sign}{hours:02}:{minutes:02}"),
        "070000" => write!(out, "{sign}{hours:02}{minutes:02}{rest:02}"),
        _ => write!(out, "{sign}{hours:02}:{minutes:02}:{rest:02}"),
    }
}

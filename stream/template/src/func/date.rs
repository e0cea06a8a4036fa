//! Times: sprig's date functions, the methods of Go's `time.Time`, and Go's layouts.

use edgeward_functions::time::{Layout, day_name, go_duration, month_name};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Unit, Zoned};

use super::{Function, Ty, function, int, text};
use crate::gofmt::quoted;
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
    function("mustDateModify", &[S, T], |_, a| edgeward_functions::time::parse_duration(text(a, 0)).map(|_| modify(a))),
    function("htmlDateInZone", &[A, S], |_, a| Ok(in_zone(&[Val::str("2006-01-02"), a[0].clone(), a[1].clone()]))),
    function("toDate", &[S, S], |_, a| Ok(Val::Time(to_date(a).unwrap_or_else(zero)))),
    function("mustToDate", &[S, S], |_, a| {
        let wrong = || format!("parsing time {} as {}: cannot parse it", quoted(text(a, 1)), quoted(text(a, 0)));
        to_date(a).map(Val::Time).ok_or_else(wrong)
    }),
    function("durationRound", &[A], |_, a| {
        let nanos = match &a[0] {
            Val::Str(text) => go_duration(text).unwrap_or(0),
            Val::Int(nanos, crate::value::IntKind::Int64) => *nanos,
            Val::Time(time) => i64::try_from((Timestamp::now() - *time).total(Unit::Nanosecond).unwrap_or(0.0) as i128)
                .unwrap_or(i64::MAX),
            _ => 0,
        };
        Ok(Val::str(rounded(nanos.unsigned_abs())))
    }),
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
    function("Month", &[T], |_, a| Ok(Val::str(month_name(utc(&a[0]).month())))),
    function("Day", &[T], |_, a| Ok(Val::int(utc(&a[0]).day().into()))),
    function("YearDay", &[T], |_, a| Ok(Val::int(utc(&a[0]).day_of_year().into()))),
    function("Weekday", &[T], |_, a| Ok(Val::str(day_name(utc(&a[0]).weekday())))),
    function("Hour", &[T], |_, a| Ok(Val::int(utc(&a[0]).hour().into()))),
    function("Minute", &[T], |_, a| Ok(Val::int(utc(&a[0]).minute().into()))),
    function("Second", &[T], |_, a| Ok(Val::int(utc(&a[0]).second().into()))),
    function("Nanosecond", &[T], |_, a| Ok(Val::int(utc(&a[0]).subsec_nanosecond().into()))),
];

/// A method of `time.Time`; the first parameter is the time.
pub(crate) fn method(name: &str) -> Option<Function> {
    METHODS.iter().find(|method| method.name == name).copied()
}

/// `Time.String`.
pub(crate) fn time_text(time: Timestamp) -> String {
    layout(&time.to_zoned(TimeZone::UTC), "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// `Time.Format`.
fn layout(time: &Zoned, layout: &str) -> String {
    Layout::new(layout).format(time)
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

/// Sprig's `toDate`: text in a Go layout, in the zone of the process where it says none.
fn to_date(args: &[Val]) -> Option<Timestamp> {
    Layout::new(text(args, 0)).read(text(args, 1), &TimeZone::system())
}

/// Go's zero time, the first instant of year 1.
fn zero() -> Timestamp {
    Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::MIN)
}

/// A duration in its largest unit.
fn rounded(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 86_400 * SECOND;
    let units =
        [("y", 365 * DAY), ("mo", 30 * DAY), ("d", DAY), ("h", 3600 * SECOND), ("m", 60 * SECOND), ("s", SECOND)];
    let unit = units.into_iter().find(|(_, length)| nanos > *length);
    unit.map_or_else(|| "0s".to_owned(), |(name, length)| format!("{}{name}", nanos / length))
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

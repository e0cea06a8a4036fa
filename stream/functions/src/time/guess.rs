//! Reads a time without being told its format: RFC 3339 and the layouts of Go's jinzhu/now.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// Reads `2024-01-02T03:04:05.678+08:00`, `2024-1-2 3:4`, `2024/01/02`, `20240102`, `1/2/2024`, `2024.01.02 03:04:05`, …;
/// what has no zone is meant in `zone`, what has no date today in `zone`.
pub fn guess(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    let (date, rest) = date(text).map_or((None, text), |(date, rest)| (Some(date), rest));
    let rest = match date {
        Some(_) => rest.strip_prefix(['T', ' ']).unwrap_or(rest),
        None => rest,
    };
    let (time, rest) = if rest.is_empty() && date.is_some() { (Time::midnight(), "") } else { clock(rest)? };
    let offset = offset(rest.trim())?;
    let date = date.unwrap_or_else(|| Zoned::now().with_time_zone(zone.clone()).date());
    let civil = DateTime::from_parts(date, time);
    match offset {
        Some(offset) => offset.to_timestamp(civil).ok(),
        None => zone.to_ambiguous_timestamp(civil).compatible().ok(),
    }
}

/// A run of digits as a number and what follows it.
fn digits(text: &str, most: usize) -> Option<(i64, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(length)?;
    Some((digits.parse().ok()?, rest))
}

fn date(text: &str) -> Option<(Date, &str)> {
    let (first, rest) = digits(text, 8)?;
    let width = text.len() - rest.len();
    if width == 8 {
        return Some((new_date(first / 10_000, first / 100 % 100, first % 100)?, rest));
    }
    let separator = rest.chars().next().filter(|char| matches!(char, '-' | '/' | '.'));
    let Some(separator) = separator else {
        // A lone year.
        return if width == 4 && rest.is_empty() { Some((new_date(first, 1, 1)?, rest)) } else { None };
    };
    let (second, rest) = digits(&rest[1..], 2)?;
    let Some(tail) = rest.strip_prefix(separator) else {
        return if width == 4 && rest.is_empty() { Some((new_date(first, second, 1)?, rest)) } else { None };
    };
    if separator == '/' && width <= 2 {
        let (year, rest) = digits(tail, 4)?;
        return Some((new_date(year, first, second)?, rest));
    }
    let (third, rest) = digits(tail, 2)?;
    Some((new_date(first, second, third)?, rest))
}

fn new_date(year: i64, month: i64, day: i64) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn clock(text: &str) -> Option<(Time, &str)> {
    let (hour, mut rest) = digits(text, 2)?;
    let (mut minute, mut second, mut nanos) = (0, 0, 0);
    if let Some(tail) = rest.strip_prefix(':') {
        (minute, rest) = digits(tail, 2)?;
        if let Some(tail) = rest.strip_prefix(':') {
            (second, rest) = digits(tail, 2)?;
            if let Some(tail) = rest.strip_prefix(['.', ',']) {
                let (_, after) = digits(tail, 9)?;
                let fraction = &tail[..tail.len() - after.len()];
                nanos = format!("{fraction:0<9}").parse().ok()?;
                rest = after;
            }
        }
    }
    let small = |number: i64| i8::try_from(number).ok();
    Some((Time::new(small(hour)?, small(minute)?, small(second)?, nanos).ok()?, rest))
}

/// An offset, which may be followed by a zone's abbreviation. None: something else stands there; `Some(None)`: nothing does.
fn offset(text: &str) -> Option<Option<Offset>> {
    let text = text.split_whitespace().next().unwrap_or_default();
    match text {
        "" => return Some(None),
        "Z" | "z" | "UTC" | "GMT" => return Some(Some(Offset::UTC)),
        _ => {}
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let plain: String = text[1..].chars().filter(|char| *char != ':').collect();
    if !matches!(plain.len(), 2 | 4) || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = plain[..2].parse().ok()?;
    let minutes: i32 = plain.get(2..4).unwrap_or("0").parse().unwrap_or(0);
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses() {
        for (text, expect) in [
            ("2024-01-02T03:04:05.678+08:00", "2024-01-01T19:04:05.678Z"),
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("2024-01-02 03:04:05", "2024-01-02T03:04:05Z"),
            ("2024-1-2 3:4", "2024-01-02T03:04:00Z"),
            ("2024-1-2", "2024-01-02T00:00:00Z"),
            ("2024-1", "2024-01-01T00:00:00Z"),
            ("2024", "2024-01-01T00:00:00Z"),
            ("20240102", "2024-01-02T00:00:00Z"),
            ("2024/01/02 03:04:05", "2024-01-02T03:04:05Z"),
            ("2024.01.02 03:04:05.5", "2024-01-02T03:04:05.5Z"),
            ("1/2/2024", "2024-01-02T00:00:00Z"),
            ("2006-01-02 15:04:05.999999999 -0700 MST", "2006-01-02T22:04:05.999999999Z"),
        ] {
            assert_eq!(guess(text, &TimeZone::UTC), Some(expect.parse().unwrap()), "{text}");
        }
        for text in ["", "x", "2024-13-01", "2024-01-02 25:00:00", "2024-01-02 03:04:05 x", "2024-01-02T03:04:05+1"] {
            assert_eq!(guess(text, &TimeZone::UTC), None, "{text}");
        }
    }
}

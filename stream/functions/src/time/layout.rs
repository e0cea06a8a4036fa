//! Go's time layouts: `2006-01-02T15:04:05.000Z07:00` and so on, for printing and for reading.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::parts::Parts;
use super::{day_name, month_name};

/// A layout taken apart.
#[derive(Debug, Clone)]
pub struct Layout(Vec<Piece>);

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    /// Text that stands for itself.
    Text(String),
    /// One of [`ELEMENTS`].
    Element(&'static str),
    /// `.000` (fixed) or `.999` (as many digits as there are), the point of it, and the number of digits.
    Fraction(char, bool, usize),
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

impl Layout {
    /// Takes a layout apart; every text is one.
    pub fn new(layout: &str) -> Layout {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut rest = layout;
        while let Some(first) = rest.chars().next() {
            if let Some(piece @ Piece::Fraction(_, _, count)) = fraction(rest) {
                pieces.push(piece);
                rest = &rest[1 + count..];
            } else if let Some(element) = ELEMENTS.iter().find(|element| is_element(rest, element)) {
                pieces.push(Piece::Element(element));
                rest = &rest[element.len()..];
            } else {
                match pieces.last_mut() {
                    Some(Piece::Text(text)) => text.push(first),
                    _ => pieces.push(Piece::Text(first.to_string())),
                }
                rest = &rest[first.len_utf8()..];
            }
        }
        Layout(pieces)
    }

    /// `Time.Format`.
    pub fn format(&self, time: &Zoned) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Element(element) => write_element(time, element, &mut out),
                Piece::Fraction(point, fixed, count) => {
                    let mut nanos = format!("{:09}", time.subsec_nanosecond());
                    nanos.extend(std::iter::repeat_n('0', if *fixed { count.saturating_sub(9) } else { 0 }));
                    let shown = &nanos[..(*count).min(nanos.len())];
                    let shown = if *fixed { shown } else { shown.trim_end_matches('0') };
                    if !shown.is_empty() {
                        out.push(*point);
                        out.push_str(shown);
                    }
                }
            }
        }
        out
    }

    /// The instant a text of this layout says; what carries no zone is meant in `zone`. None if it does not have this layout, or names
    /// a day or hour that does not exist.
    pub fn read(&self, text: &str, zone: &TimeZone) -> Option<Timestamp> {
        self.parse(text)?.timestamp(zone, None)
    }

    /// `time.Parse`: what the text says. None if it does not have this layout.
    pub(super) fn parse(&self, text: &str) -> Option<Parts> {
        let mut parts = Parts::default();
        let mut rest = text;
        for (index, piece) in self.0.iter().enumerate() {
            rest = match piece {
                Piece::Text(expected) => skip(rest, expected)?,
                Piece::Element(element) => {
                    let after = parts.read(rest, element)?;
                    let seconds = matches!(*element, "5" | "05");
                    // A fraction may follow the seconds without being asked for.
                    match self.0.get(index + 1) {
                        Some(Piece::Fraction(..)) => after,
                        _ if seconds => parts.read_fraction(after).unwrap_or(after),
                        _ => after,
                    }
                }
                Piece::Fraction(_, true, count) => {
                    let digits = rest.get(..1 + count)?;
                    (digits.starts_with(['.', ',']) && parts.nanos_of(&digits[1..])).then_some(&rest[1 + count..])?
                }
                Piece::Fraction(..) => parts.read_fraction(rest).unwrap_or(rest),
            };
        }
        rest.is_empty().then_some(parts)
    }
}

/// A fraction of a second at the beginning of a layout's rest.
fn fraction(rest: &str) -> Option<Piece> {
    let point = rest.chars().next().filter(|char| matches!(char, '.' | ','))?;
    let digit = rest[1..].chars().next().filter(|char| matches!(char, '0' | '9'))?;
    let count = rest[1..].chars().take_while(|char| *char == digit).count();
    let ends = !rest[1 + count..].starts_with(|char: char| char.is_ascii_digit());
    ends.then_some(Piece::Fraction(point, digit == '0', count))
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

fn write_element(time: &Zoned, element: &str, out: &mut String) {
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let (month, day) = (month_name(time.month()), day_name(time.weekday()));
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

/// Takes literal text off; a blank in the layout stands for any number of them.
fn skip<'a>(mut text: &'a str, expected: &str) -> Option<&'a str> {
    let mut chars = expected.chars().peekable();
    while let Some(char) = chars.next() {
        if char == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            while chars.next_if_eq(&' ').is_some() {}
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(char)?;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints() {
        let time: Timestamp = "2024-03-05T16:07:08.0409Z".parse().unwrap();
        for (layout, zone, expect) in [
            ("2006-01-02T15:04:05.000Z07:00", "UTC", "2024-03-05T16:07:08.040Z"),
            ("2006-01-02T15:04:05.999999999Z07:00", "Asia/Shanghai", "2024-03-06T00:07:08.0409+08:00"),
            ("Mon Jan _2 3:4:5 PM 06 -0700 MST", "UTC", "Tue Mar  5 4:7:8 PM 24 +0000 UTC"),
            ("Monday January 002 .00x 15h", "UTC", "Tuesday March 065 .04x 16h"),
            ("05,000000000000", "UTC", "08,040900000000"),
            ("_2006 January2", "UTC", "_2024 March5"),
        ] {
            let zoned = time.to_zoned(TimeZone::get(zone).unwrap());
            assert_eq!(Layout::new(layout).format(&zoned), expect, "{layout}");
        }
    }

    #[test]
    fn reads() {
        for (layout, text, expect) in [
            ("2006-01-02 15:04:05", "2024-03-05 16:07:08", "2024-03-05T16:07:08Z"),
            ("2006-01-02 15:04:05", "2024-03-05   16:07:08.25", "2024-03-05T16:07:08.25Z"),
            ("2006-1-2 15", "2024-03-05 6", "2024-03-05T06:00:00Z"),
            ("Jan _2 06 3:04pm", "mar  5 24 4:07pm", "2024-03-05T16:07:00Z"),
            ("Monday, 02-Jan-06 15:04:05 MST", "tuesday, 05-Mar-24 16:07:08 GMT", "2024-03-05T16:07:08Z"),
            ("2006 002", "2024 065", "2024-03-05T00:00:00Z"),
            ("2006-01-02T15:04:05.000Z0700", "2024-03-05T16:07:08.500+0130", "2024-03-05T14:37:08.5Z"),
            ("2006-01-02 3PM", "2024-03-05 12AM", "2024-03-05T00:00:00Z"),
        ] {
            let parts = Layout::new(layout).parse(text).unwrap_or_else(|| panic!("{text} as {layout}"));
            assert_eq!(parts.timestamp(&TimeZone::UTC, None), Some(expect.parse().unwrap()), "{text}");
        }
        for (layout, text) in [
            ("2006-01-02", "2024-3-5"),
            ("2006-01-02", "2024-03-05x"),
            ("15:04", "24:00"),
            ("Jan", "Mär"),
            ("Z07:00", "z"),
            ("-0700", "+08:0"),
            ("05.000", "08.5"),
        ] {
            assert!(Layout::new(layout).parse(text).is_none(), "{text} as {layout}");
        }
        assert_eq!(Layout::new("2006-01-02").parse("2023-02-29").unwrap().timestamp(&TimeZone::UTC, None), None);
    }
}

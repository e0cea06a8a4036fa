//! eKuiper's time format letters: `yyyy-MM-dd HH:mm:ss.SSS` and so on.

use std::fmt::Write;

use jiff::civil::{DateTime, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use crate::error::{Error, Result};

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
pub(crate) fn month_name(month: i8) -> &'static str {
    MONTHS[usize::try_from(month - 1).unwrap_or(0) % 12]
}

/// English name of a weekday.
pub(crate) fn day_name(day: Weekday) -> &'static str {
    DAYS[usize::try_from(day.to_sunday_zero_offset()).unwrap_or(0) % 7]
}

/// One piece of a format.
#[derive(Debug, PartialEq)]
enum Piece {
    /// Text that stands for itself.
    Text(String),
    /// A run of one letter.
    Field(char, usize),
}

/// Letters that mean something.
const LETTERS: &str = "yYMdEHhamsSzZXG";

fn pieces(format: &str) -> Result<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let push = |pieces: &mut Vec<Piece>, char: char| match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push(char),
        _ => pieces.push(Piece::Text(char.to_string())),
    };
    let mut chars = format.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => chars.next().into_iter().for_each(|char| push(&mut pieces, char)),
            '\'' => {
                while let Some(char) = chars.next().filter(|char| *char != '\'') {
                    push(&mut pieces, char);
                }
            }
            _ if LETTERS.contains(char) => {
                let mut count = 1;
                while chars.next_if_eq(&char).is_some() {
                    count += 1;
                }
                pieces.push(Piece::Field(char, count));
            }
            _ if char.is_ascii_alphabetic() => {
                return Err(Error::call(format!("invalid format {format}: unknown letter {char}")));
            }
            _ => push(&mut pieces, char),
        }
    }
    Ok(pieces)
}

/// Writes an instant by format letters in a zone.
///
/// # Errors
/// The format has a letter without meaning.
pub fn format(time: Timestamp, format: &str, zone: &TimeZone) -> Result<String> {
    let zoned = time.to_zoned(zone.clone());
    let mut out = String::new();
    for piece in pieces(format)? {
        // Writing into a String cannot fail.
        let _ = match piece {
            Piece::Text(text) => out.write_str(&text),
            Piece::Field(letter, count) => write_field(&zoned, letter, count, &mut out),
        };
    }
    Ok(out)
}

fn write_field(time: &Zoned, letter: char, count: usize, out: &mut String) -> std::fmt::Result {
    let twelve = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let offset = |colon: bool| time.strftime(if colon { "%:z" } else { "%z" }).to_string();
    match (letter, count) {
        ('y' | 'Y', 2) => write!(out, "{:02}", time.year().rem_euclid(100)),
        ('y' | 'Y', _) => write!(out, "{:04}", time.year()),
        ('M', 1) => write!(out, "{}", time.month()),
        ('M', 2) => write!(out, "{:02}", time.month()),
        ('M', 3) => out.write_str(&month_name(time.month())[..3]),
        ('M', _) => out.write_str(month_name(time.month())),
        ('d', 1) => write!(out, "{}", time.day()),
        ('d', _) => write!(out, "{:02}", time.day()),
        ('E', 4..) => out.write_str(day_name(time.weekday())),
        ('E', _) => out.write_str(&day_name(time.weekday())[..3]),
        ('H', 1) => write!(out, "{}", time.hour()),
        ('H', _) => write!(out, "{:02}", time.hour()),
        ('h', 1) => write!(out, "{twelve}"),
        ('h', _) => write!(out, "{twelve:02}"),
        ('a', _) => out.write_str(if time.hour() < 12 { "AM" } else { "PM" }),
        ('m', 1) => write!(out, "{}", time.minute()),
        ('m', _) => write!(out, "{:02}", time.minute()),
        ('s', 1) => write!(out, "{}", time.second()),
        ('s', _) => write!(out, "{:02}", time.second()),
        ('S', _) => out.write_str(&format!("{:09}", time.subsec_nanosecond())[..count.min(9)]),
        ('z', _) => out.write_str(&time.strftime("%Z").to_string()),
        ('Z', _) => out.write_str(&offset(false)),
        ('X', _) if time.offset().is_zero() => out.write_str("Z"),
        ('X', 1) => out.write_str(&offset(false)[..3]),
        ('X', 2) => out.write_str(&offset(false)),
        ('X', _) => out.write_str(&offset(true)),
        _ => out.write_str("AD"),
    }
}

/// Reads an instant by format letters; what carries no zone is meant in `zone`.
///
/// # Errors
/// The text does not have this format.
pub fn parse_with(text: &str, format: &str, zone: &TimeZone) -> Result<Timestamp> {
    let wrong = || Error::call(format!("Can't parse string as time: {text} with format {format}"));
    let mut parts = Parts::default();
    let mut rest = text;
    for piece in pieces(format)? {
        rest = match piece {
            Piece::Text(expected) => rest.strip_prefix(expected.as_str()),
            Piece::Field(letter, count) => parts.read(rest, letter, count),
        }
        .ok_or_else(wrong)?;
    }
    if !rest.is_empty() {
        return Err(wrong());
    }
    parts.timestamp(zone).ok_or_else(wrong)
}

/// What was read so far.
struct Parts {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    afternoon: Option<bool>,
    minute: i8,
    second: i8,
    nanos: i32,
    offset: Option<Offset>,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts { year: 1, month: 1, day: 1, hour: 0, afternoon: None, minute: 0, second: 0, nanos: 0, offset: None }
    }
}

impl Parts {
    /// Reads one field and answers what follows it.
    fn read<'a>(&mut self, text: &'a str, letter: char, count: usize) -> Option<&'a str> {
        let number = |most: usize| {
            let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
            let number: i32 = text[..length].parse().ok()?;
            Some((number, &text[length..]))
        };
        let small = |(number, rest): (i32, &'a str)| Some((i8::try_from(number).ok()?, rest));
        let rest;
        match (letter, count) {
            ('y' | 'Y', 2) => {
                let (year, after) = number(2)?;
                self.year = i16::try_from(if year < 69 { 2000 + year } else { 1900 + year }).ok()?;
                rest = after;
            }
            ('y' | 'Y', _) => {
                let (year, after) = number(4)?;
                self.year = i16::try_from(year).ok()?;
                rest = after;
            }
            ('M', 3..) => {
                let name = |name: &str| {
                    text.get(..if count == 3 { 3 } else { name.len() }).is_some_and(|head| name.starts_with(head))
                };
                let index = MONTHS.iter().position(|month| name(month))?;
                self.month = i8::try_from(index + 1).ok()?;
                rest = &text[if count == 3 { 3 } else { MONTHS[index].len() }..];
            }
            ('M', _) => (self.month, rest) = small(number(2)?)?,
            ('d', _) => (self.day, rest) = small(number(2)?)?,
            ('H' | 'h', _) => (self.hour, rest) = small(number(2)?)?,
            ('m', _) => (self.minute, rest) = small(number(2)?)?,
            ('s', _) => (self.second, rest) = small(number(2)?)?,
            ('S', _) => {
                let (_, after) = number(9)?;
                self.nanos = format!("{:0<9}", &text[..text.len() - after.len()]).parse().ok()?;
                rest = after;
            }
            ('a', _) => {
                let word = text.get(..2)?.to_ascii_uppercase();
                self.afternoon = Some(word == "PM");
                rest = if word == "AM" || word == "PM" { &text[2..] } else { return None };
            }
            ('E', _) => rest = text.trim_start_matches(|char: char| char.is_ascii_alphabetic()),
            ('Z' | 'X', _) => rest = self.read_offset(text)?,
            ('z', _) => rest = text.trim_start_matches(|char: char| char.is_ascii_alphabetic()),
            _ => rest = text.strip_prefix("AD")?,
        }
        Some(rest)
    }

    fn read_offset<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if let Some(rest) = text.strip_prefix('Z') {
            self.offset = Some(Offset::UTC);
            return Some(rest);
        }
        let length = text.bytes().take_while(|byte| matches!(byte, b'+' | b'-' | b':' | b'0'..=b'9')).count();
        let (offset, rest) = text.split_at(length);
        let sign = if offset.starts_with('-') { -1 } else { 1 };
        let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
        let hours: i32 = digits.get(..2)?.parse().ok()?;
        let minutes: i32 = digits.get(2..4).unwrap_or("0").parse().ok()?;
        self.offset = Some(Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?);
        Some(rest)
    }

    fn timestamp(&self, zone: &TimeZone) -> Option<Timestamp> {
        let hour = match self.afternoon {
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None => self.hour,
        };
        let civil = DateTime::new(self.year, self.month, self.day, hour, self.minute, self.second, self.nanos).ok()?;
        match self.offset {
            Some(offset) => offset.to_timestamp(civil).ok(),
            None => zone.to_ambiguous_timestamp(civil).compatible().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let time: Timestamp = "2024-03-05T16:07:08.0409Z".parse().unwrap();
        for (letters, expect) in [
            ("yyyy-MM-dd HH:mm:ss.SSS", "2024-03-05 16:07:08.040"),
            ("YY M d h:m:s a", "24 3 5 4:7:8 PM"),
            ("EEE, MMM dd MMMM EEEE", "Tue, Mar 05 March Tuesday"),
            ("yyyy'year' \\y", "2024year y"),
            ("HH:mm XXX Z z", "16:07 Z +0000 UTC"),
        ] {
            assert_eq!(format(time, letters, &TimeZone::UTC).unwrap(), expect, "{letters}");
        }
        assert!(format(time, "Q", &TimeZone::UTC).is_err());
    }

    #[test]
    fn parses() {
        for (text, letters, expect) in [
            ("2024-03-05 16:07:08.04", "yyyy-MM-dd HH:mm:ss.SSS", "2024-03-05T16:07:08.04Z"),
            ("Mar 5 24 4:07 pm +0800", "MMM d yy h:mm a Z", "2024-03-05T08:07:00Z"),
            ("05/March/2024", "dd/MMMM/yyyy", "2024-03-05T00:00:00Z"),
        ] {
            assert_eq!(parse_with(text, letters, &TimeZone::UTC).unwrap(), expect.parse().unwrap(), "{text}");
        }
        for (text, letters) in [
            ("2024-03", "yyyy-MM-dd"),
            ("x", "yyyy"),
            ("2024-03-05x", "yyyy-MM-dd"),
            ("é", "MMM"),
            ("ü", "a"),
            ("é", "G"),
        ] {
            assert!(parse_with(text, letters, &TimeZone::UTC).is_err(), "{text}");
        }
    }
}

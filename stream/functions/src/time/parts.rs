//! What a text in a layout says: the reading half of Go's layouts.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::{DAYS, month_name};

/// What was read so far; what a layout does not have is zero or one.
#[derive(Debug)]
pub(super) struct Parts {
    /// None: the layout has no date.
    pub(super) year: i16,
    pub(super) month: i8,
    pub(super) day: i8,
    day_of_year: Option<i16>,
    hour: i8,
    afternoon: Option<bool>,
    minute: i8,
    second: i8,
    nanos: i32,
    pub(super) offset: Option<Offset>,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts {
            year: 0,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            afternoon: None,
            minute: 0,
            second: 0,
            nanos: 0,
            offset: None,
        }
    }
}

/// A number of one or two digits, or of two exactly.
fn number(text: &str, fixed: bool) -> Option<(i8, &str)> {
    let count = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if count == 0 || (fixed && count < 2) {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

/// The index of the name the text begins with, in any case.
fn name(text: &str, names: impl Iterator<Item = &'static str>) -> Option<(usize, &str)> {
    let begins = |name: &str| text.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
    names.enumerate().find(|(_, name)| begins(name)).map(|(index, name)| (index, &text[name.len()..]))
}

impl Parts {
    /// Reads one element and answers what follows it.
    pub(super) fn read<'a>(&mut self, text: &'a str, element: &str) -> Option<&'a str> {
        let days = || (0..7).map(|day| DAYS[day]);
        let months = || (1..=12).map(month_name);
        let rest;
        match element {
            "2006" => {
                let digits = text.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
                (self.year, rest) = (digits.parse().ok()?, &text[4..]);
            }
            "06" => {
                let (year, after) = number(text, true)?;
                (self.year, rest) = (i16::from(year) + if year >= 69 { 1900 } else { 2000 }, after);
            }
            "January" | "Jan" => {
                let (index, after) = if element == "Jan" {
                    name(text, months().map(|month| &month[..3]))?
                } else {
                    name(text, months())?
                };
                (self.month, rest) = (i8::try_from(index + 1).ok()?, after);
            }
            "Monday" => rest = name(text, days())?.1,
            "Mon" => rest = name(text, days().map(|day| &day[..3]))?.1,
            "1" | "01" => (self.month, rest) = number(text, element == "01")?,
            "2" | "02" | "_2" => {
                let text = if element == "_2" { text.strip_prefix(' ').unwrap_or(text) } else { text };
                (self.day, rest) = number(text, element == "02")?;
            }
            "002" | "__2" => {
                let text = if element == "__2" { text.trim_start_matches(' ') } else { text };
                let count = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
                self.day_of_year = Some(text[..count].parse().ok()?);
                rest = &text[count..];
            }
            "15" => (self.hour, rest) = number(text, false).filter(|(hour, _)| *hour < 24)?,
            "3" | "03" => (self.hour, rest) = number(text, element == "03").filter(|(hour, _)| *hour <= 12)?,
            "4" | "04" => (self.minute, rest) = number(text, element == "04")?,
            "5" | "05" => (self.second, rest) = number(text, element == "05")?,
            "PM" | "pm" => {
                let (afternoon, forenoon) = if element == "PM" { ("PM", "AM") } else { ("pm", "am") };
                let word = text.get(..2)?;
                self.afternoon = Some(word == afternoon);
                rest = (word == afternoon || word == forenoon).then_some(&text[2..])?;
            }
            "MST" => rest = self.read_zone_name(text)?,
            _ => rest = self.read_offset(text, element)?,
        }
        Some(rest)
    }

    /// A point and digits, at most nine of which count.
    pub(super) fn read_fraction<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let digits = text.strip_prefix(['.', ','])?;
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        (count > 0 && self.nanos_of(&digits[..count])).then_some(&digits[count..])
    }

    pub(super) fn nanos_of(&mut self, digits: &str) -> bool {
        let nine: String = digits.chars().chain(std::iter::repeat('0')).take(9).collect();
        let nanos = nine.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
        self.nanos = nanos.unwrap_or_default();
        nanos.is_some()
    }

    /// An abbreviation of a zone. Only UTC and `GMT±n` say what the offset is; the others count as none, as in Go.
    fn read_zone_name<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let letters = text.bytes().take_while(u8::is_ascii_uppercase).count();
        if let Some(rest) = text.strip_prefix("GMT") {
            let count =
                rest.bytes().take(3).take_while(|byte| matches!(byte, b'+' | b'-') || byte.is_ascii_digit()).count();
            let hours: i32 = rest[..count].parse().unwrap_or(0);
            self.offset = self.offset.or(Offset::from_seconds(hours * 3600).ok());
            return Some(&rest[count..]);
        }
        if !(3..=5).contains(&letters) {
            return None;
        }
        self.offset = self.offset.or(Some(Offset::UTC));
        Some(&text[letters..])
    }

    fn read_offset<'a>(&mut self, text: &'a str, element: &str) -> Option<&'a str> {
        if element.starts_with('Z') && text.starts_with('Z') {
            self.offset = Some(Offset::UTC);
            return Some(&text[1..]);
        }
        let shown = text.get(..element.len())?;
        let sign = match shown.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let mut digits = String::new();
        for (expected, found) in element.chars().zip(shown.chars()).skip(1) {
            match (expected, found) {
                (':', ':') => {}
                (expected, found) if expected != ':' && found.is_ascii_digit() => digits.push(found),
                _ => return None,
            }
        }
        let part = |index: usize| digits.get(index * 2..index * 2 + 2).map_or(Some(0), |part| part.parse::<i32>().ok());
        let (hours, minutes, seconds) = (part(0)?, part(1)?, part(2)?);
        if hours > 24 || minutes >= 60 || seconds >= 60 {
            return None;
        }
        self.offset = Some(Offset::from_seconds(sign * (hours * 3600 + minutes * 60 + seconds)).ok()?);
        Some(&text[element.len()..])
    }

    /// The instant; what carries no zone is meant in `zone`, what carries no year in the year of `today`, what carries no date at all
    /// `today`.
    pub(super) fn timestamp(&self, zone: &TimeZone, today: Option<&dyn Fn() -> Date>) -> Option<Timestamp> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let time = Time::new(hour, self.minute, self.second, self.nanos).ok()?;
        let date = match (today, self.day_of_year) {
            (Some(today), _) if self.year == 0 => {
                let today = today();
                if self.month == 1 && self.day == 1 {
                    today
                } else {
                    Date::new(today.year(), self.month, self.day).ok()?
                }
            }
            (_, Some(day)) => Date::new(self.year, 1, 1).ok()?.with().day_of_year(day).build().ok()?,
            _ => Date::new(self.year, self.month, self.day).ok()?,
        };
        let civil = DateTime::from_parts(date, time);
        match self.offset {
            Some(offset) => offset.to_timestamp(civil).ok(),
            None => zone.to_ambiguous_timestamp(civil).compatible().ok(),
        }
    }
}

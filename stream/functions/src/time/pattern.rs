//! eKuiper's time format letters, `yyyy-MM-dd HH:mm:ss.SSS` and so on: they are another spelling of Go's layouts.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Layout;
use crate::error::{Error, Result};

/// A format as a Go layout. Whatever has no meaning stands for itself, so a Go layout is a format too.
///
/// # Errors
/// A letter is repeated as often as it must not be.
fn layout(format: &str) -> Result<Layout> {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(letter) = chars.next() {
        let most = match letter {
            'y' | 'Y' | 'M' | 'E' => 4,
            'd' | 'H' | 'h' | 'm' | 's' => 2,
            'X' => 3,
            'S' => usize::MAX,
            'a' | 'z' | 'Z' | 'G' => 1,
            '\\' => {
                out.extend(chars.next());
                continue;
            }
            '\'' => {
                quoted(&mut chars, &mut out);
                continue;
            }
            other => {
                out.push(other);
                continue;
            }
        };
        let mut count = 1;
        while count < most && chars.next_if_eq(&letter).is_some() {
            count += 1;
        }
        let invalid = |letters: &str| Error::call(format!("invalid time format {format} for {letters}"));
        if letter == 'S' {
            out.extend(std::iter::repeat_n('0', count));
            continue;
        }
        out.push_str(match (letter, count) {
            ('y' | 'Y', 4) => "2006",
            ('y' | 'Y', 2) => "06",
            ('y' | 'Y', _) => return Err(invalid("Y/y")),
            ('M', 1) => "1",
            ('M', 2) => "01",
            ('M', 3) => "Jan",
            ('M', _) => "January",
            ('d', 1) => "2",
            ('d', _) => "02",
            ('E', 3) => "Mon",
            ('E', 4) => "Monday",
            ('E', _) => return Err(invalid("E")),
            ('H', 2) => "15",
            ('H', _) => return Err(invalid("H")),
            ('h', 1) => "3",
            ('h', _) => "03",
            ('a', _) => "PM",
            ('m', 1) => "4",
            ('m', _) => "04",
            ('s', 1) => "5",
            ('s', _) => "05",
            ('z', _) => "MST",
            ('Z', _) => "-0700",
            ('X', 1) => "Z07",
            ('X', 2) => "Z0700",
            ('X', _) => "Z07:00",
            _ => "AD",
        });
    }
    Ok(Layout::new(&out))
}

/// Text in quotes; two quotes are one.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    if chars.next_if_eq(&'\'').is_some() {
        out.push('\'');
        return;
    }
    out.extend(chars.take_while(|char| *char != '\''));
}

/// Writes an instant by format letters in a zone.
///
/// # Errors
/// The format is wrong.
pub fn format(time: Timestamp, format: &str, zone: &TimeZone) -> Result<String> {
    Ok(layout(format)?.format(&time.to_zoned(zone.clone())))
}

/// Reads an instant by format letters; what carries no zone is meant in `zone`.
///
/// # Errors
/// The text does not have this format, or the format is wrong.
pub fn parse_with(text: &str, format: &str, zone: &TimeZone) -> Result<Timestamp> {
    let today = || Timestamp::now().to_zoned(zone.clone()).date();
    let parsed = layout(format)?.parse(text).and_then(|parts| parts.timestamp(zone, Some(&today)));
    parsed.ok_or_else(|| Error::call(format!("Can't parse string as time: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let time: Timestamp = "2024-03-05T16:07:08.0409Z".parse().unwrap();
        for (letters, expect) in [
            ("yyyy-MM-dd HH:mm:ss.SSS", "2024-03-05 16:07:08.040"),
            ("YYYY-MM-ddTHH:mm:ssXXX", "2024-03-05T16:07:08Z"),
            ("yyyyMMddHHmmss", "20240305160708"),
            ("YY M d h:m:s a", "24 3 5 4:7:8 PM"),
            ("EEE, MMM dd MMMM EEEE", "Tue, Mar 05 March Tuesday"),
            ("yyyy'year' \\y o''clock", "2024year y o'clock"),
            ("HH:mm XXX Z z G", "16:07 Z +0000 UTC AD"),
            ("HH X XX", "16 Z Z"),
            ("ss,SSSSSS", "08,040900"),
            // Without a point there is no fraction in Go's layouts: the zeros stand for themselves.
            ("ss SSS", "08 000"),
            ("2006/01/02", "2024/03/05"),
        ] {
            assert_eq!(format(time, letters, &TimeZone::UTC).unwrap(), expect, "{letters}");
        }
        for (letters, expect) in [("yyy", "Y/y"), ("H:mm", "H"), ("EE", "E")] {
            let error = format(time, letters, &TimeZone::UTC).unwrap_err().to_string();
            assert_eq!(error, format!("invalid time format {letters} for {expect}"));
        }
    }

    #[test]
    fn parses() {
        for (text, letters, expect) in [
            ("2024-03-05 16:07:08.040", "yyyy-MM-dd HH:mm:ss.SSS", "2024-03-05T16:07:08.04Z"),
            ("Mar 5 24 4:07 PM +0800", "MMM d yy h:mm a Z", "2024-03-05T08:07:00Z"),
            ("05/March/2024", "dd/MMMM/yyyy", "2024-03-05T00:00:00Z"),
            ("2024-03-05T16:07:08+01:00", "yyyy-MM-ddTHH:mm:ssXXX", "2024-03-05T15:07:08Z"),
        ] {
            assert_eq!(parse_with(text, letters, &TimeZone::UTC).unwrap(), expect.parse().unwrap(), "{text}");
        }
        for (text, letters) in [
            ("2024-03", "yyyy-MM-dd"),
            ("x", "yyyy"),
            ("2024-03-05x", "yyyy-MM-dd"),
            ("2024-03-05 16:07:08.04", "yyyy-MM-dd HH:mm:ss.SSS"),
            ("é", "MMM"),
            ("ü", "a"),
            ("é", "G"),
        ] {
            assert!(parse_with(text, letters, &TimeZone::UTC).is_err(), "{text}");
        }
    }
}

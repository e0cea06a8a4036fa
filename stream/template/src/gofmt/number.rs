//! Numbers as `fmt` prints them.

use std::fmt::Write as _;

use super::{Printer, float_v, printable, push_quoted};
use crate::value::{Outcome, Val};

impl Printer {
    pub(super) fn int(&mut self, int: i64, verb: char, value: &Val) -> Outcome<()> {
        let radix = match verb {
            'v' | 'd' => 10,
            'b' => 2,
            'o' | 'O' => 8,
            'x' | 'X' => 16,
            'c' | 'q' | 'U' => {
                let char = u32::try_from(int).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                match verb {
                    'c' => self.pad(char.encode_utf8(&mut [0; 4])),
                    'q' => {
                        let mut text = String::from("'");
                        push_quoted(char, '\'', self.flags.plus, &mut text);
                        text.push('\'');
                        self.pad(&text);
                    }
                    _ => {
                        let mut text = format!("U+{:01$X}", int, self.flags.precision.unwrap_or(4).max(4));
                        if self.flags.sharp && printable(char) {
                            let _ = write!(text, " '{char}'");
                        }
                        let zero = std::mem::take(&mut self.flags.zero);
                        self.pad(&text);
                        self.flags.zero = zero;
                    }
                }
                return Ok(());
            }
            _ => return self.bad(value, verb),
        };
        self.integer(int, radix, verb);
        Ok(())
    }

    fn integer(&mut self, int: i64, radix: u32, verb: char) {
        let flags = self.flags;
        let magnitude = int.unsigned_abs();
        if flags.precision == Some(0) && magnitude == 0 {
            self.out.extend(std::iter::repeat_n(' ', flags.width.unwrap_or(0)));
            return;
        }
        let signed = int < 0 || flags.plus || flags.space;
        let mut text = match (radix, verb) {
            (2, _) => format!("{magnitude:b}"),
            (8, _) => format!("{magnitude:o}"),
            (16, 'x') => format!("{magnitude:x}"),
            (16, _) => format!("{magnitude:X}"),
            _ => magnitude.to_string(),
        };
        let least = match (flags.precision, flags.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(usize::from(signed)),
            _ => 0,
        };
        if text.len() < least {
            text.insert_str(0, &"0".repeat(least - text.len()));
        }
        if flags.sharp {
            match radix {
                2 => text.insert_str(0, "0b"),
                8 if !text.starts_with('0') => text.insert(0, '0'),
                16 => text.insert_str(0, if verb == 'x' { "0x" } else { "0X" }),
                _ => {}
            }
        }
        if verb == 'O' {
            text.insert_str(0, "0o");
        }
        if signed {
            text.insert(
                0,
                if int < 0 {
                    '-'
                } else if flags.plus {
                    '+'
                } else {
                    ' '
                },
            );
        }
        self.flags.zero = false;
        self.pad(&text);
        self.flags.zero = flags.zero;
    }

    pub(super) fn float(&mut self, float: f64, verb: char, value: &Val) -> Outcome<()> {
        let flags = self.flags;
        let precision = flags.precision;
        if precision.is_some_and(|precision| precision > 1000) {
            return Err("precision above 1000 digits; use fewer".into());
        }
        let magnitude = float.abs();
        let digits = if !float.is_finite() {
            if float.is_nan() { "NaN".into() } else { "Inf".into() }
        } else {
            match verb {
                'v' | 'g' | 'G' if precision.is_none() => float_v(magnitude),
                'v' | 'g' | 'G' => general(magnitude, precision.unwrap_or(6)),
                'f' | 'F' => format!("{magnitude:.*}", precision.unwrap_or(6)),
                'e' | 'E' => exponent(magnitude, precision.unwrap_or(6)),
                _ => return self.bad(value, verb),
            }
        };
        if !matches!(verb, 'v' | 'g' | 'G' | 'f' | 'F' | 'e' | 'E') {
            return self.bad(value, verb);
        }
        let digits = if matches!(verb, 'G' | 'E') { digits.replace('e', "E") } else { digits };
        let negative = float.is_sign_negative() && !float.is_nan();
        let sign = match (negative, flags.plus, flags.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            // Infinity always shows its sign.
            _ if float.is_infinite() => "+",
            _ => "",
        };
        let width = flags.width.unwrap_or(0);
        if flags.zero && !flags.minus && float.is_finite() {
            self.out.push_str(sign);
            self.out.extend(std::iter::repeat_n('0', width.saturating_sub(sign.len() + digits.len())));
            self.out.push_str(&digits);
            return Ok(());
        }
        self.flags.zero = false;
        self.pad(&format!("{sign}{digits}"));
        self.flags.zero = flags.zero;
        Ok(())
    }
}

fn exponent(float: f64, precision: usize) -> String {
    let text = format!("{float:.precision$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or_default();
    format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

/// `%.Ng`: N significant digits without trailing zeros.
fn general(float: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let rounded = exponent(float, precision - 1);
    let (mantissa, power) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let power: i32 = power.parse().unwrap_or_default();
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let shown = mantissa.bytes().filter(u8::is_ascii_digit).count() as i32;
    // Few digits let a whole number keep its plain form only up to the precision.
    let limit = if precision as i32 > shown && shown > power { shown } else { precision as i32 };
    if power < -4 || power >= limit {
        return format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs());
    }
    let text = format!("{float:.*}", (precision as i32 - 1 - power).max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

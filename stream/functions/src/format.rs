//! Text forms of values as Go prints them. Go has three ways to print a float, and eKuiper uses each of them somewhere:
//!
//! | way | exponent when | where |
//! |---|---|---|
//! | `%v` of `fmt` and of templates, which is `%g` with as many digits as needed | below 1e-4 and from 1e+06 up | error texts, group keys, floats inside arrays and maps |
//! | `strconv.FormatFloat(x, 'f', -1, 64)` | never | a float argument of a text function, `cast(x, "string")` |
//! | `encoding/json` | below 1e-6, from 1e21 up, one-digit exponents short (`1e-7`) | sinks, `to_json` |

use std::borrow::Cow;
use std::fmt::{self, Write};

use jiff::tz::TimeZone;

use crate::Value;

/// Shows a value as Go's `%v` would, which is what group keys, concatenations and error texts are made of.
pub struct GoText<'a>(pub &'a Value);

impl fmt::Display for GoText<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_go(self.0, out)
    }
}

fn write_go(value: &Value, out: &mut dyn Write) -> fmt::Result {
    match value {
        Value::Nil => out.write_str("<nil>"),
        Value::Int(int) => out.write_str(itoa::Buffer::new().format(*int)),
        Value::Float(float) => out.write_str(FloatText::percent_v(*float).as_str()),
        Value::Bool(bool) => write!(out, "{bool}"),
        Value::Str(text) => out.write_str(text),
        Value::Bytes(bytes) => {
            out.write_char('[')?;
            for (index, byte) in bytes.iter().enumerate() {
                write!(out, "{}{byte}", if index > 0 { " " } else { "" })?;
            }
            out.write_char(']')
        }
        Value::Time(time) => {
            let zoned = time.to_zoned(TimeZone::UTC);
            write!(out, "{}", zoned.strftime("%Y-%m-%d %H:%M:%S"))?;
            write_fraction(time.subsec_nanosecond(), out)?;
            out.write_str(" +0000 UTC")
        }
        Value::Array(items) => {
            out.write_char('[')?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.write_char(' ')?;
                }
                write_go(item, out)?;
            }
            out.write_char(']')
        }
        Value::Map(map) => {
            out.write_str("map[")?;
            for (index, (key, item)) in map.iter().enumerate() {
                write!(out, "{}{key}:", if index > 0 { " " } else { "" })?;
                write_go(item, out)?;
            }
            out.write_char(']')
        }
    }
}

/// The text eKuiper makes of an argument of a text function, whatever its type: floats never get an exponent, nil is empty, bytes are
/// text, arrays and maps are printed with `%v`.
pub fn plain_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Str(text) => Cow::Borrowed(text),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes),
        Value::Nil => Cow::Borrowed(""),
        Value::Float(float) => Cow::Owned(decimals(*float, None)),
        other => Cow::Owned(GoText(other).to_string()),
    }
}

/// `strconv.FormatFloat(float, 'f', digits, 64)`; no digits: as many as needed.
pub(crate) fn decimals(float: f64, digits: Option<usize>) -> String {
    match digits {
        _ if float.is_infinite() => if float > 0.0 { "+Inf" } else { "-Inf" }.to_string(),
        Some(digits) => format!("{float:.digits$}"),
        None => float.to_string(),
    }
}

/// Writes `.123` without trailing zeros, or nothing: the fraction of Go's RFC3339Nano.
pub(crate) fn write_fraction(nanos: i32, out: &mut dyn Write) -> fmt::Result {
    if nanos == 0 {
        return Ok(());
    }
    let digits = format!("{nanos:09}");
    write!(out, ".{}", digits.trim_end_matches('0'))
}

/// The shortest text of a float in Go's layouts, in a buffer on the stack.
pub struct FloatText {
    buffer: [u8; 40],
    len: usize,
}

impl FloatText {
    /// `encoding/json`: plain digits from 1e-6 up to 1e21, else an exponent without leading zero (`1e-7`).
    pub fn json(float: f64) -> FloatText {
        let magnitude = float.abs();
        let exponent = magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude);
        FloatText::layout(float, exponent, 1)
    }

    /// `%v`: plain digits while the decimal exponent is in -4 .. 6, else an exponent of at least two digits (`1e-07`, `1.5e+06`).
    ///
    /// `strconv` decides for `%g` between `%e` and `%f` by the precision, and takes 6 for it when it is asked for as few digits as
    /// needed (`1000000.0` prints `1e+06`, `123456.5` prints `123456.5`). The limit of 21 belongs to `encoding/json`.
    pub fn percent_v(float: f64) -> FloatText {
        let magnitude = float.abs();
        FloatText::layout(float, magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude), 2)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only ASCII digits and signs are ever pushed.
        std::str::from_utf8(&self.buffer[..self.len]).unwrap_or_default()
    }

    fn layout(float: f64, exponent: bool, exponent_digits: usize) -> FloatText {
        let mut text = FloatText { buffer: [0; 40], len: 0 };
        if !float.is_finite() {
            let word: &[u8] = if float.is_nan() {
                b"NaN"
            } else if float > 0.0 {
                b"+Inf"
            } else {
                b"-Inf"
            };
            text.push(word);
            return text;
        }
        let mut ryu = ryu::Buffer::new();
        let shortest = ryu.format_finite(float);
        if !exponent && !shortest.contains('e') {
            text.push(shortest.strip_suffix(".0").unwrap_or(shortest).as_bytes());
            return text;
        }
        let (digits, digit_count, scale) = decimal(shortest);
        if float.is_sign_negative() {
            text.push(b"-");
        }
        let digits = &digits[..digit_count];
        if exponent {
            text.scientific(digits, scale - 1, exponent_digits);
        } else {
            text.plain(digits, scale);
        }
        text
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = (self.len + bytes.len()).min(self.buffer.len());
        self.buffer[self.len..end].copy_from_slice(&bytes[..end - self.len]);
        self.len = end;
    }

    /// `scale` is the position of the decimal point counted from the first digit.
    fn plain(&mut self, digits: &[u8], scale: i32) {
        if scale <= 0 {
            self.push(b"0.");
            (0..-scale).for_each(|_| self.push(b"0"));
            self.push(digits);
        } else if scale as usize >= digits.len() {
            self.push(digits);
            (digits.len()..scale as usize).for_each(|_| self.push(b"0"));
        } else {
            self.push(&digits[..scale as usize]);
            self.push(b".");
            self.push(&digits[scale as usize..]);
        }
    }

    fn scientific(&mut self, digits: &[u8], exponent: i32, exponent_digits: usize) {
        self.push(&digits[..1]);
        if digits.len() > 1 {
            self.push(b".");
            self.push(&digits[1..]);
        }
        self.push(if exponent < 0 { b"e-" } else { b"e+" });
        let magnitude = exponent.unsigned_abs();
        if exponent_digits > 1 && magnitude < 10 {
            self.push(b"0");
        }
        self.push(itoa::Buffer::new().format(magnitude).as_bytes());
    }
}

/// Splits ryu's text into significant digits and the position of the decimal point.
fn decimal(text: &str) -> ([u8; 24], usize, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = whole.bytes().chain(fraction.bytes());
    let leading = all.clone().take_while(|digit| *digit == b'0').count();
    let mut digits = [0u8; 24];
    let mut count = 0;
    for digit in all.skip(leading).take(24) {
        digits[count] = digit;
        count += 1;
    }
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    (digits, count, whole.len() as i32 - leading as i32 + exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_encoding_json_prints_them() {
        let cases: &[(f64, &str)] = &[
            (1.0, "1"),
            (0.0, "0"),
            (-0.0, "-0"),
            (20.75, "20.75"),
            (-1.5, "-1.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.25e21, "1.25e+21"),
            (123456789012345680.0, "123456789012345680"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (1e-10, "1e-10"),
            (5e-324, "5e-324"),
            (0.1, "0.1"),
        ];
        for (float, expect) in cases {
            assert_eq!(FloatText::json(*float).as_str(), *expect);
        }
    }

    #[test]
    fn floats_as_percent_v() {
        for (float, expect) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (2.5, "2.5"),
            (100.0, "100"),
            (123456.0, "123456"),
            (999999.5, "999999.5"),
            (1e6, "1e+06"),
            (-1234567.0, "-1.234567e+06"),
            (123456789.0, "1.23456789e+08"),
            (1e21, "1e+21"),
            (1e100, "1e+100"),
            (1e-4, "0.0001"),
            (0.00012345, "0.00012345"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(FloatText::percent_v(float).as_str(), expect);
        }
    }

    #[test]
    fn floats_without_exponent() {
        for (value, expect) in [
            (Value::Float(1e6), "1000000"),
            (Value::Float(1e22), "10000000000000000000000"),
            (Value::Float(1.5e-7), "0.00000015"),
            (Value::Float(f64::INFINITY), "+Inf"),
            (Value::Float(f64::NAN), "NaN"),
            (Value::Nil, ""),
            (Value::bytes(&b"ab"[..]), "ab"),
            (Value::array(vec![Value::Float(1e6)]), "[1e+06]"),
        ] {
            assert_eq!(plain_text(&value), expect);
        }
    }

    #[test]
    fn values_as_percent_v() {
        let map: crate::Map = [("b".into(), Value::Int(2)), ("a".into(), Value::Nil)].into();
        let array = Value::array(vec![Value::Int(1), Value::str("x"), Value::map(map)]);
        assert_eq!(GoText(&array).to_string(), "[1 x map[a:<nil> b:2]]");
        assert_eq!(GoText(&Value::bytes(&b"ab"[..])).to_string(), "[97 98]");
        assert_eq!(GoText(&Value::time_ms(1500)).to_string(), "1970-01-01 00:00:01.5 +0000 UTC");
    }
}

//! Prints values exactly as Go's `encoding/json` does: sorted keys, HTML characters escaped, float 1 as `1`.

use base64::Engine as _;
use jiff::tz::TimeZone;

use crate::format::{FloatText, write_fraction};
use crate::{Map, Value};

/// A value JSON cannot express. Text as Go's `json.UnsupportedValueError`.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
#[error("json: unsupported value: {0}")]
pub struct Unprintable(&'static str);

/// Prints values into a buffer the caller reuses.
#[derive(Debug, Clone)]
pub struct Printer {
    zone: TimeZone,
}

impl Default for Printer {
    fn default() -> Printer {
        Printer { zone: TimeZone::UTC }
    }
}

impl Printer {
    /// A printer that shows instants in `zone` (eKuiper's `basic.timezone`).
    pub fn new(zone: TimeZone) -> Printer {
        Printer { zone }
    }

    /// Appends the JSON text of `value`.
    ///
    /// # Errors
    /// NaN and the infinities have no JSON form; the buffer then holds a partial text.
    pub fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), Unprintable> {
        match value {
            Value::Nil => out.extend_from_slice(b"null"),
            Value::Int(int) => out.extend_from_slice(itoa::Buffer::new().format(*int).as_bytes()),
            Value::Float(float) => write_float(*float, out)?,
            Value::Bool(true) => out.extend_from_slice(b"true"),
            Value::Bool(false) => out.extend_from_slice(b"false"),
            Value::Str(text) => write_string(text, out),
            Value::Bytes(bytes) => {
                out.push(b'"');
                out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(bytes.as_ref()).as_bytes());
                out.push(b'"');
            }
            Value::Time(time) => {
                out.push(b'"');
                out.extend_from_slice(self.time(*time).as_bytes());
                out.push(b'"');
            }
            Value::Array(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.write(item, out)?;
                }
                out.push(b']');
            }
            Value::Map(map) => self.write_map(map, out)?,
        }
        Ok(())
    }

    /// Appends the JSON text of a map.
    ///
    /// # Errors
    /// As [`Printer::write`].
    pub fn write_map(&self, map: &Map, out: &mut Vec<u8>) -> Result<(), Unprintable> {
        out.push(b'{');
        for (index, (key, item)) in map.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(key, out);
            out.push(b':');
            self.write(item, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// The JSON text of a value as a string.
    ///
    /// # Errors
    /// As [`Printer::write`].
    pub fn text(&self, value: &Value) -> Result<String, Unprintable> {
        let mut out = Vec::new();
        self.write(value, &mut out)?;
        Ok(String::from_utf8(out).unwrap_or_default())
    }

    fn time(&self, time: jiff::Timestamp) -> String {
        let zoned = time.to_zoned(self.zone.clone());
        let mut text = zoned.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        // Writing into a String cannot fail.
        let _ = write_fraction(time.subsec_nanosecond(), &mut text);
        if zoned.offset().is_zero() {
            text.push('Z');
        } else {
            text.push_str(&zoned.strftime("%:z").to_string());
        }
        text
    }
}

fn write_float(float: f64, out: &mut Vec<u8>) -> Result<(), Unprintable> {
    if float.is_nan() {
        return Err(Unprintable("NaN"));
    }
    if float.is_infinite() {
        return Err(Unprintable(if float > 0.0 { "+Inf" } else { "-Inf" }));
    }
    // Whole numbers of moderate size are the common case and need no shortest-digits search.
    if float.fract() == 0.0 && float.abs() < 1e15 && (float != 0.0 || float.is_sign_positive()) {
        out.extend_from_slice(itoa::Buffer::new().format(float as i64).as_bytes());
    } else {
        out.extend_from_slice(FloatText::json(float).as_str().as_bytes());
    }
    Ok(())
}

/// Appends a quoted JSON string with Go's escapes (control characters, quotes, `<`, `>`, `&`, U+2028, U+2029).
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x08 => b"\\b",
            0x0c => b"\\f",
            b'<' | b'>' | b'&' | 0..=0x1f => {
                out.extend_from_slice(&bytes[start..index]);
                out.extend_from_slice(&[
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ]);
                start = index + 1;
                continue;
            }
            // U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
            0xa8 | 0xa9 if index >= 2 && bytes[index - 2..index] == [0xe2, 0x80] => {
                out.extend_from_slice(&bytes[start..index - 2]);
                out.extend_from_slice(if *byte == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                start = index + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..index]);
        out.extend_from_slice(escape);
        start = index + 1;
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go() {
        let map: Map = [("z".into(), Value::Float(1.0)), ("a".into(), Value::bytes(&b"hi"[..]))].into();
        let cases: Vec<(Value, &str)> = vec![
            (Value::map(map), r#"{"a":"aGk=","z":1}"#),
            (Value::str("a<b>&\"\\\n\u{1}\u{2028}"), r#""a\u003cb\u003e\u0026\"\\\n\u0001\u2028""#),
            (Value::time_ms(1_700_000_000_120), r#""2023-11-14T22:13:20.12Z""#),
            (Value::Float(-0.0), "-0"),
            (Value::array(vec![Value::Nil, Value::Bool(true)]), "[null,true]"),
        ];
        for (value, expect) in cases {
            assert_eq!(Printer::default().text(&value).unwrap(), expect);
        }
        assert_eq!(
            Printer::default().text(&Value::Float(f64::NAN)).unwrap_err().to_string(),
            "json: unsupported value: NaN"
        );
    }

    #[test]
    fn prints_times_in_the_zone() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        assert_eq!(Printer::new(zone).text(&Value::time_ms(0)).unwrap(), r#""1970-01-01T08:00:00+08:00""#);
    }
}

//! Values from the texts databases send.

use edgeward_engine::Value;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// A whole number; one beyond 64 bits becomes a float.
pub(super) fn int(text: &str) -> Value {
    text.parse().map_or_else(|_| float(text), Value::Int)
}

pub(super) fn float(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::str(text), Value::Float)
}

/// Bytes written with two hexadecimal digits each.
pub(super) fn hex(text: &str) -> Value {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| {
        let (high, low) = (digit(*pair.first()?)?, digit(*pair.get(1)?)?);
        u8::try_from(high * 16 + low).ok()
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    bytes.map_or_else(|| Value::str(text), Value::bytes)
}

/// An instant; a date or a time without zone is meant in UTC.
pub(super) fn time(text: &str) -> Value {
    let zoned = text.parse::<Timestamp>().ok();
    let local = || text.parse::<DateTime>().ok();
    let date = || text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0));
    let of = |local: DateTime| local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    zoned.or_else(|| local().or_else(date).and_then(of)).map_or_else(|| Value::str(text), Value::Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_texts() {
        let at = |ms| Value::time_ms(ms);
        for (got, expect) in [
            (int("-5"), Value::Int(-5)),
            (int("18446744073709551615"), Value::Float(18_446_744_073_709_551_615.0)),
            (float("1.50"), Value::Float(1.5)),
            (float("x"), Value::str("x")),
            (hex("00ff"), Value::bytes(vec![0, 255])),
            (hex("0"), Value::str("0")),
            (time("1970-01-02 00:00:01.5+00"), at(86_401_500)),
            (time("1970-01-02 01:00:01.5+01"), at(86_401_500)),
            (time("1970-01-02 00:00:01.500000"), at(86_401_500)),
            (time("1970-01-02"), at(86_400_000)),
            (time("0000-00-00"), Value::str("0000-00-00")),
            (time("infinity"), Value::str("infinity")),
        ] {
            assert_eq!(got, expect);
        }
    }
}

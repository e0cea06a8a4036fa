//! JSON text to a value.

use super::text::{repair, text_of};
use super::{Cursor, JsonError, MAX_DEPTH, Numbers};
use crate::{Map, Value};

/// Reads one JSON text into a value.
///
/// # Errors
/// Anything that is not exactly one JSON value.
pub fn parse(text: &[u8], numbers: Numbers) -> Result<Value, JsonError> {
    let mut cursor = Cursor::new(text);
    cursor.blank();
    let value = cursor.value(numbers, 0)?;
    cursor.end()?;
    Ok(value)
}

/// Reads JSON that a [`Cursor`] has already skipped over successfully. What remains possible then, invalid UTF-8 and unknown
/// escapes inside strings, is read the way Go does (replacement characters, escapes kept as they are); the rest is nil.
pub fn lenient(text: &[u8], numbers: Numbers) -> Value {
    parse(text, numbers).unwrap_or_else(|_| {
        let repaired = repair(text);
        parse(repaired.as_bytes(), numbers).unwrap_or_default()
    })
}

impl Cursor<'_> {
    /// Reads one value of any kind.
    ///
    /// # Errors
    /// The value is not JSON or nested too deeply.
    pub fn value(&mut self, numbers: Numbers, depth: u32) -> Result<Value, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::Str),
            Some(b'-' | b'0'..=b'9') => self.number(numbers),
            Some(b'{') if depth < MAX_DEPTH => {
                let mut map = Map::new();
                let mut members = self.members()?;
                while let Some((key, escaped)) = self.next_key(&mut members)? {
                    let key = text_of(key, escaped).ok_or(JsonError::Text(self.at))?;
                    map.insert(key, self.value(numbers, depth + 1)?);
                }
                Ok(Value::map(map))
            }
            Some(b'[') if depth < MAX_DEPTH => {
                let mut items = Vec::new();
                let mut first = true;
                self.at += 1;
                while self.next_item(&mut first)? {
                    items.push(self.value(numbers, depth + 1)?);
                }
                Ok(Value::array(items))
            }
            Some(b'{' | b'[') => Err(JsonError::Depth),
            _ => self.word(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::Printer;

    fn check(text: &str, expect: &str) {
        let got = match parse(text.as_bytes(), Numbers::Float) {
            Ok(value) => Printer::default().text(&value).unwrap(),
            Err(error) => format!("error {error}"),
        };
        assert_eq!(got, expect, "{text}");
    }

    #[test]
    fn reads_json() {
        check(r#" {"a": 1, "b":[true,false,null,"xA\n"], "a": 2} "#, r#"{"a":2,"b":[true,false,null,"xA\n"]}"#);
        check(r#""\ud83d\ude00 \ud83d""#, "\"😀 \u{fffd}\"");
        check("-0.5e3", "-500");
        check("12345678901234567890", "12345678901234567000");
        check("[]", "[]");
        check("{}", "{}");
    }

    #[test]
    fn refuses_what_is_not_json() {
        let deep = "[".repeat(1000);
        for text in [
            "",
            "{",
            "{\"a\"}",
            "{\"a\":1,}",
            "[1,]",
            "[1 2]",
            "01",
            "1.",
            "+1",
            "1e",
            "tru",
            "\"\\x\"",
            "\"a",
            "\"\n\"",
            "1e999",
            "{} x",
            "\"\\u12\"",
            &deep,
        ] {
            assert!(parse(text.as_bytes(), Numbers::Float).is_err(), "{text}");
            assert!(parse(text.as_bytes(), Numbers::WholeAsInt).is_err(), "{text}");
        }
    }

    #[test]
    fn oddities_inside_strings_are_repaired() {
        assert_eq!(
            lenient(br#"{"a":"x\qy\u12"}"#, Numbers::Float),
            parse(br#"{"a":"x\\qy\\u12"}"#, Numbers::Float).unwrap()
        );
        assert_eq!(lenient(b"\"a\xffb\\n\"", Numbers::Float), Value::str("a\u{fffd}b\n"));
    }

    #[test]
    fn whole_numbers_become_integers_when_asked() {
        let value = parse(b"[1, 1.0, -9223372036854775808, 9223372036854775808]", Numbers::WholeAsInt).unwrap();
        let items = value.as_array().unwrap();
        assert_eq!(items[0], Value::Int(1));
        assert_eq!(items[1], Value::Float(1.0));
        assert_eq!(items[2], Value::Int(i64::MIN));
        assert_eq!(items[3], Value::Float(9223372036854775808.0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let parsed = parse(&bytes, Numbers::Float);
            let mut cursor = Cursor::new(&bytes);
            cursor.blank();
            // What can be read can be skipped, and to the same place.
            let skipped = cursor.skip(0).and_then(|()| cursor.end());
            if parsed.is_ok() { prop_assert!(skipped.is_ok()); }
        }

        #[test]
        fn what_is_skipped_fast_is_skipped_slowly(value in "(-?[0-9]{0,18}(\\.[0-9]{0,18})?(e[0-9])?)|(\"[a-z\\\\\"\u{0}é]{0,12}\"?)", rest in "[,}\\] a]{0,9}") {
            let text = format!("{value}{rest}");
            let (mut fast, mut slow) = (Cursor::new(text.as_bytes()), Cursor::new(text.as_bytes()));
            if fast.skip_flat() {
                prop_assert_eq!(slow.skip(0), Ok(()), "{}", text);
                prop_assert_eq!(fast.at(), slow.at(), "{}", text);
            } else {
                prop_assert_eq!(fast.at(), 0, "{}", text);
            }
        }

        #[test]
        fn floats_read_as_the_library_reads_them(whole in any::<i32>(), decimals in "[0-9]{0,18}", float in any::<f64>()) {
            prop_assume!(float.is_finite());
            let short = if decimals.is_empty() { whole.to_string() } else { format!("{whole}.{decimals}") };
            for text in [short, format!("{float:?}"), format!("{:.1}", float)] {
                let Value::Float(read) = parse(text.as_bytes(), Numbers::Float).unwrap() else { panic!("{text}") };
                prop_assert_eq!(read.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{}", text);
            }
        }

        #[test]
        fn strings_survive(text in any::<String>()) {
            let mut out = Vec::new();
            crate::json::write_string(&text, &mut out);
            prop_assert_eq!(parse(&out, Numbers::Float).unwrap(), Value::str(text));
        }
    }
}

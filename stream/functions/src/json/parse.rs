//! A strict JSON reader over a byte slice. Skipping a value costs no allocation, which is what the row scanner lives on.

use std::sync::Arc;

use super::swar;
use crate::{Map, Value};

/// Deepest nesting that is read; deeper input is an error, not a stack overflow.
pub const MAX_DEPTH: u32 = 300;

/// What a JSON number becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Numbers {
    /// Always a float, eKuiper's default without a schema.
    #[default]
    Float,
    /// Whole numbers become integers (`useInt64ForWholeNumber`).
    WholeAsInt,
}

/// Why a text is not JSON.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum JsonError {
    /// The text ended inside a value.
    #[error("cannot parse JSON: unexpected end of text")]
    End,
    /// A byte that cannot stand here.
    #[error("cannot parse JSON: unexpected byte {1:#04x} at offset {0}")]
    Unexpected(usize, u8),
    /// More text after the value.
    #[error("cannot parse JSON: unexpected tail at offset {0}")]
    Tail(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("cannot parse JSON: nesting deeper than {MAX_DEPTH}")]
    Depth,
    /// A string that is not UTF-8 or has a broken escape.
    #[error("cannot parse JSON: invalid string at offset {0}")]
    Text(usize),
    /// A number outside what a float can hold.
    #[error("cannot parse JSON: invalid number at offset {0}")]
    Number(usize),
}

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

/// Doubles the backslash of unknown escapes and replaces invalid UTF-8.
fn repair(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        out.push(char);
        if char != '\\' {
            continue;
        }
        let rest = &text[at..];
        match rest.as_bytes().get(1) {
            Some(b'u') if unicode(rest).is_some() => {}
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
            _ => out.push('\\'),
        }
        if let Some((_, next)) = chars.next() {
            out.push(next);
        }
    }
    out
}

/// A position in a JSON text.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next byte, if any.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips white space.
    #[inline]
    pub fn blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes the next byte if it is `byte`.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }

    /// Takes `byte` or fails.
    ///
    /// # Errors
    /// Another byte or the end stands here.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Checks that only white space is left.
    ///
    /// # Errors
    /// Something else follows.
    pub fn end(&mut self) -> Result<(), JsonError> {
        self.blank();
        if self.at == self.text.len() { Ok(()) } else { Err(JsonError::Tail(self.at)) }
    }

    /// The error for what stands here.
    pub fn unexpected(&self) -> JsonError {
        self.peek().map_or(JsonError::End, |byte| JsonError::Unexpected(self.at, byte))
    }

    /// Reads a string and answers the raw bytes between its quotes and whether they hold escapes.
    ///
    /// # Errors
    /// No string stands here, it does not end, or it holds a control character.
    #[inline]
    pub fn raw_string(&mut self) -> Result<(&'a [u8], bool), JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => return Err(JsonError::Text(self.at)),
                None => return Err(JsonError::End),
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok((raw, escaped))
    }

    /// Moves to the next quote, backslash or control character, or to the end.
    #[inline]
    fn plain(&mut self) {
        while let Some(word) = swar::word(self.text, self.at) {
            let special = swar::special(word);
            if special != 0 {
                self.at += swar::first(special);
                return;
            }
            self.at += swar::WIDTH;
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
    }

    /// Skips one value of any kind.
    ///
    /// # Errors
    /// The value is not JSON or nested too deeply.
    #[inline]
    pub fn skip(&mut self, depth: u32) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.raw_string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.raw_number().map(|_| ()),
            Some(b'{' | b'[') => self.skip_nested(depth),
            _ => self.word().map(|_| ()),
        }
    }

    fn skip_nested(&mut self, depth: u32) -> Result<(), JsonError> {
        if depth >= MAX_DEPTH {
            return Err(JsonError::Depth);
        }
        if self.peek() == Some(b'{') {
            let mut members = self.members()?;
            while let Some(_key) = self.next_key(&mut members)? {
                self.skip(depth + 1)?;
            }
        } else {
            let mut first = true;
            self.at += 1;
            while self.next_item(&mut first)? {
                self.skip(depth + 1)?;
            }
        }
        Ok(())
    }

    /// Enters an object; then call [`Cursor::next_key`] before each value.
    ///
    /// # Errors
    /// No object starts here.
    #[inline]
    pub fn members(&mut self) -> Result<bool, JsonError> {
        self.expect(b'{')?;
        Ok(true)
    }

    /// The next key of an object as raw bytes with its escape flag, positioned at its value; none at the end of the object.
    ///
    /// # Errors
    /// The object is not JSON.
    #[inline]
    pub fn next_key(&mut self, first: &mut bool) -> Result<Option<(&'a [u8], bool)>, JsonError> {
        self.blank();
        if self.eat(b'}') {
            // `{"a":1,}` is not JSON: a closing brace may follow the opening one or a value, never a comma.
            return Ok(None);
        }
        if !*first {
            self.expect(b',')?;
            self.blank();
        }
        *first = false;
        let key = self.raw_string()?;
        self.blank();
        self.expect(b':')?;
        self.blank();
        Ok(Some(key))
    }

    /// Takes the next key of an object if it is the expected one, given as `"key":`. False changes nothing; the key may still be
    /// there in another guise (white space, escapes), which [`Cursor::next_key`] tells.
    #[inline]
    pub fn next_expected(&mut self, first: &mut bool, expected: &[u8]) -> bool {
        let mut at = self.at;
        if !*first {
            if self.text.get(at) != Some(&b',') {
                return false;
            }
            at += 1;
            at += usize::from(self.text.get(at) == Some(&b' '));
        }
        let hit = self.text.get(at..).is_some_and(|rest| swar::starts_with(rest, expected));
        if hit {
            *first = false;
            self.at = at + expected.len();
            self.blank();
        }
        hit
    }

    /// Moves to the next item of an array; false at its end.
    ///
    /// # Errors
    /// The array is not JSON.
    pub fn next_item(&mut self, first: &mut bool) -> Result<bool, JsonError> {
        self.blank();
        if self.eat(b']') {
            return Ok(false);
        }
        if !*first {
            self.expect(b',')?;
            self.blank();
        }
        *first = false;
        Ok(true)
    }

    /// Reads a number's text.
    ///
    /// # Errors
    /// It does not follow JSON's number grammar.
    #[inline]
    pub fn raw_number(&mut self) -> Result<&'a [u8], JsonError> {
        let start = self.at;
        self.eat(b'-');
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected()),
        }
        if self.eat(b'.') {
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if !self.eat(b'-') {
                self.eat(b'+');
            }
            self.some_digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    #[inline]
    fn digits(&mut self) {
        while let Some(word) = swar::word(self.text, self.at) {
            let other = swar::non_digits(word);
            if other != 0 {
                self.at += swar::first(other);
                return;
            }
            self.at += swar::WIDTH;
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.unexpected()) } else { Ok(()) }
    }

    /// Reads `true`, `false` or `null`.
    ///
    /// # Errors
    /// Another word stands here.
    pub fn word(&mut self) -> Result<Value, JsonError> {
        for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Nil)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected())
    }

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

    /// Reads a string with its escapes resolved.
    ///
    /// # Errors
    /// No valid string stands here.
    pub fn string(&mut self) -> Result<Arc<str>, JsonError> {
        let at = self.at;
        let (raw, escaped) = self.raw_string()?;
        text_of(raw, escaped).ok_or(JsonError::Text(at))
    }

    /// Reads a number of at most 15 digits without exponent: exact by one division (Clinger's fast path). What else stands
    /// here, a number or not, is left to [`Cursor::value`].
    #[inline]
    pub fn short_float(&mut self) -> Option<f64> {
        let negative = self.peek() == Some(b'-');
        let start = self.at + usize::from(negative);
        let (mantissa, digits, decimals) = match swar::decimal(self.text, start) {
            Some(short) => short,
            None => self.long_decimal(start)?,
        };
        let end = start + digits + if decimals == 0 { 0 } else { 1 + decimals };
        let leading_zero = digits > 1 && self.text.get(start) == Some(&b'0');
        let dot = decimals == 0 && self.text.get(end) == Some(&b'.');
        if digits == 0 || leading_zero || dot || matches!(self.text.get(end), Some(b'e' | b'E')) {
            return None;
        }
        self.at = end;
        let float = if decimals == 0 { mantissa as f64 } else { mantissa as f64 / POWERS[decimals] };
        Some(if negative { -float } else { float })
    }

    /// The digits at `start` without their point, and how many stand before and behind it; none of more than 15.
    fn long_decimal(&self, start: usize) -> Option<(u64, usize, usize)> {
        let (whole, digits) = swar::number(self.text, start);
        if digits > 15 {
            return None;
        }
        if self.text.get(start + digits) != Some(&b'.') {
            return Some((whole, digits, 0));
        }
        let (fraction, decimals) = swar::number(self.text, start + digits + 1);
        (digits + decimals <= 15).then(|| (whole * POWERS[decimals] as u64 + fraction, digits, decimals))
    }

    /// Reads a number.
    ///
    /// # Errors
    /// No valid number stands here, or it is too large for a float.
    #[inline]
    pub fn number(&mut self, numbers: Numbers) -> Result<Value, JsonError> {
        if numbers == Numbers::Float
            && let Some(float) = self.short_float()
        {
            return Ok(Value::Float(float));
        }
        let at = self.at;
        let raw = self.raw_number()?;
        if numbers == Numbers::WholeAsInt
            && let Some(int) = int_of(raw)
        {
            return Ok(Value::Int(int));
        }
        float_of(raw).map(Value::Float).ok_or(JsonError::Number(at))
    }
}

/// The text of a raw JSON string; none when it is not UTF-8 or an escape is broken.
pub(crate) fn text_of(raw: &[u8], escaped: bool) -> Option<Arc<str>> {
    let text = std::str::from_utf8(raw).ok()?;
    if escaped { unescape(text).map(Arc::from) } else { Some(Arc::from(text)) }
}

/// An integer literal without fraction and exponent that fits 64 bits.
pub(crate) fn int_of(raw: &[u8]) -> Option<i64> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// The float of a JSON number of any length.
pub(crate) fn float_of(raw: &[u8]) -> Option<f64> {
    let float: f64 = std::str::from_utf8(raw).ok()?.parse().ok()?;
    float.is_finite().then_some(float)
}

/// Powers of ten that a float holds exactly.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.as_bytes().get(at + 1)?;
        let mut used = at + 2;
        match code {
            b'"' | b'\\' | b'/' => out.push(char::from(*code)),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let (char, taken) = unicode(&rest[at..])?;
                out.push(char);
                used = at + taken;
            }
            _ => return None,
        }
        rest = &rest[used..];
    }
    out.push_str(rest);
    Some(out)
}

/// Reads `\uXXXX` or a surrogate pair; a lone surrogate becomes U+FFFD as in Go.
fn unicode(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let hex = text.get(at..at + 6)?.strip_prefix("\\u")?;
        hex.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(hex, 16).ok())?
    };
    let high = unit(0)?;
    if (0xd800..0xdc00).contains(&high)
        && let Some(low) = unit(6).filter(|low| (0xdc00..0xe000).contains(low))
    {
        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return char::from_u32(code).map(|char| (char, 12));
    }
    Some((char::from_u32(high).unwrap_or('\u{fffd}'), 6))
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

//! What Go's `encoding/json` says about a text it cannot read: clients of eKuiper see these sentences.
//!
//! The texts are read with serde; this is asked only about those that serde refuses.

use serde_json::Value;

/// Go's limit of nested objects and arrays.
const MAX_DEPTH: usize = 10_000;

/// How the text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// `json.Unmarshal`: one value and nothing else.
    Unmarshal,
    /// `json.Decoder`: the first value of a stream.
    Decoder,
}

/// The syntax error of a text; none if Go would read it.
pub(crate) fn syntax_error(text: &str, reader: Reader) -> Option<String> {
    let mut scanner = Scanner { state: State::Value, open: Vec::new() };
    for byte in text.bytes() {
        if scanner.is_done() && reader == Reader::Decoder {
            return None;
        }
        if let Err(error) = scanner.step(byte) {
            return Some(error);
        }
    }
    if scanner.is_complete() {
        return None;
    }
    Some(match reader {
        Reader::Unmarshal => "unexpected end of JSON input".into(),
        Reader::Decoder if text.trim().is_empty() => "EOF".into(),
        Reader::Decoder => "unexpected EOF".into(),
    })
}

/// A value of another type than its field has, or than is read if the field has no name; `wanted` is Go's type.
pub(crate) fn mismatch(value: &Value, field: &str, wanted: &str) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let place = if field.is_empty() { "value".to_owned() } else { format!("struct field {field}") };
    format!("json: cannot unmarshal {found} into Go {place} of type {wanted}")
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    /// Behind `[`: a value or `]`.
    ValueOrEnd,
    /// Behind `{`: a key or `}`.
    KeyOrEnd,
    Key,
    Colon,
    /// Behind a value: what its object, its array or the text goes on with.
    After,
    /// In a string; whether it is a key.
    Text(bool),
    Escape(bool),
    /// Hexadecimal digits that are still missing.
    Unicode(bool, u8),
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
    /// In `true`, `false` or `null`: the word and how much of it was read.
    Word(&'static str, usize),
}

/// Go's scanner: one byte after the other.
struct Scanner {
    state: State,
    /// What is open: whether it is an object.
    open: Vec<bool>,
}

impl Scanner {
    /// A value that ends by itself has ended.
    fn is_done(&self) -> bool {
        self.open.is_empty() && self.state == State::After
    }

    /// The text may end here.
    fn is_complete(&self) -> bool {
        let number = matches!(self.state, State::Zero | State::Digits | State::Fraction | State::ExponentDigits);
        self.open.is_empty() && (number || self.state == State::After)
    }

    fn step(&mut self, byte: u8) -> Result<(), String> {
        let space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.state {
            State::Value | State::ValueOrEnd | State::KeyOrEnd | State::Key | State::Colon | State::After if space => {}
            State::ValueOrEnd if byte == b']' => self.close(),
            State::Value | State::ValueOrEnd => self.begin(byte)?,
            State::KeyOrEnd if byte == b'}' => self.close(),
            State::KeyOrEnd | State::Key if byte == b'"' => self.state = State::Text(true),
            State::KeyOrEnd | State::Key => return wrong(byte, "looking for beginning of object key string"),
            State::Colon if byte == b':' => self.state = State::Value,
            State::Colon => return wrong(byte, "after object key"),
            State::After => self.go_on(byte)?,
            State::Text(_) | State::Escape(_) | State::Unicode(..) => self.text(byte)?,
            State::Word(word, read) => match word.as_bytes().get(read) {
                Some(next) if *next == byte && read + 1 == word.len() => self.state = State::After,
                Some(next) if *next == byte => self.state = State::Word(word, read + 1),
                next => {
                    let next = char::from(next.copied().unwrap_or_default());
                    return wrong(byte, &format!("in literal {word} (expecting '{next}')"));
                }
            },
            _ => self.number(byte)?,
        }
        Ok(())
    }

    fn begin(&mut self, byte: u8) -> Result<(), String> {
        self.state = match byte {
            b'{' | b'[' if self.open.len() >= MAX_DEPTH => return Err("exceeded max depth".into()),
            b'{' => {
                self.open.push(true);
                State::KeyOrEnd
            }
            b'[' => {
                self.open.push(false);
                State::ValueOrEnd
            }
            b'"' => State::Text(false),
            b'-' => State::Minus,
            b'0' => State::Zero,
            b'1'..=b'9' => State::Digits,
            b't' => State::Word("true", 1),
            b'f' => State::Word("false", 1),
            b'n' => State::Word("null", 1),
            _ => return wrong(byte, "looking for beginning of value"),
        };
        Ok(())
    }

    fn close(&mut self) {
        self.open.pop();
        self.state = State::After;
    }

    /// Behind a value.
    fn go_on(&mut self, byte: u8) -> Result<(), String> {
        match (self.open.last(), byte) {
            (_, b' ' | b'\t' | b'\r' | b'\n') => self.state = State::After,
            (Some(true), b',') => self.state = State::Key,
            (Some(false), b',') => self.state = State::Value,
            (Some(true), b'}') | (Some(false), b']') => self.close(),
            (Some(true), _) => return wrong(byte, "after object key:value pair"),
            (Some(false), _) => return wrong(byte, "after array element"),
            (None, _) => return wrong(byte, "after top-level value"),
        }
        Ok(())
    }

    fn text(&mut self, byte: u8) -> Result<(), String> {
        self.state = match self.state {
            State::Text(true) if byte == b'"' => State::Colon,
            State::Text(false) if byte == b'"' => State::After,
            State::Text(key) if byte == b'\\' => State::Escape(key),
            State::Text(_) if byte < b' ' => return wrong(byte, "in string literal"),
            State::Escape(key) => match byte {
                b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => State::Text(key),
                b'u' => State::Unicode(key, 4),
                _ => return wrong(byte, "in string escape code"),
            },
            State::Unicode(_, _) if !byte.is_ascii_hexdigit() => {
                return wrong(byte, "in \\u hexadecimal character escape");
            }
            State::Unicode(key, 1) => State::Text(key),
            State::Unicode(key, left) => State::Unicode(key, left - 1),
            state => state,
        };
        Ok(())
    }

    fn number(&mut self, byte: u8) -> Result<(), String> {
        self.state = match (self.state, byte) {
            (State::Minus, b'0') => State::Zero,
            (State::Minus | State::Digits, b'0'..=b'9') => State::Digits,
            (State::Minus, _) => return wrong(byte, "in numeric literal"),
            (State::Zero | State::Digits, b'.') => State::Point,
            (State::Point | State::Fraction, b'0'..=b'9') => State::Fraction,
            (State::Point, _) => return wrong(byte, "after decimal point in numeric literal"),
            (State::Zero | State::Digits | State::Fraction, b'e' | b'E') => State::Exponent,
            (State::Exponent, b'+' | b'-') => State::ExponentSign,
            (State::Exponent | State::ExponentSign | State::ExponentDigits, b'0'..=b'9') => State::ExponentDigits,
            (State::Exponent | State::ExponentSign, _) => return wrong(byte, "in exponent of numeric literal"),
            _ => return self.go_on(byte),
        };
        Ok(())
    }
}

/// `invalid character 'x' CONTEXT`, the character as Go quotes a byte.
fn wrong(byte: u8, context: &str) -> Result<(), String> {
    let quoted = match byte {
        b'\'' => "\\'".to_owned(),
        b'"' => "\"".to_owned(),
        b'\\' => "\\\\".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        0x07 => "\\a".to_owned(),
        0x08 => "\\b".to_owned(),
        0x0b => "\\v".to_owned(),
        0x0c => "\\f".to_owned(),
        0..=0x1f | 0x7f => format!("\\x{byte:02x}"),
        0x80..=0x9f | 0xa0 | 0xad => format!("\\u{byte:04x}"),
        _ => char::from(byte).to_string(),
    };
    Err(format!("invalid character '{quoted}' {context}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn faults_are_named_as_in_go() {
        for (text, unmarshal, decoder) in [
            ("", "unexpected end of JSON input", "EOF"),
            (" \n", "unexpected end of JSON input", "EOF"),
            ("{\"id\":", "unexpected end of JSON input", "unexpected EOF"),
            ("hello", "invalid character 'h' looking for beginning of value", ""),
            ("{id:1}", "invalid character 'i' looking for beginning of object key string", ""),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string", ""),
            ("{\"a\" 1}", "invalid character '1' after object key", ""),
            ("{\"a\":1 \"b\":2}", "invalid character '\"' after object key:value pair", ""),
            ("[1 2]", "invalid character '2' after array element", ""),
            ("[1,]", "invalid character ']' looking for beginning of value", ""),
            ("tru3", "invalid character '3' in literal true (expecting 'e')", ""),
            ("[-x]", "invalid character 'x' in numeric literal", ""),
            ("[1.]", "invalid character ']' after decimal point in numeric literal", ""),
            ("[1e]", "invalid character ']' in exponent of numeric literal", ""),
            ("[01]", "invalid character '1' after array element", ""),
            ("\"a\tb\"", "invalid character '\\t' in string literal", ""),
            ("\"\\x\"", "invalid character 'x' in string escape code", ""),
            ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape", ""),
            ("é", "invalid character 'Ã' looking for beginning of value", ""),
            ("'", "invalid character '\\'' looking for beginning of value", ""),
            ("-", "unexpected end of JSON input", "unexpected EOF"),
        ] {
            assert_eq!(syntax_error(text, Reader::Unmarshal).as_deref(), Some(unmarshal), "{text}");
            let decoder = if decoder.is_empty() { unmarshal } else { decoder };
            assert_eq!(syntax_error(text, Reader::Decoder).as_deref(), Some(decoder), "{text}");
        }
        for (text, unmarshal) in [
            ("{} x", "invalid character 'x' after top-level value"),
            ("1 2", "invalid character '2' after top-level value"),
        ] {
            assert_eq!(syntax_error(text, Reader::Unmarshal).as_deref(), Some(unmarshal));
            assert_eq!(syntax_error(text, Reader::Decoder), None);
        }
        let nested = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(syntax_error(&nested, Reader::Unmarshal).as_deref(), Some("exceeded max depth"));
    }

    proptest! {
        #[test]
        fn agrees_with_serde(text in "[\\[\\]{}:,\"0-9a-z.eE+\\-\\\\ \\n]{0,24}") {
            let known = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(syntax_error(&text, Reader::Unmarshal).is_none(), known, "{}", text);
        }

        #[test]
        fn any_text_is_answered(text in ".*") {
            let _ = (syntax_error(&text, Reader::Unmarshal), syntax_error(&text, Reader::Decoder));
        }

        #[test]
        fn json_is_json(numbers in proptest::collection::vec(any::<f64>(), 0..5), word in ".*") {
            let text = serde_json::json!({"a": numbers, "b": {"c": word, "d": [null, true, {}, []]}}).to_string();
            prop_assert_eq!(syntax_error(&text, Reader::Unmarshal), None);
        }
    }
}

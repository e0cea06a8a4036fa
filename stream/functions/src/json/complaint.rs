//! What Go's `encoding/json` says of text that is not JSON.

/// Nesting up to which the reason is looked for.
const MAX_DEPTH: u32 = 512;

/// The error of `json.Unmarshal`; none if the text is JSON after all or the reason is another.
pub fn complaint(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0 };
    match scanner.value(0) {
        Err(Wrong::Text(text)) => Some(text),
        Err(Wrong::End) => Some("unexpected end of JSON input".to_string()),
        Err(Wrong::Depth) => None,
        Ok(()) => {
            scanner.blank();
            let char = scanner.peek()?;
            Some(format!("invalid character {} after top-level value", quoted(char)))
        }
    }
}

enum Wrong {
    Text(String),
    End,
    Depth,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

/// A character as Go quotes it; bytes beyond ASCII are taken for Latin-1.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_string(),
        b'"' => "'\"'".to_string(),
        b'\n' => "'\\n'".to_string(),
        b'\r' => "'\\r'".to_string(),
        b'\t' => "'\\t'".to_string(),
        b'\\' => "'\\\\'".to_string(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte is wrong there.
    fn wrong<T>(&self, place: &str) -> Result<T, Wrong> {
        Err(self.peek().map_or(Wrong::End, |byte| Wrong::Text(format!("invalid character {} {place}", quoted(byte)))))
    }

    fn eat(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        self.at += usize::from(hit);
        hit
    }

    fn value(&mut self, depth: u32) -> Result<(), Wrong> {
        if depth > MAX_DEPTH {
            return Err(Wrong::Depth);
        }
        self.blank();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.wrong("looking for beginning of value"),
        }
    }

    fn object(&mut self, depth: u32) -> Result<(), Wrong> {
        self.at += 1;
        self.blank();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            self.blank();
            if self.peek() != Some(b'"') {
                return self.wrong("looking for beginning of object key string");
            }
            self.string()?;
            self.blank();
            if !self.eat(b':') {
                return self.wrong("after object key");
            }
            self.value(depth + 1)?;
            self.blank();
            if self.eat(b'}') {
                return Ok(());
            }
            if !self.eat(b',') {
                return self.wrong("after object key:value pair");
            }
        }
    }

    fn array(&mut self, depth: u32) -> Result<(), Wrong> {
        self.at += 1;
        self.blank();
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.blank();
            if self.eat(b']') {
                return Ok(());
            }
            if !self.eat(b',') {
                return self.wrong("after array element");
            }
        }
    }

    fn string(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    self.escape()?;
                }
                0..=0x1f => return self.wrong("in string literal"),
                _ => self.at += 1,
            }
        }
        Err(Wrong::End)
    }

    fn escape(&mut self) -> Result<(), Wrong> {
        match self.peek() {
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.wrong("in \\u hexadecimal character escape");
                    }
                    self.at += 1;
                }
                Ok(())
            }
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => {
                self.at += 1;
                Ok(())
            }
            _ => self.wrong("in string escape code"),
        }
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at > start
    }

    fn number(&mut self) -> Result<(), Wrong> {
        self.eat(b'-');
        if !self.eat(b'0') && !self.digits() {
            return self.wrong("in numeric literal");
        }
        if self.eat(b'.') && !self.digits() {
            return self.wrong("after decimal point in numeric literal");
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            if !self.digits() {
                return self.wrong("in exponent of numeric literal");
            }
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Wrong> {
        for expected in word.bytes() {
            if !self.eat(expected) {
                return self.wrong(&format!("in literal {word} (expecting {})", quoted(expected)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complains_as_go_does() {
        for (text, expect) in [
            ("", "unexpected end of JSON input"),
            ("{\"a\":", "unexpected end of JSON input"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("1 x", "invalid character 'x' after top-level value"),
            ("trux", "invalid character 'x' in literal true (expecting 'e')"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            (r#""\x""#, "invalid character 'x' in string escape code"),
            (r#""\u12x""#, "invalid character 'x' in \\u hexadecimal character escape"),
            ("ü", "invalid character 'Ã' looking for beginning of value"),
        ] {
            assert_eq!(complaint(text.as_bytes()).unwrap(), expect, "{text}");
        }
        for text in ["1", " {\"a\": [1, \"x\", null]} ", "-0.5e+3"] {
            assert_eq!(complaint(text.as_bytes()), None, "{text}");
        }
    }
}

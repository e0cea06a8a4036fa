//! Text to tokens, by the rules of Go's `text/template/parse` lexer.

mod token;

pub(crate) use token::{Kind, Token};

/// A lexical error: where it began and Go's text.
#[derive(Debug)]
pub(crate) struct LexError {
    pub(crate) line: usize,
    pub(crate) text: String,
}

pub(crate) struct Lexer<'a> {
    source: &'a str,
    pos: usize,
    start: usize,
    line: usize,
    /// How far `line` has been counted.
    counted: usize,
    inside: bool,
    parens: usize,
}

type Lexed = Result<Token, LexError>;

impl<'a> Lexer<'a> {
    pub(crate) fn new(source: &'a str) -> Lexer<'a> {
        Lexer { source, pos: 0, start: 0, line: 1, counted: 0, inside: false, parens: 0 }
    }

    pub(crate) fn next_token(&mut self) -> Lexed {
        self.start = self.pos;
        if self.inside { self.action() } else { self.text() }
    }

    fn rest(&self) -> &'a str {
        &self.source[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.pos += char.len_utf8();
        Some(char)
    }

    fn line_at(&mut self, pos: usize) -> usize {
        let from = self.counted.min(pos);
        self.line += self.source.as_bytes()[from..pos].iter().filter(|byte| **byte == b'\n').count();
        self.counted = self.counted.max(pos);
        self.line
    }

    fn emit(&mut self, kind: Kind) -> Lexed {
        let line = self.line_at(self.start);
        Ok(Token { kind, pos: self.start, end: self.pos, line })
    }

    fn fail(&mut self, text: impl Into<String>) -> Lexed {
        let line = self.line_at(self.start);
        Err(LexError { line, text: text.into() })
    }

    fn text(&mut self) -> Lexed {
        loop {
            let Some(offset) = self.rest().find("{{") else {
                self.pos = self.source.len();
                return self.emit(if self.pos > self.start { Kind::Text } else { Kind::Eof });
            };
            if offset > 0 {
                let delim = self.pos + offset;
                let piece = &self.source[self.pos..delim];
                let kept = if left_marker(&self.source[delim + 2..]) { piece.trim_end_matches(space) } else { piece };
                let token = Token { kind: Kind::Text, pos: self.start, end: self.pos + kept.len(), line: 0 };
                self.pos = delim;
                if !kept.is_empty() {
                    let line = self.line_at(self.start);
                    return Ok(Token { line, ..token });
                }
                self.start = self.pos;
            }
            let marker = if left_marker(&self.source[self.pos + 2..]) { 2 } else { 0 };
            self.pos += 2;
            if self.source[self.pos + marker..].starts_with("/*") {
                self.pos += marker;
                self.start = self.pos;
                if let Some(error) = self.comment() {
                    return error;
                }
                self.start = self.pos;
                continue;
            }
            let token = self.emit(Kind::LeftDelim);
            self.pos += marker;
            self.inside = true;
            self.parens = 0;
            return token;
        }
    }

    fn comment(&mut self) -> Option<Lexed> {
        let Some(length) = self.source[self.pos + 2..].find("*/") else {
            return Some(self.fail("unclosed comment"));
        };
        self.pos += 2 + length + 2;
        let Some(trim) = self.right_delim() else {
            return Some(self.fail("comment ends before closing delimiter"));
        };
        self.close(trim);
        None
    }

    /// Whether an action ends here, and if so whether it trims.
    fn right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if right_marker(rest) && rest[2..].starts_with("}}") {
            Some(true)
        } else {
            rest.starts_with("}}").then_some(false)
        }
    }

    fn close(&mut self, trim: bool) {
        self.pos += if trim { 4 } else { 2 };
        if trim {
            self.pos += self.rest().len() - self.rest().trim_start_matches(space).len();
        }
    }

    fn end_action(&mut self, trim: bool) -> Lexed {
        if trim {
            self.start += 2;
        }
        let start = self.start;
        self.close(trim);
        self.inside = false;
        let line = self.line_at(start);
        Ok(Token { kind: Kind::RightDelim, pos: start, end: start + 2, line })
    }

    fn action(&mut self) -> Lexed {
        if let Some(trim) = self.right_delim() {
            return if self.parens == 0 { self.end_action(trim) } else { self.fail("unclosed left paren") };
        }
        let Some(char) = self.next() else { return self.fail("unclosed action") };
        match char {
            _ if space(char) => self.spaces(),
            '=' => self.emit(Kind::Assign),
            ':' if self.next() == Some('=') => self.emit(Kind::Declare),
            ':' => self.fail("expected :="),
            '|' => self.emit(Kind::Pipe),
            '"' => self.quote('"', Kind::String, "unterminated quoted string"),
            '\'' => self.quote('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => match self.rest().find('`') {
                Some(length) => {
                    self.pos += length + 1;
                    self.emit(Kind::RawString)
                }
                None => self.fail("unterminated raw quoted string"),
            },
            '$' => self.name(Kind::Variable, Kind::Variable),
            '.' if !self.rest().starts_with(|char: char| char.is_ascii_digit()) => self.name(Kind::Field, Kind::Dot),
            '.' | '+' | '-' | '0'..='9' => {
                self.pos = self.start;
                self.number()
            }
            _ if alphanumeric(char) => self.identifier(),
            '(' => {
                self.parens += 1;
                self.emit(Kind::LeftParen)
            }
            ')' if self.parens == 0 => self.fail("unexpected right paren"),
            ')' => {
                self.parens -= 1;
                self.emit(Kind::RightParen)
            }
            ' '..='~' => self.emit(Kind::Char),
            _ => self.fail(format!("unrecognized character in action: {}", code_point(char))),
        }
    }

    fn spaces(&mut self) -> Lexed {
        while self.peek().is_some_and(space) {
            self.next();
        }
        // A space before `-}}` belongs to the delimiter; all white space is one byte wide.
        let before = &self.source[self.pos - 1..];
        if right_marker(before) && before[2..].starts_with("}}") {
            self.pos -= 1;
            if self.pos == self.start {
                return if self.parens == 0 { self.end_action(true) } else { self.fail("unclosed left paren") };
            }
        }
        self.emit(Kind::Space)
    }

    fn quote(&mut self, end: char, kind: Kind, unterminated: &str) -> Lexed {
        loop {
            match self.next() {
                Some('\\') => match self.next() {
                    None | Some('\n') => return self.fail(unterminated),
                    _ => {}
                },
                None | Some('\n') => return self.fail(unterminated),
                Some(char) if char == end => return self.emit(kind),
                _ => {}
            }
        }
    }

    fn name(&mut self, kind: Kind, bare: Kind) -> Lexed {
        if self.at_terminator() {
            return self.emit(bare);
        }
        while self.peek().is_some_and(alphanumeric) {
            self.next();
        }
        if self.at_terminator() { self.emit(kind) } else { self.bad_character() }
    }

    fn identifier(&mut self) -> Lexed {
        while self.peek().is_some_and(alphanumeric) {
            self.next();
        }
        if !self.at_terminator() {
            return self.bad_character();
        }
        let word = &self.source[self.start..self.pos];
        match word {
            "true" | "false" => self.emit(Kind::Bool),
            _ => self.emit(Kind::keyword(word).unwrap_or(Kind::Identifier)),
        }
    }

    fn bad_character(&mut self) -> Lexed {
        let char = self.peek().map_or_else(|| "U+FFFFFFFFFFFFFFFF".into(), code_point);
        self.fail(format!("bad character {char}"))
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(char) => space(char) || self.rest().starts_with("}}"),
        }
    }

    fn number(&mut self) -> Lexed {
        let mut kind = Kind::Number;
        let mut good = self.scan_number();
        if good && matches!(self.peek(), Some('+' | '-')) {
            good = self.scan_number() && self.source[..self.pos].ends_with('i');
            kind = Kind::Complex;
        }
        if good {
            return self.emit(kind);
        }
        let text = crate::gofmt::quoted(&self.source[self.start..self.pos]);
        self.fail(format!("bad number syntax: {text}"))
    }

    fn accept(&mut self, set: &str) -> bool {
        let hit = self.peek().is_some_and(|char| set.contains(char));
        if hit {
            self.pos += 1;
        }
        hit
    }

    fn run(&mut self, set: &str) {
        while self.accept(set) {}
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.run(digits);
        if self.accept(".") {
            self.run(digits);
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(exponent) {
            self.accept("+-");
            self.run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}

pub(crate) fn space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\r' | '\n')
}

fn alphanumeric(char: char) -> bool {
    char == '_' || char.is_alphabetic() || char.is_numeric()
}

fn left_marker(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 2 && bytes[0] == b'-' && space(bytes[1] as char)
}

fn right_marker(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 2 && space(bytes[0] as char) && bytes[1] == b'-'
}

/// Go's `%#U`.
pub(crate) fn code_point(char: char) -> String {
    let code = char as u32;
    if char.is_control() { format!("U+{code:04X}") } else { format!("U+{code:04X} '{char}'") }
}

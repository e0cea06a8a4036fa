//! Text to tokens, by eKuiper's rules (`-` belongs to a number only in prefix position, both quotes are strings).

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// An identifier; the flag tells back-quotes, which keep it from being a contextual word.
    Ident(String, bool),
    Keyword(Keyword),
    Str(String),
    Int(i64),
    Number(f64),
    /// An operator or mark.
    Mark(&'static str),
    /// A literal that is broken, with what is wrong.
    Broken(&'static str),
    /// A character with no meaning.
    Unknown,
    End,
}

macro_rules! keywords {
    ($($name:ident $text:literal),* $(,)?) => {
        /// Words that cannot be identifiers unless back-quoted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Keyword { $($name),* }

        const KEYWORDS: &[(&str, Keyword)] = &[$(($text, Keyword::$name)),*];
    };
}

keywords! {
    Select "SELECT", As "AS", From "FROM", Where "WHERE", And "AND", Or "OR", Group "GROUP", Having "HAVING", Order "ORDER", By "BY",
    Desc "DESC", Asc "ASC", Filter "FILTER", Inner "INNER", Left "LEFT", Right "RIGHT", Full "FULL", Cross "CROSS", Join "JOIN",
    On "ON", Case "CASE", When "WHEN", Then "THEN", Default "DEFAULT", Else "ELSE", End "END", In "IN", Not "NOT",
    Between "BETWEEN", Like "LIKE", Over "OVER", Partition "PARTITION", Replace "REPLACE", Except "EXCEPT",
    Invisible "INVISIBLE", True "TRUE", False "FALSE", Dd "DD", Hh "HH", Mi "MI", Ss "SS", Ms "MS", Limit "LIMIT",
}

/// Whether a word must be back-quoted to be an identifier.
pub fn is_keyword(word: &str) -> bool {
    keyword(word).is_some()
}

fn keyword(word: &str) -> Option<Keyword> {
    KEYWORDS.iter().find(|(text, _)| text.eq_ignore_ascii_case(word)).map(|(_, keyword)| *keyword)
}

/// Splits `text` into tokens; the last is [`Kind::End`].
pub(crate) fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: 0, tokens: Vec::new() };
    loop {
        lexer.blank();
        let start = lexer.at;
        let kind = lexer.next();
        let ended = kind == Kind::End;
        lexer.tokens.push(Token { kind, start, end: lexer.at });
        if ended {
            return lexer.tokens;
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Skips white space and comments. An unclosed block comment runs to the end.
    fn blank(&mut self) {
        loop {
            match (self.peek(0), self.peek(1)) {
                (b' ' | b'\t' | b'\r' | b'\n', _) => self.at += 1,
                (b'-', b'-') => self.skip_to("\n"),
                (b'/', b'*') => self.skip_to("*/"),
                _ => return,
            }
        }
    }

    fn skip_to(&mut self, end: &str) {
        let rest = &self.text[self.at + 2..];
        self.at += 2 + rest.find(end).map_or(rest.len(), |found| found + end.len());
    }

    fn next(&mut self) -> Kind {
        let Some(byte) = self.bytes.get(self.at).copied() else { return Kind::End };
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => self.word(),
            b'`' => self.back_quoted(),
            b'"' | b'\'' => self.string(byte),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_ascii_digit() && !self.after_operand() => self.number(),
            b'-' if self.starts_number_after_minus() => self.number(),
            _ => self.mark(byte),
        }
    }

    fn starts_number_after_minus(&self) -> bool {
        let digit = self.peek(1).is_ascii_digit() || (self.peek(1) == b'.' && self.peek(2).is_ascii_digit());
        digit && !self.after_operand()
    }

    /// Whether the token before is something an infix operator can follow.
    fn after_operand(&self) -> bool {
        match self.tokens.last().map(|token| &token.kind) {
            Some(Kind::Ident(..) | Kind::Str(_) | Kind::Int(_) | Kind::Number(_) | Kind::Broken(_)) => true,
            Some(Kind::Mark(mark)) => matches!(*mark, ")" | "]"),
            Some(Kind::Keyword(keyword)) => matches!(keyword, Keyword::True | Keyword::False | Keyword::End),
            _ => false,
        }
    }

    fn word(&mut self) -> Kind {
        let start = self.at;
        while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == b'_' {
            self.at += 1;
        }
        let word = &self.text[start..self.at];
        keyword(word).map_or_else(|| Kind::Ident(word.to_string(), false), Kind::Keyword)
    }

    fn back_quoted(&mut self) -> Kind {
        let rest = &self.text[self.at + 1..];
        let Some(length) = rest.find('`') else {
            self.at = self.bytes.len();
            return Kind::Broken("identifier, the closing back-quote is missing");
        };
        self.at += length + 2;
        if length == 0 {
            Kind::Broken("identifier, it is empty")
        } else {
            Kind::Ident(rest[..length].to_string(), true)
        }
    }

    fn number(&mut self) -> Kind {
        let start = self.at;
        self.at += usize::from(self.peek(0) == b'-');
        let mut point = false;
        while self.peek(0).is_ascii_digit() || (self.peek(0) == b'.' && !point && self.peek(1) != b'.') {
            point |= self.peek(0) == b'.';
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        if point {
            text.parse().ok().filter(|float: &f64| float.is_finite()).map_or(Kind::Broken("number value"), Kind::Number)
        } else {
            text.parse().map_or(Kind::Broken("integer value"), Kind::Int)
        }
    }

    fn string(&mut self, quote: u8) -> Kind {
        let mut text = String::new();
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let Some(char) = rest.chars().next() else { return Kind::Broken("string, the closing quote is missing") };
            self.at += char.len_utf8();
            match char {
                '\\' => match self.escape() {
                    Some(char) => text.push(char),
                    None => {
                        self.skip_to_closing(quote);
                        return Kind::Broken("string, it has an unknown escape");
                    }
                },
                '\n' => {
                    self.skip_to_closing(quote);
                    return Kind::Broken("string, it has a line break");
                }
                _ if char == char::from(quote) => return Kind::Str(text),
                _ => text.push(char),
            }
        }
    }

    fn skip_to_closing(&mut self, quote: u8) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| *byte == quote).map_or(rest.len(), |found| found + 1);
    }

    /// Go's escapes, after the backslash.
    fn escape(&mut self) -> Option<char> {
        let code = self.peek(0);
        let (digits, radix) = match code {
            b'x' => (2, 16),
            b'u' => (4, 16),
            b'U' => (8, 16),
            b'0'..=b'7' => (3, 8),
            _ => {
                let char = match code {
                    b'a' => '\u{7}',
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    b'v' => '\u{b}',
                    b'\\' | b'"' | b'\'' => char::from(code),
                    _ => return None,
                };
                self.at += 1;
                return Some(char);
            }
        };
        let from = self.at + usize::from(radix == 16);
        let text = self.text.get(from..from + digits)?;
        let code =
            text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(text, radix).ok())??;
        self.at = from + digits;
        char::from_u32(code)
    }

    fn mark(&mut self, byte: u8) -> Kind {
        self.at += 1;
        let mark = match byte {
            b'+' => "+",
            b'-' if self.peek(0) == b'>' => {
                self.at += 1;
                "->"
            }
            b'-' => "-",
            b'*' => "*",
            b'/' => "/",
            b'%' => "%",
            b'&' => "&",
            b'|' => "|",
            b'^' => "^",
            b'=' => "=",
            // A lone exclamation mark means "=" in eKuiper.
            b'!' if self.then_equals() => "!=",
            b'!' => "=",
            b'<' if self.then_equals() => "<=",
            b'<' => "<",
            b'>' if self.then_equals() => ">=",
            b'>' => ">",
            b'.' => ".",
            b'[' => "[",
            b']' => "]",
            b'(' => "(",
            b')' => ")",
            b',' => ",",
            b':' => ":",
            b';' => ";",
            b'#' => "#",
            _ => {
                // Step over the whole character, so that spans stay on boundaries.
                let rest = &self.text[self.at - 1..];
                self.at += rest.chars().next().map_or(1, char::len_utf8) - 1;
                return Kind::Unknown;
            }
        };
        Kind::Mark(mark)
    }

    /// Takes an equals sign, which blanks may precede.
    fn then_equals(&mut self) -> bool {
        let blanks =
            self.bytes[self.at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        let found = self.peek(blanks) == b'=';
        if found {
            self.at += blanks + 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let shown: Vec<String> = lex(text)
            .iter()
            .map(|token| match &token.kind {
                Kind::Ident(name, false) => name.clone(),
                Kind::Ident(name, true) => format!("`{name}`"),
                Kind::Keyword(keyword) => format!("{keyword:?}").to_uppercase(),
                Kind::Str(text) => format!("{text:?}"),
                Kind::Int(int) => int.to_string(),
                Kind::Number(float) => format!("{float:?}"),
                Kind::Mark(mark) => (*mark).to_string(),
                Kind::Broken(what) => format!("<{what}>"),
                Kind::Unknown => "?".into(),
                Kind::End => "$".into(),
            })
            .collect();
        assert_eq!(shown.join(" "), expect, "{text}");
    }

    #[test]
    fn lexes() {
        check("select a_1 FROM `x y` -- c\n/* d */ limit 3", "SELECT a_1 FROM `x y` LIMIT 3 $");
        check("a-1 a - 1 -1 (-1) a[-1] .5 -.5 1.25", "a - 1 a - 1 - 1 ( -1 ) a [ -1 ] . 5 - 0.5 1.25 $");
        check("(.5, -.5)", "( 0.5 , -0.5 ) $");
        check("! = < = > = ! <> ->", "!= <= >= = < > -> $");
        check(r#""a\"b" 'it\'s' '"' "\u00e9\x41\101""#, r#""a\"b" "it's" "\"" "éAA" $"#);
        check("\"a", "<string, the closing quote is missing> $");
        check(r#""\q" b"#, "<string, it has an unknown escape> b $");
        check("99999999999999999999", "<integer value> $");
        check("_a $ é", "? a ? ? $");
        check("``", "<identifier, it is empty> $");
        check("-9223372036854775808", "-9223372036854775808 $");
        check("-- only", "$");
        check("/* open", "$");
    }
}

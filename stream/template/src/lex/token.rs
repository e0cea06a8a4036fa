//! The tokens of a template and how error texts show them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

impl Kind {
    pub(super) fn keyword(word: &str) -> Option<Kind> {
        Some(match word {
            "block" => Kind::Block,
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "define" => Kind::Define,
            "else" => Kind::Else,
            "end" => Kind::End,
            "if" => Kind::If,
            "nil" => Kind::Nil,
            "range" => Kind::Range,
            "template" => Kind::Template,
            "with" => Kind::With,
            _ => return None,
        })
    }

    /// Keywords and the dot are shown in angle brackets in error texts.
    fn is_keyword(self) -> bool {
        self as u8 >= Kind::Block as u8
    }
}

/// A token: its text is `source[pos..end]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) pos: usize,
    pub(crate) end: usize,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn text<'a>(&self, source: &'a str) -> &'a str {
        &source[self.pos..self.end]
    }

    /// The token as Go's error texts show it.
    pub(crate) fn show(&self, source: &str) -> String {
        let text = self.text(source);
        if self.kind == Kind::Eof {
            "EOF".into()
        } else if self.kind.is_keyword() {
            format!("<{text}>")
        } else if text.len() > 10 {
            let cut: String = text.chars().take(10).collect();
            format!("{}...", crate::gofmt::quoted(&cut))
        } else {
            crate::gofmt::quoted(text)
        }
    }
}

//! Why a text is no statement.

use std::fmt::{self, Display, Formatter};

/// An error of the parser, in eKuiper's words.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum SqlError {
    /// Something else should stand here.
    #[error("found {}, expected {expected}.", Quoted(found))]
    Expected {
        /// The text that stands there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// The same in definitions.
    #[error("found {}, expect {expect}.", Quoted(found))]
    Expect {
        /// The text that stands there.
        found: String,
        /// What may stand there.
        expect: &'static str,
    },
    /// A statement that begins with no known word.
    #[error("Found {}, Expected SELECT.\n", Quoted(.0))]
    Statement(String),
    /// A broken literal.
    #[error("found {}, invalid {what}.", Quoted(found))]
    Literal {
        /// The text that stands there.
        found: String,
        /// What it should be.
        what: &'static str,
    },
    /// A clause that does not make sense.
    #[error("{0}")]
    Clause(String),
    /// Too deep to be read safely.
    #[error("expression nested too deeply, at most {0} levels are allowed")]
    Nesting(usize),
}

/// A result with a parser error.
pub(crate) type Result<T> = std::result::Result<T, SqlError>;

/// Text as Go's `%q` prints it.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("\"")?;
        for char in self.0.chars() {
            match char {
                '"' => out.write_str("\\\"")?,
                '\\' => out.write_str("\\\\")?,
                '\u{7}' => out.write_str("\\a")?,
                '\u{8}' => out.write_str("\\b")?,
                '\u{c}' => out.write_str("\\f")?,
                '\n' => out.write_str("\\n")?,
                '\r' => out.write_str("\\r")?,
                '\t' => out.write_str("\\t")?,
                '\u{b}' => out.write_str("\\v")?,
                char if char.is_ascii_control() => write!(out, "\\x{:02x}", char as u32)?,
                char if char.is_control() => write!(out, "\\u{:04x}", char as u32)?,
                char => write!(out, "{char}")?,
            }
        }
        out.write_str("\"")
    }
}

//! Why a text is no statement.

use crate::quote::Quoted;

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

//! Why a text is no statement.

/// An error of the parser, in eKuiper's words.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum SqlError {
    /// Something else should stand here.
    #[error("found {found:?}, expected {expected}.")]
    Expected {
        /// The text that stands there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A statement that begins with no known word.
    #[error("Found {0:?}, Expected SELECT.")]
    Statement(String),
    /// A broken literal.
    #[error("found {0:?}, invalid {1}.")]
    Literal(String, &'static str),
    /// A clause that does not make sense.
    #[error("{0}")]
    Clause(String),
    /// Too deep to be read safely.
    #[error("expression nested too deeply, at most {0} levels are allowed")]
    Nesting(usize),
}

/// A result with a parser error.
pub(crate) type Result<T> = std::result::Result<T, SqlError>;

//! Run-time and planning errors of expressions, in eKuiper's words.

use crate::Value;
use crate::format::GoText;

/// Why an expression has no value for a row, or cannot be planned.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// An operator between types it is not defined for.
    #[error("{0}")]
    Operation(Box<str>),
    /// `/` or `%` by zero.
    #[error("divided by zero")]
    DividedByZero,
    /// A function that cannot work with its arguments.
    #[error("{0}")]
    Call(Box<str>),
}

impl Error {
    /// A function's error.
    pub fn call(text: impl Into<Box<str>>) -> Error {
        Error::Call(text.into())
    }

    /// `invalid operation T(v) op T(v)`.
    pub fn operation(left: &Value, op: &str, right: &Value) -> Error {
        let text = format!(
            "invalid operation {}({}) {op} {}({})",
            left.type_name(),
            GoText(left),
            right.type_name(),
            GoText(right)
        );
        Error::Operation(text.into())
    }
}

/// A result with an expression error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

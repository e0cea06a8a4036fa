//! Why a text is not JSON.

use super::MAX_DEPTH;

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

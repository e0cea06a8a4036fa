//! Why a connector cannot be made.

/// A property or connector that does not work. The text reaches the user through REST.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ConnectError {
    /// No source of this type.
    #[error("source {0} not found")]
    UnknownSource(String),
    /// No sink of this type.
    #[error("sink {0} not found")]
    UnknownSink(String),
    /// No lookup table of this type.
    #[error("lookup source {0} not found")]
    UnknownLookup(String),
    /// No format of this name.
    #[error("format {0} is not supported; use json, delimited, urlencoded, binary or protobuf")]
    UnknownFormat(String),
    /// A property has the wrong type, in the words of eKuiper's decoder.
    #[error("'{key}' expected type '{expected}', got unconvertible type '{found}', value: '{value}'")]
    WrongType {
        /// The property.
        key: String,
        /// Go's name of the type it should have.
        expected: &'static str,
        /// Go's name of the type it has.
        found: &'static str,
        /// The value as JSON or text.
        value: String,
    },
    /// A property without which nothing works.
    #[error("{0} is required")]
    Missing(&'static str),
    /// A value that makes no sense.
    #[error("invalid value for {key}: {reason}")]
    Invalid {
        /// The property.
        key: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A property eKuiper has and this version does not.
    #[error("property {0} is not supported by this version; remove it")]
    Unsupported(String),
    /// A named connection that cannot be had, in eKuiper's words.
    #[error("{0}")]
    Connection(String),
    /// A peer that does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// An external service that cannot be kept or used.
    #[error("{0}")]
    Service(String),
    /// No external service or function of one has this name.
    #[error("{0}")]
    UnknownService(String),
    /// A schema that cannot be kept or used.
    #[error("{0}")]
    Schema(String),
    /// The connector needs something this program does not have.
    #[error("{0}")]
    NotHere(&'static str),
}

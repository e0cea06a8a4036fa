//! The one error type of this room.

/// Why a message or frame could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not an envelope: bad JSON, a missing `header.msg_id`, or a field of the wrong type.
    #[error("message is not a link envelope: {0}")]
    Envelope(#[source] serde_json::Error),
    /// The content could not be written as JSON, or is not what its reader expects.
    #[error("message content of {resource:?} is not usable: {source}")]
    Content {
        /// `route.resource` of the message, or the name of what was being encoded.
        resource: String,
        /// The JSON error.
        source: serde_json::Error,
    },
    /// A frame ended before the field that was being read.
    #[error("frame ends inside {0}")]
    Truncated(&'static str),
    /// A length, count or size is above its limit.
    #[error("{what} is {value}, above the limit of {limit}")]
    TooLarge {
        /// The limited thing.
        what: &'static str,
        /// What the peer sent; for a stream that was cut off, the limit plus one.
        value: u64,
        /// The limit, see [`crate::Limits`].
        limit: u64,
    },
    /// A field holds a value that this version does not know.
    #[error("frame has an unknown {what}: {value}")]
    Unknown {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// Bytes follow the last field.
    #[error("{0} bytes follow the end of the frame")]
    Trailing(usize),
    /// A field that must be text is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
    /// The compressed body could not be read or written.
    #[error("compressed frame body is not readable: {0}")]
    Compression(#[source] std::io::Error),
}

//! Reading container logs.

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::Error;

/// Which part of a log is wanted, as in `kubectl logs`.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Go on with what is written from now on, until the container ends.
    pub follow: bool,
    /// Only this many lines from the end.
    pub tail: Option<usize>,
    /// Only lines written at or after this time, nanoseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Put the time before each line.
    pub timestamps: bool,
    /// The log of the container's previous instance.
    pub previous: bool,
    /// End after this many bytes.
    pub limit_bytes: Option<usize>,
}

/// The text of a log in pieces of whole lines.
pub type LogStream = BoxStream<'static, Result<Bytes, Error>>;

//! The seam to sinks.

use futures::future::BoxFuture;

use crate::Emission;

/// Why a sink could not take a message.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SinkError {
    /// A passing failure of the peer: the message may be sent again.
    #[error("{0}")]
    Recoverable(String),
    /// The message itself is bad: it is counted and dropped.
    #[error("{0}")]
    Rejected(String),
}

/// Where a rule's messages go. One task drives each sink, one message at a time and in order; a slow sink delays only itself.
pub trait Sink: Send {
    /// Sends one message. Return only when it is safe (on the wire, on disk, in the queue that makes the promise): dropping the
    /// emission afterwards acknowledges the payloads it was made of.
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>>;

    /// Called once when the rule has started, before the first message: what a rule that is only checked must not do.
    fn open(&mut self) {}

    /// Called once when the rule ends, to flush and disconnect.
    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    /// State of the connection behind the sink, for the status; none for sinks without one.
    fn connection(&self) -> Option<crate::Connection> {
        None
    }
}

/// A sink as a rule gets it.
pub struct SinkInput {
    /// The action's type, e.g. `mqtt`; the metrics node is `sink_TYPE_INDEX`.
    pub kind: String,
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// Most messages waiting for it (`bufferLength`); the oldest is dropped and counted beyond that.
    pub buffer_length: usize,
    /// Leave out messages without rows (`omitIfEmpty`).
    pub omit_if_empty: bool,
}

//! The seam to sources: what a connector implements and what it is given.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_functions::Value;
use edgeward_service::{Tasks, clock};
use futures::future::BoxFuture;

use crate::{Ack, Map, Meta, Stream};

/// Why a source ended or could not read something.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// A connector. It runs as one task until its input ends or its context is cancelled.
pub trait Source: Send + 'static {
    /// Reads and emits until the end. `Ok` means the input is finished (EOF ends the rule with `done`); return early when
    /// `context.tasks` is cancelled. Reconnecting is the source's own business: only a failure no retry can cure is an error.
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>>;

    /// How `reset_state` moves the source while it runs; none for one that cannot be moved.
    fn reset(&self) -> Option<Reset> {
        None
    }
}

/// Moves a running source to where its argument says, or tells why not.
pub type Reset = Arc<dyn Fn(&Map) -> Result<(), String> + Send + Sync>;

/// What a running source has at hand.
pub struct SourceContext {
    /// Where its messages go.
    pub emitter: Emitter,
    /// The source's node of the task tree.
    pub tasks: Tasks,
    /// The position of the message after which it goes on ([`Message::position`]), from the rule's last checkpoint. It may be
    /// that of an older definition of the stream: one that makes no sense is as good as none.
    pub position: Option<Value>,
}

impl SourceContext {
    /// The surroundings of a source that begins where its stream's rule was at its last checkpoint.
    pub fn new(emitter: Emitter, tasks: Tasks) -> SourceContext {
        let position = emitter.stream.position();
        SourceContext { emitter, tasks, position }
    }
}

/// What came in.
#[derive(Debug, Clone)]
pub enum Body {
    /// Bytes still to be decoded by the stream's FORMAT.
    Payload(Bytes),
    /// A row that needs no decoding (memory topics, SQL results).
    Row(Arc<Map>),
}

/// One message of a source.
#[derive(Debug, Clone)]
pub struct Message {
    /// Payload or row.
    pub body: Body,
    /// Metadata for `meta()` and `mqtt()`: topic, qos, messageId, …
    pub meta: Option<Meta>,
    /// Completed when every rule's sinks are done with what was made of the message.
    pub ack: Option<Ack>,
    /// Where a source that can rewind goes on after this message. Checkpoints keep that of the last message they cover; the
    /// message waits for room in its rule's queue rather than push another one out.
    pub position: Option<Value>,
}

impl Message {
    /// A payload without metadata.
    pub fn payload(payload: impl Into<Bytes>) -> Message {
        Message { body: Body::Payload(payload.into()), meta: None, ack: None, position: None }
    }

    /// A decoded row without metadata.
    pub fn row(row: Arc<Map>) -> Message {
        Message { body: Body::Row(row), meta: None, ack: None, position: None }
    }

    /// With metadata.
    #[must_use]
    pub fn with_meta(mut self, meta: Meta) -> Message {
        self.meta = Some(meta);
        self
    }

    /// With an acknowledgement token.
    #[must_use]
    pub fn with_ack(mut self, ack: Ack) -> Message {
        self.ack = Some(ack);
        self
    }

    /// With the position behind it.
    #[must_use]
    pub fn at(mut self, position: Value) -> Message {
        self.position = Some(position);
        self
    }
}

/// State of a connection as `connection_status` shows it (1, 0, −1).
#[derive(Debug, Clone, PartialEq)]
pub enum Connection {
    /// Up.
    Connected,
    /// Trying.
    Connecting,
    /// Down, with the reason.
    Disconnected(String),
}

/// The way from a source into its stream. Decoding and the rules' filters run in the caller.
#[derive(Clone)]
pub struct Emitter {
    stream: Arc<Stream>,
    /// In the order of the way.
    steps: Vec<Arc<dyn Step>>,
}

/// What happens to a message on its way from a connector into the stream: decompression, a rate limit.
pub trait Step: Send + Sync + 'static {
    /// Appends what goes on.
    ///
    /// # Errors
    /// The message is bad; the text goes to the rules as an error row.
    fn pass(&self, message: Message, out: &mut Vec<Message>) -> Result<(), String>;
}

impl Emitter {
    /// An emitter into `stream`.
    pub fn new(stream: Arc<Stream>) -> Emitter {
        Emitter { stream, steps: Vec::new() }
    }

    /// The same way with a step before all others.
    #[must_use]
    pub fn through(mut self, step: Arc<dyn Step>) -> Emitter {
        self.steps.insert(0, step);
        self
    }

    /// Takes messages through the steps.
    fn stepped(&self, messages: impl IntoIterator<Item = Message>) -> Vec<Message> {
        let mut messages: Vec<Message> = messages.into_iter().collect();
        for step in &self.steps {
            let mut out = Vec::with_capacity(messages.len());
            for message in messages {
                if let Err(text) = step.pass(message, &mut out) {
                    self.stream.push_error(&text);
                }
            }
            messages = out;
        }
        messages
    }

    /// Takes one message in. Waits only when a rule asked for back-pressure (`disableBufferFullDiscard`) and its queue is full.
    pub async fn emit(&self, message: Message) {
        self.emit_all([message]).await;
    }

    /// Takes several messages in, as [`Emitter::emit`] does; a source that has more than one at hand saves time with it.
    pub async fn emit_all(&self, messages: impl IntoIterator<Item = Message>) {
        if !self.steps.is_empty() {
            return self.push_all(self.stepped(messages).into_iter()).await;
        }
        self.push_all(messages.into_iter()).await;
    }

    /// Takes in as many messages as it can without waiting. With an answer rules asked for back-pressure and have no room: it
    /// resolves when they have taken the rest.
    pub fn offer_all(&self, messages: impl IntoIterator<Item = Message>) -> Option<BoxFuture<'static, ()>> {
        if !self.steps.is_empty() {
            return self.offer(self.stepped(messages).into_iter());
        }
        self.offer(messages.into_iter())
    }

    fn offer(&self, mut messages: impl Iterator<Item = Message>) -> Option<BoxFuture<'static, ()>> {
        if !self.stream.push_all(&mut messages) {
            return None;
        }
        let (emitter, rest) = (self.clone(), messages.collect::<Vec<_>>());
        Some(Box::pin(async move {
            emitter.stream.wait_for_space().await;
            emitter.push_all(rest.into_iter()).await;
        }))
    }

    async fn push_all(&self, mut messages: impl Iterator<Item = Message>) {
        while self.stream.push_all(&mut messages) {
            self.stream.wait_for_space().await;
        }
    }

    /// Takes one message in without waiting: for callers that must not block, e.g. a callback on a broker's thread.
    pub fn emit_now(&self, message: Message) {
        for message in self.stepped([message]) {
            self.stream.push_at(message, clock::now_ms());
        }
    }

    /// Reports a failure to the rules: counted as an exception, and a message to the sinks where `sendError` is set.
    pub fn error(&self, text: &str) {
        self.stream.push_error(text);
    }

    /// Reports the state of the connection.
    pub fn connection(&self, state: Connection) {
        self.stream.set_connection(state);
    }
}

/// Turns payloads of one FORMAT into rows. JSON is built in (and never goes through this); connectors add the others.
pub trait Decode: Send {
    /// Appends the rows of one payload, each a map.
    ///
    /// # Errors
    /// The payload is not of this format; the text goes to the rules as an error row.
    fn decode(&mut self, payload: &Bytes, rows: &mut Vec<Arc<Map>>) -> Result<(), String>;
}

/// Builds metadata from pairs.
pub fn meta<const N: usize>(pairs: [(&str, Value); N]) -> Meta {
    Arc::new(pairs.into_iter().map(|(key, value)| (Arc::from(key), value)).collect())
}

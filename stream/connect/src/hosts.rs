//! What connectors need of the program around them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::{Emission, Sink, SinkError, Source};
use edgeward_mqtt::Text;
use futures::future::BoxFuture;

use crate::{ConnectError, Connections, HttpHost, MemoryBus, NeuronLinks, Schemas, SinkRequest, SourceRequest};

/// The surroundings of the connectors. Clones are the same surroundings.
#[derive(Clone, Default)]
pub struct Hosts {
    /// The node's message bus; none when the engine runs alone, and then `mqtt` means a server.
    pub bus: Option<Arc<dyn LocalBus>>,
    /// The way up to the cloud; none when there is no cloud.
    pub outbox: Option<Arc<dyn CloudOutbox>>,
    /// Topics of the `memory` connector.
    pub memory: Arc<MemoryBus>,
    /// Connections of the `neuron` connector.
    pub neuron: Arc<NeuronLinks>,
    /// The server of `httppush`, `websocket` and `sse`.
    pub http: Arc<HttpHost>,
    /// Named connections.
    pub connections: Arc<Connections>,
    /// The registry of schemas.
    pub schemas: Arc<Schemas>,
    /// Where sinks with a cache keep what their peers cannot take yet; none keeps it in memory only.
    pub cache_dir: Option<PathBuf>,
    /// The folder that files of sources and sinks must be in (`basic.allowExternalFileAccess` is false); none allows all.
    pub files_within: Option<PathBuf>,
    /// The key of `encryption` (`basic.aesKey`): 16, 24 or 32 bytes.
    pub aes_key: Option<Vec<u8>>,
    /// Connectors users brought, for types that are not built in.
    pub users: Option<Arc<dyn UserConnectors>>,
}

impl fmt::Debug for Hosts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = (self.bus.is_some(), self.outbox.is_some());
        out.debug_struct("Hosts").field("bus", &parts.0).field("outbox", &parts.1).finish_non_exhaustive()
    }
}

/// The sink pipeline of one sink: an emission to its payloads.
pub type Encode = Box<dyn FnMut(&Emission) -> Result<Vec<Bytes>, SinkError> + Send>;

/// Connectors that are not built in.
pub trait UserConnectors: Send + Sync + 'static {
    /// Makes a source of this type; none when there is no such type. Nothing is opened before it runs.
    fn source(&self, kind: &str, request: &SourceRequest) -> Option<Result<Box<dyn Source>, ConnectError>>;

    /// Makes a sink of this type over its pipeline; none when there is no such type. Nothing is opened before it sends.
    fn sink(&self, kind: &str, request: &SinkRequest, encode: Encode) -> Option<Result<Box<dyn Sink>, ConnectError>>;
}

/// The node's message bus: the broker of the same process.
pub trait LocalBus: Send + Sync + 'static {
    /// Subscribes to an MQTT topic filter.
    ///
    /// # Errors
    /// The filter is not valid; the text says why.
    fn subscribe(&self, filter: &str, options: BusOptions) -> Result<Box<dyn BusMessages>, String>;

    /// Publishes a message; resolves when every subscriber has it in its queue.
    ///
    /// # Errors
    /// The message is too large or its topic not valid.
    fn publish(&self, message: BusMessage) -> BoxFuture<'_, Result<(), String>>;
}

/// How to subscribe.
#[derive(Debug, Clone)]
pub struct BusOptions {
    /// Messages that may wait.
    pub capacity: usize,
    /// Messages of QoS 1 and 2 carry a [`BusDelivery::confirm`], and their publisher waits for it.
    pub acknowledge: bool,
}

/// A subscription; dropping it ends it.
pub trait BusMessages: Send {
    /// Waits for messages and appends up to `max` of them. Safe to drop while waiting.
    fn recv<'a>(&'a mut self, batch: &'a mut Vec<BusDelivery>, max: usize) -> BoxFuture<'a, ()>;
}

/// A message to publish.
#[derive(Debug, Clone)]
pub struct BusMessage {
    /// Topic name.
    pub topic: Text,
    /// Payload.
    pub payload: Bytes,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Keep it for later subscribers.
    pub retain: bool,
}

/// A message received.
pub struct BusDelivery {
    /// The message; `retain` says that it had been kept.
    pub message: BusMessage,
    /// Says that the message is safe. Dropping it instead makes the publisher send the message again.
    pub confirm: Option<Box<dyn FnOnce() + Send>>,
}

/// Largest payload of a [`CloudRecord`], in bytes: an outbox takes any record up to this.
pub const MAX_RECORD_BYTES: usize = 768 << 10;
/// Most bytes of payloads and names given to [`CloudOutbox::append`] at a time.
pub const MAX_APPEND_BYTES: usize = 1 << 20;

/// The way up to the cloud: keeps records on disk until the cloud has them.
pub trait CloudOutbox: Send + Sync + 'static {
    /// Appends records, [`MAX_APPEND_BYTES`] at most; resolves when all of them are on disk.
    ///
    /// # Errors
    /// They are not, because the disk is full or fails; the text says so, and the call is repeated.
    fn append<'a>(&'a self, records: &'a [CloudRecord]) -> BoxFuture<'a, Result<(), String>>;
}

/// One record for the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudRecord {
    /// Name of the series.
    pub stream: Arc<str>,
    /// Milliseconds since 1970.
    pub at: i64,
    /// What makes the reading the one it is, at most 32 bytes: a reading sent again is stored once. Empty: none.
    pub identity: Vec<u8>,
    /// JSON text of one row.
    pub payload: Vec<u8>,
}

//! Connectors: where streams read from and where rules write to.
//!
//! One folder for each connector, with the same files in each: `mod.rs` (its factories), `config.rs` (its properties),
//! `source.rs`, `sink.rs` and/or `lookup.rs`, `tests.rs`. [`registry`] lists them by eKuiper's type names. Names, defaults and texts of
//! properties are eKuiper 2.4's; a property of eKuiper's that is not built yet is refused, never ignored.
//!
//! The room knows no catalogue and no REST. What a connector needs of its surroundings comes in [`Hosts`]: the node's
//! message bus ([`LocalBus`]), the way up ([`CloudOutbox`]) and the topics of `memory`.
//!
//! Acknowledgement: a source that is told to attaches a token to each message, and the message's publisher hears that it
//! is safe when every sink that promises anything has kept its promise. A message that was still on its way when its rule
//! was stopped is not acknowledged.

mod cloud;
mod connections;
mod error;
mod file;
mod format;
mod hosts;
mod http;
mod httppull;
mod httppush;
mod influx;
mod kafka;
mod keep;
mod log;
mod lookup;
mod memory;
mod mqtt;
mod nats;
mod neuron;
mod nexmark;
mod nop;
#[cfg(test)]
mod peer;
mod props;
mod redis;
pub mod registry;
mod rest;
mod rowkind;
mod schema;
mod scram;
mod services;
mod simulator;
mod sink;
mod source;
mod sql;
mod sse;
mod tdengine;
mod template;
#[cfg(test)]
mod testing;
mod tls;
#[cfg(test)]
mod validation_tests;
mod websocket;
mod wire;

pub use self::http::{HttpHost, JsonPost, fetch};
pub use self::tls::server_config;
pub use connections::{CONNECTION_KINDS, ConnectionInfo, Connections, ping};
pub use edgeward_engine::{LookupOptions, LookupQuery, LookupSource};
pub use error::ConnectError;
pub use format::{FormatRequest, decoder};
pub use hosts::{
    BusDelivery, BusMessage, BusMessages, BusOptions, CloudOutbox, CloudRecord, Encode, Hosts, LocalBus,
    MAX_APPEND_BYTES, MAX_RECORD_BYTES, UserConnectors,
};
pub use lookup::LookupRequest;
pub use memory::MemoryBus;
pub use neuron::NeuronLinks;
pub use props::{Props, parse_duration_ms};
pub use registry::{SinkRequest, SourceRequest};
pub use schema::{MAX_SCHEMA_BYTES, SchemaFile, SchemaInfo, Schemas};
pub use services::{ServicePackage, Services};
pub use sink::{SinkFormat, SinkMessage, SinkOptions};

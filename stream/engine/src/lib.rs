//! The stream engine: rows, plans, windows and state behind eKuiper's SQL, and the seams to sources and sinks.
//!
//! A stream ([`Stream`]) decodes each payload once and hands the rows to the rules that want them. A rule's core is a synchronous
//! state machine (push a row, advance the clock, collect emissions) that a thin task drives, so the same code runs on a virtual
//! clock. The room knows no MQTT, no Kubernetes and no HTTP, and builds no `serde_json::Value`.

mod ack;
mod convert;
mod emission;
mod error;
mod layout;
mod queue;
mod row;
mod schema;
mod sink;
mod source;
mod stream;

pub use ack::Ack;
pub use edgeward_functions::{Map, Value, json};
pub use emission::{Emission, Header, OutRow};
pub use error::EngineError;
pub use row::{Meta, Row};
pub use schema::{ColumnType, Field, StreamDef};
pub use sink::{Sink, SinkError, SinkInput};
pub use source::{Body, Connection, Decode, Emitter, Message, Source, SourceContext, SourceError};
pub use stream::Stream;

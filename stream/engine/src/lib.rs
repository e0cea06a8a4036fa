//! The stream engine: rows, plans, windows and state behind eKuiper's SQL, and the seams to sources and sinks.
//!
//! A stream ([`Stream`]) decodes each payload once and hands the rows to the rules that want them. A rule's core is a synchronous
//! state machine (push a row, advance the clock, collect emissions) that a thin task drives, so the same code runs on a virtual
//! clock. The room knows no MQTT, no Kubernetes and no HTTP, and builds no `serde_json::Value`.

mod ack;
mod analytic;
mod busy;
mod convert;
mod core;
mod emission;
mod error;
mod event_time;
mod explain;
mod expr;
mod graph;
mod group;
mod index;
mod join;
mod layout;
mod lookup;
mod metrics;
mod nodes;
mod options;
mod output;
mod plan;
mod queue;
mod row;
mod rule;
mod schema;
mod sink;
mod sink_task;
mod snapshot;
mod source;
mod stream;
mod table;
pub mod trial;
mod watermark;
mod window;

pub use ack::Ack;
pub use edgeward_functions::{Map, Value, json, timestamp_ms};
pub use emission::{Emission, Header, OutRow};
pub use error::EngineError;
pub use graph::{Branch, Graph};
pub use lookup::{LookupOptions, LookupQuery, LookupSource};
pub use metrics::{ConnectionTimes, NodeMetrics};
pub use nodes::{describe, topology};
pub use options::RuleOptions;
pub use plan::Plan;
pub use row::{Meta, Row};
pub use rule::{RuleHandle, RuleStatus, RuleTask};
pub use schema::{ColumnType, Field, StreamDef, Table, TableKind};
pub use sink::{Sink, SinkError, SinkInput};
pub use snapshot::codec;
pub use source::{Body, Connection, Decode, Emitter, Message, Reset, Source, SourceContext, SourceError, Step, meta};
pub use stream::Stream;

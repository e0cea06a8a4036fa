//! All connectors by type name.

use bytes::Bytes;
use edgeward_engine::{Sink, SinkInput, Source};
use edgeward_service::Tasks;

use crate::connections::Leased;
use crate::lookup::MakeLookup;
use crate::sink::{Behind, Encoder, Folder, Omitting, Payloads, Staged, forget};
use crate::source::piped;
use crate::{
    ConnectError, Encode, Hosts, LookupRequest, LookupSource, Props, SinkOptions, cloud, file, httppull, httppush,
    influx, kafka, log, memory, mqtt, nats, neuron, nexmark, nop, redis, rest, simulator, sql, sse, tdengine,
    websocket,
};

/// What a stream asks of a source.
#[derive(Debug, Clone)]
pub struct SourceRequest {
    /// Name of the stream.
    pub stream: String,
    /// The stream's DATASOURCE.
    pub datasource: String,
    /// Properties: configuration section overlaid with EXTRA.
    pub props: Props,
    /// Messages are acknowledged to their publisher only when the rule's sinks have kept their promises.
    pub acknowledge: bool,
}

/// What a rule asks of a sink.
#[derive(Debug, Clone)]
pub struct SinkRequest {
    /// The rule's id.
    pub rule: String,
    /// Properties of the action.
    pub props: Props,
    /// The rule's node of the task tree: when it is cancelled a sink that cannot get rid of its messages gives them up
    /// after a short grace.
    pub tasks: Tasks,
}

type MakeSource = fn(&SourceRequest, &Hosts) -> Result<Box<dyn Source>, ConnectError>;
type MakeSink = fn(&SinkRequest, SinkOptions, &Hosts) -> Result<Box<dyn Sink>, ConnectError>;

/// Sources in alphabetical order.
const SOURCES: &[(&str, MakeSource)] = &[
    ("file", file::source),
    ("httppull", httppull::source),
    ("httppush", httppush::source),
    ("kafka", kafka::source),
    ("memory", memory::source),
    ("mqtt", mqtt::source),
    ("nats", nats::source),
    ("neuron", neuron::source),
    ("nexmark", nexmark::source),
    ("redisSub", redis::subscribe),
    ("simulator", simulator::source),
    ("sql", sql::source),
    ("sse", sse::source),
    ("websocket", websocket::source),
];

/// Sinks in alphabetical order. `logToMemory` is what a rule without actions gets.
const SINKS: &[(&str, MakeSink)] = &[
    ("cloud", cloud::sink),
    ("file", file::sink),
    ("influx", influx::sink),
    ("influx2", influx::sink2),
    ("kafka", kafka::sink),
    ("log", log::sink),
    ("logToMemory", nop::sink),
    ("memory", memory::sink),
    ("mqtt", mqtt::sink),
    ("nats", nats::sink),
    ("neuron", neuron::sink),
    ("nop", nop::sink),
    ("redis", redis::sink),
    ("redisPub", redis::publish),
    ("rest", rest::sink),
    ("sql", sql::sink),
    ("sse", sse::sink),
    ("tdengine", tdengine::sink),
    ("tdengine3", tdengine::sink),
    ("websocket", websocket::sink),
];

/// Lookup tables in alphabetical order.
const LOOKUPS: &[(&str, MakeLookup)] = &[
    ("httppull", httppull::lookup),
    ("memory", memory::lookup),
    ("redis", redis::lookup),
    ("simulator", simulator::lookup),
    ("sql", sql::lookup),
];

/// Names of the source types.
pub fn source_kinds() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|(name, _)| *name)
}

/// Names of the sink types.
pub fn sink_kinds() -> impl Iterator<Item = &'static str> {
    SINKS.iter().map(|(name, _)| *name)
}

/// Names of the types of lookup tables.
pub fn lookup_kinds() -> impl Iterator<Item = &'static str> {
    LOOKUPS.iter().map(|(name, _)| *name)
}

/// Makes a lookup table. Nothing is opened before it is asked.
///
/// # Errors
/// The type is unknown, or a property is wrong.
pub fn lookup(kind: &str, request: &LookupRequest, hosts: &Hosts) -> Result<Box<dyn LookupSource>, ConnectError> {
    let known = LOOKUPS.iter().find(|(name, _)| *name == kind);
    let (_, make) = known.ok_or_else(|| ConnectError::UnknownLookup(kind.to_owned()))?;
    let Some(lease) = hosts.connections.lease(&request.props, &request.table)? else { return make(request, hosts) };
    let request = LookupRequest { props: lease.under(&request.props), ..request.clone() };
    Ok(Box::new(Leased::new(make(&request, hosts)?, lease)))
}

/// Makes a source. Nothing is opened before it runs.
///
/// # Errors
/// The type is unknown, or a property is wrong.
pub fn source(kind: &str, request: &SourceRequest, hosts: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let Some(lease) = hosts.connections.lease(&request.props, &request.stream)? else {
        return piped(kind, &request.props, plain_source(kind, request, hosts)?);
    };
    let request = SourceRequest { props: lease.under(&request.props), ..request.clone() };
    let source = piped(kind, &request.props, plain_source(kind, &request, hosts)?)?;
    Ok(Box::new(Leased::new(source, lease)))
}

fn plain_source(kind: &str, request: &SourceRequest, hosts: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    if let Some((_, make)) = SOURCES.iter().find(|(name, _)| *name == kind) {
        return make(request, hosts);
    }
    let brought = hosts.users.as_ref().and_then(|users| users.source(kind, request));
    brought.ok_or_else(|| ConnectError::UnknownSource(kind.to_owned()))?
}

/// Makes a sink with its queue options.
///
/// # Errors
/// The type is unknown, or a property is wrong.
pub fn sink(kind: &str, request: &SinkRequest, hosts: &Hosts) -> Result<SinkInput, ConnectError> {
    let lease = hosts.connections.lease(&request.props, &request.rule)?;
    let merged = lease.as_ref().map(|lease| SinkRequest { props: lease.under(&request.props), ..request.clone() });
    let request = merged.as_ref().unwrap_or(request);
    let options = SinkOptions::read(&request.props, hosts)?;
    let (buffer_length, omit_if_empty) = (options.buffer_length, options.omit_if_empty);
    let behind = Behind {
        sink: plain_sink(kind, request, options.clone(), hosts)?,
        again: elsewhere(kind, request, &options, hosts)?,
    };
    let place = hosts.cache_dir.as_ref().map(|root| Folder::place(root, &request.rule, kind, &request.props));
    let sink = Omitting::before(Staged::before(behind, &options, place, &request.tasks), &options);
    let sink = match lease {
        Some(lease) => Box::new(Leased::new(sink, lease)),
        None => sink,
    };
    Ok(SinkInput { kind: kind.to_owned(), sink, buffer_length, omit_if_empty })
}

fn plain_sink(
    kind: &str,
    request: &SinkRequest,
    options: SinkOptions,
    hosts: &Hosts,
) -> Result<Box<dyn Sink>, ConnectError> {
    if let Some((_, make)) = SINKS.iter().find(|(name, _)| *name == kind) {
        return make(request, options, hosts);
    }
    let users = hosts.users.as_ref();
    let brought = users.and_then(|users| users.sink(kind, request, encode(options)));
    brought.ok_or_else(|| ConnectError::UnknownSink(kind.to_owned()))?
}

/// The sink of `resendDestination`: the same with another topic or address.
fn elsewhere(
    kind: &str,
    request: &SinkRequest,
    options: &SinkOptions,
    hosts: &Hosts,
) -> Result<Option<Box<dyn Sink>>, ConnectError> {
    let Some(destination) = options.resend_destination() else { return Ok(None) };
    let key = match kind {
        "mqtt" | "memory" | "kafka" => "topic",
        "rest" => "url",
        _ => return Err(ConnectError::Unsupported(format!("resendDestination of a {kind} sink"))),
    };
    let other = serde_json::Map::from_iter([(key.to_owned(), destination.into())]);
    let request = SinkRequest { props: request.props.clone().overlaid(other), ..request.clone() };
    plain_sink(kind, &request, options.clone(), hosts).map(Some)
}

/// Deletes what the caches of a rule's sinks have kept, when the rule is deleted. Blocks.
///
/// # Errors
/// The disk fails.
pub fn forget_cache(rule: &str, hosts: &Hosts) -> std::io::Result<()> {
    hosts.cache_dir.as_ref().map_or(Ok(()), |root| forget(root, rule))
}

/// The pipeline as sinks of users get it.
fn encode(options: SinkOptions) -> Encode {
    let (encoder, mut payloads) = (Encoder::new(options), Payloads::default());
    Box::new(move |emission| {
        encoder.encode(emission, &mut payloads)?;
        Ok(payloads.iter().map(Bytes::copy_from_slice).collect())
    })
}

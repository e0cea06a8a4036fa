//! `kafka`: records of topics, with a client of our own (Kafka 0.11 and later: record batches of version 2).
//!
//! With a `groupID` the source is a member of that group, beside those of other programs: it reads the partitions the group
//! gives it, from where the group has got to.

mod batch;
mod broker;
mod config;
mod group;
mod reader;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod topics;
mod unpack;

use edgeward_engine::{Sink, Source};

use self::config::{Cluster, SinkConfig, SourceConfig};
use crate::keep::Kept;
use crate::sink::{Encoder, Payloads};
use crate::{ConnectError, Hosts, Props, SinkOptions, SinkRequest, SourceRequest};

/// The DATASOURCE is the topic.
pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let config = SourceConfig::read(&request.datasource, &request.props)?;
    let acknowledge = request.acknowledge;
    Ok(Box::new(Kept(source::KafkaSource { config, acknowledge, place: None, id: String::new() })))
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = SinkConfig::read(&request.props)?;
    Ok(Box::new(sink::KafkaSink::new(config, Encoder::new(options), Payloads::default())))
}

/// Connects and logs in, and that is all.
///
/// # Errors
/// A property is wrong, or the server cannot be reached or refuses.
pub(crate) async fn ping(props: &Props) -> Result<(), ConnectError> {
    broker::connect(&Cluster::read(props)?).await.map(drop).map_err(ConnectError::Unreachable)
}

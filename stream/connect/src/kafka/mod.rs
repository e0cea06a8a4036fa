//! `kafka`: records of topics, with a client of our own (Kafka 0.11 and later: record batches of version 2).
//!
//! With a `groupID` the positions of the group are read and kept, but no membership is negotiated: every source reads all
//! partitions.

mod batch;
mod client;
mod config;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod unpack;

use edgeward_engine::{Sink, Source};

use self::config::{SinkConfig, SourceConfig};
use crate::sink::{Encoder, Payloads};
use crate::{ConnectError, Hosts, SinkOptions, SinkRequest, SourceRequest};

/// The DATASOURCE is the topic.
pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let config = SourceConfig::read(&request.datasource, &request.props)?;
    Ok(Box::new(source::KafkaSource { config, acknowledge: request.acknowledge }))
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = SinkConfig::read(&request.props)?;
    Ok(Box::new(sink::KafkaSink::new(config, Encoder::new(options), Payloads::default())))
}

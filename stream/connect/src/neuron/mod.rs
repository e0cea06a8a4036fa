//! `neuron`: what an EMQX Neuron reads from devices, and values for it to write.
//!
//! Neuron talks to one partner only, so the sources and sinks of one address share one connection ([`NeuronLinks`]).

mod config;
mod link;
mod sink;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::{Sink, Source};

use self::config::{Address, SinkConfig};
pub use self::link::NeuronLinks;
use crate::sink::{Encoder, Payloads};
use crate::{ConnectError, Hosts, Props, SinkOptions, SinkRequest, SourceRequest};

pub(crate) fn source(request: &SourceRequest, hosts: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    Ok(Box::new(source::NeuronSource { address: Address::read(&request.props)?, links: hosts.neuron.clone() }))
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, hosts: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = SinkConfig::read(&request.props)?;
    let (encoder, payloads) = (Encoder::new(options.clone()), Payloads::default());
    Ok(Box::new(sink::NeuronSink { config, options, encoder, payloads, links: hosts.neuron.clone(), link: None }))
}

/// Connects and logs in, and that is all.
///
/// # Errors
/// A property is wrong, or the server cannot be reached or refuses.
pub(crate) async fn ping(props: &Props) -> Result<(), ConnectError> {
    link::dial(&Address::read(props)?).await.map(drop).map_err(ConnectError::Unreachable)
}

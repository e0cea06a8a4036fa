//! `mqtt`: the node's own bus in-process, or a server over the network.
//!
//! A `server` property means the network. Without one, an engine on a node uses the node's bus, and an engine alone uses
//! eKuiper's default `tcp://127.0.0.1:1883`. With `connectionSelector` it is the server of a named connection.

mod config;
mod shared;
mod sink;
mod source;
#[cfg(test)]
pub(crate) mod tests;

use edgeward_engine::{Sink, Source};

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest, SourceRequest};
use config::{Place, SinkConfig, SourceConfig};
pub(crate) use shared::SharedClient;

pub(crate) fn source(request: &SourceRequest, hosts: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let config = SourceConfig::read(&request.datasource, &request.props, hosts)?;
    let acknowledge = request.acknowledge;
    Ok(match &config.place {
        Place::Server(client) => {
            let client = (**client).clone();
            Box::new(source::ServerSource { config, client, acknowledge })
        }
        Place::Shared(client) => {
            let client = client.clone();
            Box::new(source::SharedSource { config, client, acknowledge })
        }
        Place::Bus(bus) => {
            let bus = bus.clone();
            Box::new(source::BusSource { config, bus, acknowledge })
        }
    })
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, hosts: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = SinkConfig::read(&request.props, hosts)?;
    let way = match &config.place {
        Place::Server(client) => sink::Way::Later(client.clone(), request.tasks.clone()),
        Place::Shared(client) => sink::Way::Shared(client.clone()),
        Place::Bus(bus) => sink::Way::Bus(bus.clone()),
    };
    Ok(Box::new(sink::MqttSink::new(config, options, way)))
}

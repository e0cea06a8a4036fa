//! `mqtt`: the node's own bus in-process, or a server over the network.
//!
//! A `server` property means the network. Without one, an engine on a node uses the node's bus, and an engine alone uses
//! eKuiper's default `tcp://127.0.0.1:1883`.

mod config;
mod sink;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::{Sink, Source};

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest, SourceRequest};
use config::{Place, SinkConfig, SourceConfig};

pub(crate) fn source(request: &SourceRequest, hosts: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let config = SourceConfig::read(&request.datasource, &request.props, hosts.bus.is_some())?;
    Ok(match (&config.place, &hosts.bus) {
        (Place::Server(client), _) => {
            let client = (**client).clone();
            Box::new(source::ServerSource { config, client, acknowledge: request.acknowledge })
        }
        (Place::Bus, Some(bus)) => {
            Box::new(source::BusSource { config, bus: bus.clone(), acknowledge: request.acknowledge })
        }
        (Place::Bus, None) => return Err(ConnectError::Missing("server")),
    })
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, hosts: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = SinkConfig::read(&request.props, hosts.bus.is_some())?;
    let way = match (&config.place, &hosts.bus) {
        (Place::Server(client), _) => sink::Way::Later(client.clone(), request.tasks.clone()),
        (Place::Bus, Some(bus)) => sink::Way::Bus(bus.clone()),
        (Place::Bus, None) => return Err(ConnectError::Missing("server")),
    };
    Ok(Box::new(sink::MqttSink::new(config, options, way)))
}

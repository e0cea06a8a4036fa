//! `websocket`: messages of a WebSocket, as the client of `addr` or as the server of a path on the shared server.

pub(crate) mod config;
mod sink;
mod socket;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::{Sink, Source};

use crate::keep::Kept;
use crate::{ConnectError, Hosts, Props, SinkOptions, SinkRequest, SourceRequest};
use config::Place;
pub(crate) use socket::{options, serve};

pub(crate) fn source(request: &SourceRequest, hosts: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let place = Place::read("DATASOURCE", Some(&request.datasource), &request.props)?;
    Ok(match place {
        Place::Client(server) => Box::new(Kept(source::ClientSource(server))),
        Place::Path(path) => Box::new(source::PathSource { path, host: hosts.http.clone() }),
    })
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, hosts: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let place = Place::read("path", request.props.text("path")?, &request.props)?;
    Ok(Box::new(sink::SocketSink::new(place, options, &hosts.http)))
}

/// Connects as a client does; none when this end is the server, or no path is named.
///
/// # Errors
/// A property is wrong, or the server cannot be reached or refuses.
pub(crate) async fn ping(props: &Props) -> Result<Option<()>, ConnectError> {
    let named = props.text("path")?.or(props.text("datasource")?);
    if props.text("addr")?.is_none() || named.is_none() {
        return Ok(None);
    }
    match Place::read("path", named, props)? {
        Place::Client(server) => socket::connect(&server).await.map(|_| Some(())).map_err(ConnectError::Unreachable),
        Place::Path(_) => Ok(None),
    }
}

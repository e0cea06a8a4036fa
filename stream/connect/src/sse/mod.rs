//! `sse`: server-sent events. The sink serves them at a path of the shared server; the source reads them from another.

mod config;
mod sink;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::{Sink, Source};

use crate::httppush::config::path;
use crate::keep::Kept;
use crate::{ConnectError, Hosts, SinkOptions, SinkRequest, SourceRequest};

pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    Ok(Box::new(Kept(source::EventSource { config: config::Config::read(&request.datasource, &request.props)? })))
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, hosts: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let endpoint = request.props.text("endpoint")?.or(request.props.text("path")?);
    let endpoint = path("endpoint", endpoint.ok_or(ConnectError::Missing("endpoint"))?)?;
    Ok(Box::new(sink::EventSink::new(&endpoint, options, &hosts.http)))
}

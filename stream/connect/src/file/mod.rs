//! `file`: files as streams, and results in files.

mod config;
mod lines;
mod rolling;
mod sink;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::{Sink, Source};

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest, SourceRequest};

pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    Ok(Box::new(source::FileSource { config: config::SourceConfig::read(&request.datasource, &request.props)? }))
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = config::SinkConfig::read(&request.props)?;
    Ok(Box::new(sink::FileSink::new(config, options)))
}

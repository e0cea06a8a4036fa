//! `rest`: results as HTTP requests.

mod config;
mod sink;
#[cfg(test)]
mod tests;

use edgeward_engine::Sink;

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest};

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    Ok(Box::new(sink::RestSink::new(config::read(&request.props)?, options)))
}

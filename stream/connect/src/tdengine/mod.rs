//! `tdengine3` (also `tdengine`): rows into a table of TDengine 3, over its REST interface.

mod config;
mod sink;
#[cfg(test)]
mod tests;

use edgeward_engine::Sink;

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest};

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    Ok(Box::new(sink::TdengineSink { config: config::Config::read(&request.props)?, options }))
}

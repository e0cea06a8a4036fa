//! `simulator`: rows from the configuration, one at a time.

mod config;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::Source;

use crate::{ConnectError, Hosts, SourceRequest};

pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    Ok(Box::new(source::SimulatorSource { config: config::Config::read(&request.props)? }))
}

//! `nexmark`: the made-up auctions of the Nexmark benchmark, as fast as asked for.

mod config;
mod events;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::Source;

use crate::{ConnectError, Hosts, SourceRequest};

pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let config = config::Config::read(&request.props)?;
    Ok(Box::new(source::NexmarkSource { config, rewinds: request.acknowledge }))
}

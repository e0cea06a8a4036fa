//! `simulator`: rows from the configuration, one at a time.

mod config;
mod lookup;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::Source;
use edgeward_engine::json::{Numbers, parse};

use crate::{ConnectError, Hosts, LookupRequest, LookupSource, SourceRequest};

pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let config = config::Config::read(&request.props)?;
    Ok(Box::new(source::SimulatorSource { config, rewinds: request.acknowledge }))
}

/// As a lookup table over the same rows.
pub(crate) fn lookup(request: &LookupRequest, _: &Hosts) -> Result<Box<dyn LookupSource>, ConnectError> {
    let config = config::Config::read(&request.props)?;
    // Each was an object when the configuration was read.
    let row = |text: &bytes::Bytes| parse(text, Numbers::Float).ok()?.as_map().cloned();
    Ok(Box::new(lookup::SimulatorLookup { rows: config.rows.iter().filter_map(row).collect() }))
}

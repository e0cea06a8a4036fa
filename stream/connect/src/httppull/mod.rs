//! `httppull`: what a web server answers, asked for again and again.

mod config;
mod lookup;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::Source;

use crate::{ConnectError, Hosts, LookupRequest, LookupSource, SourceRequest};

pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let config = config::Config::read(&request.datasource, &request.props)?;
    Ok(Box::new(source::PullSource { config, rewinds: request.acknowledge }))
}

/// As a lookup table: each question is a request.
pub(crate) fn lookup(request: &LookupRequest, _: &Hosts) -> Result<Box<dyn LookupSource>, ConnectError> {
    Ok(Box::new(lookup::PullLookup::new(config::Config::read(&request.datasource, &request.props)?)))
}

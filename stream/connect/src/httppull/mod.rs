//! `httppull`: what a web server answers, asked for again and again.

mod config;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::Source;

use crate::{ConnectError, Hosts, SourceRequest};

pub(crate) fn source(request: &SourceRequest, _: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    Ok(Box::new(source::PullSource { config: config::Config::read(&request.datasource, &request.props)? }))
}

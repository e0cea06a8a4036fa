//! `httppush`: bodies that others send to the shared server.

pub(crate) mod config;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::Source;

use crate::{ConnectError, Hosts, SourceRequest};

pub(crate) fn source(request: &SourceRequest, hosts: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let (path, method) = config::read(&request.datasource, &request.props)?;
    Ok(Box::new(source::PushSource { path, method, host: hosts.http.clone(), acknowledge: request.acknowledge }))
}

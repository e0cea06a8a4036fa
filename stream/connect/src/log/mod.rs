//! `log`: results go to the program's log.

mod sink;
#[cfg(test)]
mod tests;

use edgeward_engine::Sink;

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest};
pub(crate) use sink::LogSink;

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    Ok(Box::new(LogSink::new(request.rule.clone(), options)))
}

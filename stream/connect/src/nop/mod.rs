//! `nop`: takes everything and does nothing, or logs it with `log`. Also `logToMemory`, which a rule without actions gets:
//! its buffer is read by eKuiper's command line only, so nothing is kept.

mod config;
mod sink;
#[cfg(test)]
mod tests;

use edgeward_engine::Sink;

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest};

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, _: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = config::Config::read(&request.props)?;
    Ok(Box::new(sink::NopSink::new(config, request.rule.clone(), options)))
}

//! `cloud`: rows go up through the node's outbox, each as one record. Ours; eKuiper has no such sink.

mod config;
mod sink;
#[cfg(test)]
mod tests;

use edgeward_engine::Sink;

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest};

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, hosts: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let config = config::Config::read(&request.props, &request.rule)?;
    let outbox = hosts.outbox.clone();
    let outbox =
        outbox.ok_or(ConnectError::NotHere("sink cloud works only on a node: this engine runs without an agent"))?;
    Ok(Box::new(sink::CloudSink::new(config, options, outbox, &request.tasks)?))
}

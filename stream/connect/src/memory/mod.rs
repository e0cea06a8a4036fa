//! `memory`: rules feed rules over topics inside the engine. Rows pass as they are, without coding.

mod bus;
mod sink;
mod source;
#[cfg(test)]
mod tests;

use edgeward_engine::{Sink, Source};
use edgeward_mqtt::{Filter, check_topic};

use crate::{ConnectError, Hosts, SinkOptions, SinkRequest, SourceRequest};
pub use bus::MemoryBus;

pub(crate) fn source(request: &SourceRequest, hosts: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    let filter = Filter::try_from(request.datasource.as_str());
    let filter = filter.map_err(|error| ConnectError::Invalid { key: "DATASOURCE", reason: error.to_string() })?;
    Ok(Box::new(source::MemorySource { filter, bus: hosts.memory.clone() }))
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, hosts: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    request.props.refuse(&["rowkindField", "keyField"])?;
    let topic = request.props.text("topic")?.ok_or(ConnectError::Missing("topic"))?;
    check_topic(topic.as_bytes()).map_err(|error| ConnectError::Invalid { key: "topic", reason: error.to_string() })?;
    if !options.sends_rows_unchanged() {
        return Err(ConnectError::Unsupported("fields of a memory sink".into()));
    }
    Ok(Box::new(sink::MemorySink { topic: topic.into(), bus: hosts.memory.clone() }))
}

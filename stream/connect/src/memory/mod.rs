//! `memory`: rules feed rules over topics inside the engine. Rows pass as they are, without coding.

mod bus;
mod lookup;
mod sink;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use edgeward_engine::{LookupSource, Sink, Source};
use edgeward_mqtt::{Filter, check_topic};

use crate::template::Template;
use crate::{ConnectError, Hosts, LookupRequest, SinkOptions, SinkRequest, SourceRequest};
pub use bus::MemoryBus;

pub(crate) fn source(request: &SourceRequest, hosts: &Hosts) -> Result<Box<dyn Source>, ConnectError> {
    Ok(Box::new(source::MemorySource { filter: filter(&request.datasource)?, bus: hosts.memory.clone() }))
}

/// A table of what sinks send to the topics of DATASOURCE, by KEY; it begins to listen when it is made.
pub(crate) fn lookup(request: &LookupRequest, hosts: &Hosts) -> Result<Box<dyn LookupSource>, ConnectError> {
    let key = request.key.as_deref().ok_or(ConnectError::Missing("KEY"))?;
    Ok(Box::new(lookup::MemoryLookup::new(key, filter(&request.datasource)?, &hosts.memory)))
}

fn filter(datasource: &str) -> Result<Filter, ConnectError> {
    let filter = Filter::try_from(datasource);
    filter.map_err(|error| ConnectError::Invalid { key: "DATASOURCE", reason: error.to_string() })
}

pub(crate) fn sink(request: &SinkRequest, options: SinkOptions, hosts: &Hosts) -> Result<Box<dyn Sink>, ConnectError> {
    let topic = Template::read(&request.props, "topic")?.ok_or(ConnectError::Missing("topic"))?;
    if let Some(topic) = topic.constant() {
        let invalid = |reason: String| ConnectError::Invalid { key: "topic", reason };
        check_topic(topic.as_bytes()).map_err(|error| invalid(error.to_string()))?;
    }
    let field = |key| request.props.text(key).map(|field| field.map(Arc::from));
    Ok(Box::new(sink::MemorySink {
        topic,
        options,
        bus: hosts.memory.clone(),
        rowkind_field: field("rowkindField")?,
        key_field: field("keyField")?,
    }))
}

//! Sources and sinks of portable plugins, as streams and rules ask for them by type.

use std::sync::atomic::Ordering;

use edgeward_connect::{ConnectError, Encode, SinkRequest, SourceRequest, UserConnectors};
use edgeward_engine::{Sink, Source};

use super::Manager;
use crate::error::PluginError;
use crate::portable::{Meta, Plugin, PortableSink, PortableSource, Spec};

impl Manager {
    /// The plugin that has a symbol.
    fn having(&self, symbols: fn(&Spec) -> &[String], name: &str) -> Option<Plugin> {
        let portables = self.shared.portables.read();
        let mut plugins = portables.values().map(|entry| &entry.plugin);
        plugins.find(|plugin| symbols(plugin.spec()).iter().any(|symbol| symbol == name)).cloned()
    }

    /// A place of its own: two rules may read the same stream, each by a source of its own.
    fn place(&self, rule: &str, operator: String) -> Meta {
        let instance_id = self.shared.instances.fetch_add(1, Ordering::Relaxed);
        Meta { rule_id: rule.to_owned(), op_id: operator, instance_id }
    }
}

impl UserConnectors for Manager {
    fn source(&self, kind: &str, request: &SourceRequest) -> Option<Result<Box<dyn Source>, ConnectError>> {
        let plugin = self.having(|spec| &spec.sources, kind)?;
        let place = self.place(&request.stream, format!("source_{kind}"));
        let made = PortableSource::new(&plugin, kind, place, &request.datasource, request.props.all().clone());
        Some(made.map(|source| Box::new(source) as Box<dyn Source>).map_err(refused))
    }

    fn sink(&self, kind: &str, request: &SinkRequest, encode: Encode) -> Option<Result<Box<dyn Sink>, ConnectError>> {
        let plugin = self.having(|spec| &spec.sinks, kind)?;
        let place = self.place(&request.rule, format!("sink_{kind}"));
        let made = PortableSink::new(&plugin, kind, place, request.props.all().clone(), encode, &request.tasks);
        Some(made.map(|sink| Box::new(sink) as Box<dyn Sink>).map_err(refused))
    }
}

fn refused(error: PluginError) -> ConnectError {
    ConnectError::Invalid { key: "name", reason: error.to_string() }
}

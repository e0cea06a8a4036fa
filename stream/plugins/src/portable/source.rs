//! Sources of portable plugins.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::{Connection, Emitter, Message, Source, SourceContext, SourceError};
use edgeward_functions::json::{self, Numbers};
use edgeward_functions::{Map, Value};
use edgeward_service::Backoff;
use futures::future::BoxFuture;

use super::plugin::{Control, Meta, Plugin, Running, SymbolKind, socket};
use crate::error::Result;
use edgeward_sp::{Endpoint, Pull};

/// A source that reads what a plugin pushes: `{message, meta}` or `{error}`.
#[derive(Debug)]
pub struct PortableSource {
    plugin: Plugin,
    control: Control,
}

impl PortableSource {
    /// A source `symbol` of a plugin for a place in a rule. Nothing is started before it runs.
    ///
    /// # Errors
    /// The names of the place are not plain.
    pub fn new(
        plugin: &Plugin,
        symbol: &str,
        meta: Meta,
        data_source: &str,
        config: serde_json::Map<String, serde_json::Value>,
    ) -> Result<PortableSource> {
        meta.check()?;
        let control = Control {
            symbol_name: symbol.to_owned(),
            meta,
            plugin_type: SymbolKind::Source,
            data_source: Some(data_source.to_owned()),
            config,
        };
        Ok(PortableSource { plugin: plugin.clone(), control })
    }

    async fn read(self, context: &SourceContext) -> Result<()> {
        let options = self.plugin.options();
        let path = socket(options, &self.control.meta.channel());
        // The process dials while it is told to start the source: the socket must be there before.
        let mut pull = Pull::open(Endpoint::Listen(path), &options.socket, &context.tasks)?;
        let _running = self.start(&context.emitter).await;
        while let Some(body) = pull.recv().await {
            match read_message(&body) {
                Ok(message) => context.emitter.emit(message).await,
                Err(text) => context.emitter.error(&text),
            }
        }
        Ok(())
    }

    /// Starts the symbol, however long that takes.
    async fn start(&self, emitter: &Emitter) -> Running {
        let restart = self.plugin.options().restart;
        let mut backoff = Backoff::new(restart.0, restart.1);
        loop {
            emitter.connection(Connection::Connecting);
            match self.plugin.start(self.control.clone()).await {
                Ok(running) => {
                    emitter.connection(Connection::Connected);
                    return running;
                }
                Err(error) => emitter.connection(Connection::Disconnected(error.to_string())),
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}

impl Source for PortableSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, std::result::Result<(), SourceError>> {
        Box::pin(async move {
            let tasks = context.tasks.clone();
            match tasks.token().run_until_cancelled(self.read(&context)).await {
                Some(Err(error)) => Err(SourceError(error.to_string())),
                _ => Ok(()),
            }
        })
    }
}

/// A message of the protocol, or the text of an error to tell the rules.
fn read_message(body: &Bytes) -> std::result::Result<Message, String> {
    let bad = |error: json::JsonError| format!("plugin sent a message that is no JSON: {error}");
    let value = json::parse(body, Numbers::Float).map_err(bad)?;
    let map: &Arc<Map> = value.as_map().ok_or("plugin sent a message that is no object")?;
    match (map.get("message"), map.get("error")) {
        (Some(Value::Map(row)), _) => {
            let message = Message::row(row.clone());
            Ok(match map.get("meta") {
                Some(Value::Map(meta)) => message.with_meta(meta.clone()),
                _ => message,
            })
        }
        (_, Some(Value::Str(error))) => Err(error.to_string()),
        _ => Err("plugin sent neither a message nor an error".into()),
    }
}

#[cfg(test)]
mod tests {
    use edgeward_engine::Body;

    use super::*;

    fn check(body: &'static str, expect: &str) {
        let found = match read_message(&Bytes::from_static(body.as_bytes())) {
            Ok(Message { body: Body::Row(row), meta, .. }) => format!("{} {}", row.len(), meta.is_some()),
            Ok(_) => "payload".into(),
            Err(text) => text,
        };
        assert_eq!(found, expect, "{body}");
    }

    #[test]
    fn messages() {
        check(r#"{"message":{"a":1,"b":null},"meta":{"t":"x"}}"#, "2 true");
        check(r#"{"message":{},"meta":null}"#, "0 false");
        check(r#"{"error":"no power"}"#, "no power");
        check(r#"{"message":1}"#, "plugin sent neither a message nor an error");
        check("[]", "plugin sent a message that is no object");
    }
}

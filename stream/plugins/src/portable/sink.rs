//! Sinks of portable plugins.

use bytes::Bytes;
use edgeward_connect::Encode;
use edgeward_engine::{Emission, Sink, SinkError};
use edgeward_functions::Value;
use edgeward_functions::json::{self, Numbers};
use edgeward_service::Tasks;
use futures::future::BoxFuture;

use super::plugin::{Control, Meta, Plugin, Running, SymbolKind, socket};
use crate::error::Result;
use edgeward_sp::{Endpoint, Pull, Push};

/// A sink whose payloads a plugin pulls.
pub struct PortableSink {
    plugin: Plugin,
    control: Control,
    /// Wait for the plugin's word for each payload (`requireAck`).
    require_ack: bool,
    encode: Encode,
    tasks: Tasks,
    open: Option<Open>,
}

struct Open {
    _running: Running,
    push: Push,
    ack: Pull,
}

impl PortableSink {
    /// A sink `symbol` of a plugin for a place in a rule. Nothing is started before the first payload.
    ///
    /// # Errors
    /// The names of the place are not plain.
    pub fn new(
        plugin: &Plugin,
        symbol: &str,
        meta: Meta,
        config: serde_json::Map<String, serde_json::Value>,
        encode: Encode,
        tasks: &Tasks,
    ) -> Result<PortableSink> {
        meta.check()?;
        let require_ack = config.get("requireAck").and_then(serde_json::Value::as_bool).unwrap_or(false);
        let control =
            Control { symbol_name: symbol.to_owned(), meta, plugin_type: SymbolKind::Sink, data_source: None, config };
        Ok(PortableSink { plugin: plugin.clone(), control, require_ack, encode, tasks: tasks.clone(), open: None })
    }

    async fn send_payload(&mut self, payload: Bytes) -> std::result::Result<(), SinkError> {
        let (send, recv) = (self.plugin.options().send_timeout, self.plugin.options().recv_timeout);
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let open = connect(&self.plugin, &self.control, &self.tasks)
                    .await
                    .map_err(|error| SinkError::Recoverable(error.to_string()))?;
                self.open.insert(open)
            }
        };
        let again = |text: &str| SinkError::Recoverable(format!("plugin sink {}: {text}", self.control.symbol_name));
        match tokio::time::timeout(send, open.push.send(payload)).await {
            Err(_) => return Err(again("took no message within sendTimeout")),
            Ok(Err(error)) => return Err(again(&error.to_string())),
            Ok(Ok(())) => {}
        }
        if !self.require_ack {
            return Ok(());
        }
        let answer = tokio::time::timeout(recv, open.ack.recv()).await;
        let answer = answer.ok().flatten().ok_or_else(|| again("did not acknowledge within recvTimeout"))?;
        match acknowledged(&answer) {
            Ok(()) => Ok(()),
            Err(text) => Err(again(&text)),
        }
    }
}

/// Starts the symbol and opens its two sockets.
async fn connect(plugin: &Plugin, control: &Control, tasks: &Tasks) -> Result<Open> {
    let options = plugin.options();
    let name = control.meta.channel();
    // The process dials the ack socket whether acks are wanted or not, and listens on the other, while it is started.
    let ack = socket(options, &format!("{name}_ack"));
    let ack = Pull::open(Endpoint::Listen(ack), &options.socket, tasks)?;
    let running = plugin.start(control.clone()).await?;
    let push = Push::open(Endpoint::Dial(socket(options, &name)), &options.socket, tasks)?;
    Ok(Open { _running: running, push, ack })
}

/// `{}` or `{"error":""}` is good, another error is the plugin's.
fn acknowledged(answer: &[u8]) -> std::result::Result<(), String> {
    let value = json::parse(answer, Numbers::Float).map_err(|error| format!("acknowledgement is no JSON: {error}"))?;
    match value.as_map().and_then(|map| map.get("error")) {
        Some(Value::Str(text)) if !text.is_empty() => Err(text.to_string()),
        _ => Ok(()),
    }
}

impl Sink for PortableSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, std::result::Result<(), SinkError>> {
        Box::pin(async move {
            for payload in (self.encode)(emission)? {
                self.send_payload(payload).await?;
            }
            Ok(())
        })
    }

    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(async {
            self.open = None;
        })
    }
}

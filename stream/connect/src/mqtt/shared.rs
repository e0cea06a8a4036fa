//! One client for all sources and sinks of a named connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edgeward_engine::{Ack, Connection, Emitter, Message};
use edgeward_mqtt::{Filter, FilterTree};
use edgeward_mqtt_client::{Client, Handle, Incoming, Messages, Status};
use edgeward_service::Tasks;
use parking_lot::RwLock;

use super::config::client_options;
use super::source::{connection, describe, token};
use crate::{ConnectError, Props};

/// A client and the streams that listen to it. A stream whose rules ask for back-pressure holds up all streams of the
/// connection, as the server does not know them apart.
pub(crate) struct SharedClient {
    pub(super) handle: Handle,
    listeners: RwLock<FilterTree<Listener>>,
    ids: AtomicU64,
}

#[derive(Clone)]
struct Listener {
    id: u64,
    emitter: Emitter,
    acknowledge: bool,
}

/// A stream's place at a client; dropping it ends it.
pub(super) struct Listening {
    client: Arc<SharedClient>,
    filter: Filter,
    id: u64,
}

impl SharedClient {
    /// Starts connecting. The client ends with `tasks`.
    ///
    /// # Errors
    /// A property is wrong.
    pub(crate) fn start(props: &Props, tasks: &Tasks) -> Result<Arc<SharedClient>, ConnectError> {
        let options = client_options(props)?;
        let started = Client::start(options, tasks);
        let (handle, messages) = started.map_err(|error| ConnectError::Connection(error.to_string()))?;
        let client = SharedClient { handle, listeners: RwLock::default(), ids: AtomicU64::new(0) };
        let client = Arc::new(client);
        tasks.spawn_until_cancelled("mqtt-shared", client.clone().receive(messages, tasks.clone()));
        Ok(client)
    }

    /// State of the connection.
    pub(crate) fn connection(&self) -> Connection {
        connection(&self.handle.status().borrow())
    }

    /// Waits until the first try to connect has an outcome.
    pub(crate) async fn settled(&self) -> Connection {
        let mut status = self.handle.status();
        let outcome = status.wait_for(|status| *status != Status::Connecting).await;
        outcome.map_or_else(
            |_| Connection::Disconnected("the client was stopped".to_owned()),
            |status| connection(&status),
        )
    }

    pub(super) fn listen(self: &Arc<Self>, filter: &Filter, emitter: Emitter, acknowledge: bool) -> Listening {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        self.listeners.write().insert(filter, Listener { id, emitter, acknowledge });
        Listening { client: self.clone(), filter: filter.clone(), id }
    }

    async fn receive(self: Arc<Self>, mut messages: Messages, tasks: Tasks) {
        let mut found: Vec<Listener> = Vec::new();
        while let Some(mut incoming) = messages.recv().await {
            let promise = incoming.take_promise();
            let Incoming { topic, payload, qos, packet_id, .. } = incoming;
            self.listeners.read().for_each_match(topic.as_bytes(), |listener| found.push(listener.clone()));
            let waits = found.iter().any(|listener| listener.acknowledge);
            let ack: Option<Ack> = match promise {
                Some(promise) if waits => Some(token(&tasks, move || promise.keep())),
                Some(promise) => {
                    promise.keep();
                    None
                }
                None => None,
            };
            let meta = describe(&topic, qos as u8, packet_id);
            for listener in found.drain(..) {
                let mut message = Message::payload(payload.clone()).with_meta(meta.clone());
                message.ack = ack.clone().filter(|_| listener.acknowledge);
                listener.emitter.emit(message).await;
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.client.listeners.write().remove(&self.filter, |listener| listener.id == self.id);
    }
}

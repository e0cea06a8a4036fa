//! One client for all sources and sinks of a named connection.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edgeward_engine::{Ack, Connection, Emitter, Message};
use edgeward_mqtt::{Filter, FilterTree};
use edgeward_mqtt_client::{Client, Handle, Incoming, Rest, Status, Taker};
use edgeward_service::Tasks;
use parking_lot::{Mutex, RwLock};

use super::config::client_options;
use super::source::{Topics, connection, token};
use crate::{ConnectError, Props};

/// A client and the streams that listen to it. A stream whose rules ask for back-pressure holds up all streams of the
/// connection, as the server does not know them apart.
pub(crate) struct SharedClient {
    pub(super) handle: Handle,
    listeners: Listeners,
    /// How many listen by each filter: the last to go unsubscribes.
    filters: Mutex<HashMap<Filter, usize>>,
    ids: AtomicU64,
}

type Listeners = Arc<RwLock<FilterTree<Listener>>>;

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
        let listeners = Listeners::default();
        let crossing = Crossing {
            listeners: listeners.clone(),
            tasks: tasks.clone(),
            topics: Topics::default(),
            found: Vec::new(),
        };
        let started = Client::start_for(crossing, options, tasks);
        let handle = started.map_err(|error| ConnectError::Connection(error.to_string()))?;
        Ok(Arc::new(SharedClient { handle, listeners, filters: Mutex::default(), ids: AtomicU64::new(0) }))
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
        self.listeners.write().insert(&filter.unshared(), Listener { id, emitter, acknowledge });
        *self.filters.lock().entry(filter.clone()).or_default() += 1;
        Listening { client: self.clone(), filter: filter.clone(), id }
    }
}

/// Where the messages of a client part for the streams that listen to it.
struct Crossing {
    listeners: Listeners,
    tasks: Tasks,
    topics: Topics,
    /// Reused.
    found: Vec<Listener>,
}

impl Taker for Crossing {
    fn take(&mut self, messages: &mut Vec<Incoming>) -> Option<Rest> {
        let mut waits = Vec::new();
        for incoming in messages.drain(..) {
            self.route(incoming, &mut waits);
        }
        if waits.is_empty() {
            return None;
        }
        Some(Box::pin(async {
            for wait in waits {
                wait.await;
            }
        }))
    }
}

impl Crossing {
    fn route(&mut self, mut incoming: Incoming, waits: &mut Vec<Rest>) {
        let found = &mut self.found;
        self.listeners.read().for_each_match(incoming.topic.as_bytes(), |listener| found.push(listener.clone()));
        let held_back = found.iter().any(|listener| listener.acknowledge);
        let ack: Option<Ack> = match incoming.take_promise() {
            Some(promise) if held_back => Some(token(&self.tasks, move || promise.keep())),
            Some(promise) => {
                promise.keep();
                None
            }
            None => None,
        };
        let meta = self.topics.of(&incoming);
        for listener in found.drain(..) {
            let mut message = Message::payload(incoming.payload.clone()).with_meta(meta.clone());
            message.ack = ack.clone().filter(|_| listener.acknowledge);
            waits.extend(listener.emitter.offer_all([message]));
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.client.listeners.write().remove(&self.filter.unshared(), |listener| listener.id == self.id);
        let mut filters = self.client.filters.lock();
        if let Entry::Occupied(mut count) = filters.entry(self.filter.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
                self.client.handle.unsubscribe(self.filter.clone());
            }
        }
    }
}

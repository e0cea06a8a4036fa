//! Named connections: created once, used by many rules through `connectionSelector`.
//!
//! A connection is its type and its properties. An `mqtt` one is also a client that its users share; of the other types each
//! user opens a socket of its own with the shared properties. Whoever uses a connection holds a [`Lease`], and a connection
//! in use can be neither changed nor deleted.

mod ping;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::{
    Connection, Emission, LookupQuery, LookupSource, Map, Reset, Sink, SinkError, Source, SourceContext, SourceError,
};
use edgeward_service::{Backoff, Tasks};
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};

use crate::mqtt::SharedClient;
use crate::{ConnectError, Props};

pub use ping::ping;

/// Types a connection can have.
pub const CONNECTION_KINDS: [&str; 12] =
    ["mqtt", "nng", "httppush", "websocket", "sse", "edgex", "sql", "kafka", "redis", "nats", "rest", "httppull"];

/// Waiting times between two tries to reach a connection's peer.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Most connections there may be.
const MAX_CONNECTIONS: usize = 10_000;

/// All named connections. They live in memory: whoever creates them keeps their definitions.
pub struct Connections {
    all: RwLock<BTreeMap<String, Arc<Named>>>,
    tasks: Tasks,
}

/// What is known of a connection.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Its id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its properties, secrets included: mask them before showing them.
    pub props: Props,
    /// How it is doing.
    pub status: Connection,
    /// Rules and streams that use it, in the order of their names.
    pub users: Vec<String>,
}

pub(crate) struct Named {
    id: String,
    kind: String,
    props: Props,
    /// By name, with the number of leases.
    users: Mutex<BTreeMap<String, usize>>,
    state: State,
    tasks: Tasks,
}

enum State {
    /// A client that is shared.
    Mqtt(Arc<SharedClient>),
    /// What the search for the peer has found so far.
    Sought(Arc<Mutex<Connection>>),
}

impl Default for Connections {
    fn default() -> Connections {
        Connections { all: RwLock::default(), tasks: Tasks::root("connections") }
    }
}

impl Connections {
    /// Connections whose clients end with `parent`.
    pub fn new(parent: &Tasks) -> Connections {
        Connections { all: RwLock::default(), tasks: parent.child("connections") }
    }

    /// Creates a connection and begins to connect; that the peer cannot be reached yet is no error.
    ///
    /// # Errors
    /// Id or type are empty or unknown, the id is taken, or a property is wrong.
    pub fn create(&self, id: &str, kind: &str, props: Props) -> Result<(), ConnectError> {
        if id.is_empty() || kind.is_empty() {
            return Err(refused("connection id and type should be defined"));
        }
        let mut all = self.all.write();
        if all.contains_key(id) {
            return Err(refused(format!("connection {id} already been created")));
        }
        if all.len() >= MAX_CONNECTIONS {
            return Err(refused(format!("there are {MAX_CONNECTIONS} connections already; delete some")));
        }
        all.insert(id.to_owned(), Arc::new(Named::start(id, kind, props, &self.tasks)?));
        Ok(())
    }

    /// Replaces type and properties of a connection nobody uses.
    ///
    /// # Errors
    /// There is no such connection, it is in use, or the new properties are wrong; then the old connection stays.
    pub fn update(&self, id: &str, kind: &str, props: Props) -> Result<(), ConnectError> {
        let mut all = self.all.write();
        let old = all.get(id).ok_or_else(|| unknown(id))?;
        old.check_unused("updated")?;
        let new = Arc::new(Named::start(id, kind, props, &self.tasks)?);
        all.insert(id.to_owned(), new);
        Ok(())
    }

    /// Deletes a connection nobody uses.
    ///
    /// # Errors
    /// There is no such connection, or it is in use; the text names its users.
    pub fn delete(&self, id: &str) -> Result<(), ConnectError> {
        let mut all = self.all.write();
        all.get(id).ok_or_else(|| unknown(id))?.check_unused("dropped")?;
        all.remove(id);
        Ok(())
    }

    /// A connection by its id.
    pub fn get(&self, id: &str) -> Option<ConnectionInfo> {
        self.all.read().get(id).map(|named| named.info())
    }

    /// All connections in the order of their ids.
    pub fn list(&self) -> Vec<ConnectionInfo> {
        self.all.read().values().map(|named| named.info()).collect()
    }

    /// The client of the `mqtt` connection a `connectionSelector` names; none without that property.
    ///
    /// # Errors
    /// There is no such connection, or it is of another type.
    pub(crate) fn mqtt(&self, props: &Props) -> Result<Option<Arc<SharedClient>>, ConnectError> {
        let Some(named) = self.selected(props)? else { return Ok(None) };
        match &named.state {
            State::Mqtt(client) => Ok(Some(client.clone())),
            State::Sought(_) => Err(refused(format!("connection {} is of type {}, not mqtt", named.id, named.kind))),
        }
    }

    /// The connection a `connectionSelector` names, for as long as the answer lives; none without that property.
    ///
    /// # Errors
    /// There is no such connection.
    pub(crate) fn lease(&self, props: &Props, user: &str) -> Result<Option<Lease>, ConnectError> {
        let Some(named) = self.selected(props)? else { return Ok(None) };
        *named.users.lock().entry(user.to_owned()).or_default() += 1;
        Ok(Some(Lease { named, user: user.to_owned() }))
    }

    fn selected(&self, props: &Props) -> Result<Option<Arc<Named>>, ConnectError> {
        let Some(selector) = props.text("connectionSelector")? else { return Ok(None) };
        let all = self.all.read();
        // eKuiper 1 wrote `type.id`.
        let named = all.get(selector).or_else(|| all.get(selector.split_once('.')?.1));
        named.cloned().map(Some).ok_or_else(|| unknown(selector))
    }
}

impl Named {
    fn start(id: &str, kind: &str, props: Props, parent: &Tasks) -> Result<Named, ConnectError> {
        if !CONNECTION_KINDS.contains(&kind) {
            return Err(refused(format!("unknown connection type {kind}; use {}", CONNECTION_KINDS.join(", "))));
        }
        let tasks = parent.child(format!("connection {id}"));
        let state = match kind {
            "mqtt" => State::Mqtt(SharedClient::start(&props, &tasks)?),
            _ => {
                let found = Arc::new(Mutex::new(Connection::Connecting));
                tasks.spawn_until_cancelled("connection-ping", seek(kind.to_owned(), props.clone(), found.clone()));
                State::Sought(found)
            }
        };
        Ok(Named { id: id.to_owned(), kind: kind.to_owned(), props, users: Mutex::default(), state, tasks })
    }

    fn info(&self) -> ConnectionInfo {
        let status = match &self.state {
            State::Mqtt(client) => client.connection(),
            State::Sought(found) => found.lock().clone(),
        };
        let users = self.users.lock().keys().cloned().collect();
        ConnectionInfo { id: self.id.clone(), kind: self.kind.clone(), props: self.props.clone(), status, users }
    }

    fn check_unused(&self, what: &str) -> Result<(), ConnectError> {
        let users = self.users.lock();
        if users.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = users.keys().map(String::as_str).collect();
        let id = &self.id;
        Err(refused(format!("connection {id} can't be {what} due to rule references [{}]", names.join(" "))))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

/// Tries to reach a peer until it answers.
async fn seek(kind: String, props: Props, found: Arc<Mutex<Connection>>) {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    loop {
        match ping(&kind, &props).await {
            Ok(()) => {
                *found.lock() = Connection::Connected;
                return;
            }
            Err(error) => *found.lock() = Connection::Disconnected(error.to_string()),
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// Somebody's use of a connection.
pub(crate) struct Lease {
    named: Arc<Named>,
    user: String,
}

impl Lease {
    /// `props` over those of the connection.
    pub(crate) fn under(&self, props: &Props) -> Props {
        self.named.props.clone().overlaid(props.all().clone())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut users = self.named.users.lock();
        if let Some(count) = users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.user);
            }
        }
    }
}

fn refused(text: impl Into<String>) -> ConnectError {
    ConnectError::Connection(text.into())
}

fn unknown(id: &str) -> ConnectError {
    refused(format!("connection {id} not existed"))
}

/// A source, sink or lookup table that uses a connection until it is dropped.
pub(crate) struct Leased<T: ?Sized> {
    _lease: Lease,
    inner: Box<T>,
}

impl<T: ?Sized> Leased<T> {
    pub(crate) fn new(inner: Box<T>, lease: Lease) -> Leased<T> {
        Leased { _lease: lease, inner }
    }
}

impl Source for Leased<dyn Source> {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let Leased { _lease, inner } = *self;
            inner.run(context).await
        })
    }

    fn reset(&self) -> Option<Reset> {
        self.inner.reset()
    }
}

impl LookupSource for Leased<dyn LookupSource> {
    fn lookup<'a>(&'a self, query: LookupQuery<'a>) -> BoxFuture<'a, Result<Vec<Arc<Map>>, SourceError>> {
        self.inner.lookup(query)
    }

    fn connection(&self) -> Option<Connection> {
        self.inner.connection()
    }
}

impl Sink for Leased<dyn Sink> {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        self.inner.send(emission)
    }

    fn open(&mut self) {
        self.inner.open();
    }

    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        self.inner.close()
    }

    fn connection(&self) -> Option<Connection> {
        self.inner.connection()
    }
}

//! The server on port 10081 that `httppush`, `websocket` and `sse` share. It starts with the first path somebody wants and
//! serves until its [`HttpHost`] is dropped.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use edgeward_engine::{Connection, Emitter, SourceContext};
use edgeward_service::{Backoff, Tasks};
use http::Method;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, Semaphore, broadcast};
use tokio_rustls::TlsAcceptor;

use super::answer::connection;

/// Connections served at a time; further ones wait.
const MAX_CONNECTIONS: usize = 1_024;
/// How long a client may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Messages that wait for one listening client; a slower one loses the oldest.
const WAITING: usize = 1_024;

/// What somebody does with a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Takes bodies sent with this method.
    Push(Method),
    /// Talks over WebSocket.
    Socket,
    /// Sends events.
    Events,
}

/// Who listens at a path, and what is sent to its clients.
struct Endpoint {
    listeners: Vec<(u64, Listener)>,
    /// Registrations; the endpoint goes with the last.
    users: usize,
    outgoing: broadcast::Sender<Bytes>,
}

/// A stream that takes messages.
#[derive(Clone)]
pub(super) struct Listener {
    pub(super) emitter: Emitter,
    pub(super) acknowledge: bool,
}

/// The server and the paths it knows.
pub struct HttpHost {
    address: SocketAddr,
    /// None: in the clear.
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    /// The address it is bound to.
    bound: OnceCell<SocketAddr>,
    tasks: Tasks,
}

/// What the connections of the server see.
#[derive(Default)]
pub(super) struct Shared {
    endpoints: Mutex<HashMap<(Role, String), Endpoint>>,
    next: AtomicU64,
}

impl Shared {
    /// Who listens at a path, and what will be sent to its clients.
    pub(super) fn find(&self, role: Role, path: &str) -> Option<(Vec<Listener>, broadcast::Receiver<Bytes>)> {
        let endpoints = self.endpoints.lock();
        let found = endpoints.get(&(role, path.to_owned()))?;
        Some((found.listeners.iter().map(|(_, listener)| listener.clone()).collect(), found.outgoing.subscribe()))
    }

    /// Whether a path is used in any way.
    pub(super) fn knows(&self, path: &str) -> bool {
        self.endpoints.lock().keys().any(|(_, known)| *known == path)
    }
}

impl fmt::Debug for HttpHost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("HttpHost").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Default for HttpHost {
    /// At 127.0.0.1:10081. eKuiper listens on all interfaces; `source.httpServerIp` says so here too.
    fn default() -> HttpHost {
        HttpHost::new(SocketAddr::from(([127, 0, 0, 1], 10_081)))
    }
}

impl Drop for HttpHost {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

/// A path in use; dropping it gives it back.
pub(crate) struct Listening {
    shared: Arc<Shared>,
    key: (Role, String),
    id: u64,
    outgoing: broadcast::Sender<Bytes>,
}

impl Listening {
    /// Sends to all clients of the path. Nobody has to listen.
    pub(crate) fn send(&self, message: Bytes) {
        let _ = self.outgoing.send(message);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut endpoints = self.shared.endpoints.lock();
        if let Some(endpoint) = endpoints.get_mut(&self.key) {
            endpoint.listeners.retain(|(id, _)| *id != self.id);
            endpoint.users -= 1;
            if endpoint.users == 0 {
                endpoints.remove(&self.key);
            }
        }
    }
}

impl HttpHost {
    /// A server that will listen at `address`; port 0 takes any.
    pub fn new(address: SocketAddr) -> HttpHost {
        HttpHost { address, tls: None, shared: Arc::default(), bound: OnceCell::new(), tasks: Tasks::root("http-host") }
    }

    /// The same over TLS (`source.httpServerTls`).
    pub fn with_tls(self, config: Arc<ServerConfig>) -> HttpHost {
        let mut host = self;
        host.tls = Some(TlsAcceptor::from(config));
        host
    }

    /// Starts the server if it does not run, and says where it listens.
    ///
    /// # Errors
    /// The address cannot be bound; the next call tries again.
    pub async fn start(&self) -> io::Result<SocketAddr> {
        let start = || async {
            let listener = TcpListener::bind(self.address).await?;
            let address = listener.local_addr()?;
            let (shared, tls, tasks) = (self.shared.clone(), self.tls.clone(), self.tasks.clone());
            self.tasks.spawn_until_cancelled("accept", accept(listener, tls, shared, tasks));
            Ok(address)
        };
        self.bound.get_or_try_init(start).await.copied()
    }

    /// Uses a path: takes what its clients send (with an emitter) and sends to them. Clients come once the server runs.
    pub(crate) fn register(&self, role: Role, path: &str, emitter: Option<(Emitter, bool)>) -> Listening {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let key = (role, path.to_owned());
        let mut endpoints = self.shared.endpoints.lock();
        let fresh = || Endpoint { listeners: Vec::new(), users: 0, outgoing: broadcast::channel(WAITING).0 };
        let endpoint = endpoints.entry(key.clone()).or_insert_with(fresh);
        endpoint.users += 1;
        endpoint.listeners.extend(emitter.map(|(emitter, acknowledge)| (id, Listener { emitter, acknowledge })));
        let outgoing = endpoint.outgoing.clone();
        drop(endpoints);
        Listening { shared: self.shared.clone(), key, id, outgoing }
    }

    #[cfg(test)]
    pub(crate) fn knows(&self, path: &str) -> bool {
        self.shared.knows(path)
    }

    /// Starts the server in its own time, for sinks: clients may come before the first message does.
    pub(crate) fn start_soon(self: &Arc<Self>) {
        if self.bound.initialized() {
            return;
        }
        let host = Arc::downgrade(self);
        self.tasks.spawn_until_cancelled("start", async move {
            let mut backoff = backoff();
            while let Some(host) = host.upgrade() {
                let Err(error) = host.start().await else { return };
                tracing::warn!(address = %host.address, %error, "the server of websocket and sse cannot listen, trying again");
                drop(host);
                tokio::time::sleep(backoff.next_delay()).await;
            }
        });
    }

    /// Uses a path for a source and starts the server, trying again while the address is taken. None when the source is
    /// told to end.
    pub(crate) async fn listen(
        &self,
        role: Role,
        path: &str,
        emitter: (Emitter, bool),
        context: &SourceContext,
    ) -> Option<Listening> {
        let listening = self.register(role, path, Some(emitter));
        let mut backoff = backoff();
        loop {
            let reason = match self.start().await {
                Ok(_) => {
                    context.emitter.connection(Connection::Connected);
                    return Some(listening);
                }
                Err(error) => format!("cannot listen at {}: {error}", self.address),
            };
            context.emitter.connection(Connection::Disconnected(reason));
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = context.tasks.cancelled() => return None,
            }
        }
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(500), Duration::from_secs(30))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: give the others time to end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (tls, shared, inner) = (tls.clone(), shared.clone(), tasks.clone());
        tasks.spawn_until_cancelled("connection", async move {
            let _ = stream.set_nodelay(true);
            let Some(tls) = tls else { return connection(stream, shared, inner, place).await };
            match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => connection(stream, shared, inner, place).await,
                Ok(Err(error)) => tracing::debug!(%error, "a client of the shared server failed its handshake"),
                Err(_) => tracing::debug!("a client of the shared server did not finish its handshake"),
            }
        });
    }
}

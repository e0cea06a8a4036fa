//! The hub as a whole: what is started, and the handle others hold.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use edgeward_pki::Authority;
use edgeward_pki::tls::{ClientAuth, Versions, server_config};
use edgeward_service::Tasks;
use edgeward_service::clock::now_ms;
use edgeward_wire::{LogRequest, StreamFailure, StreamRequest};
use kube::Client;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::enroll::{self, Refusals};
use crate::keys::Keys;
use crate::metrics::{REPLACED, SESSIONS};
use crate::streams::{NodeStream, Streams};
use crate::view::View;
use crate::{Error, Handlers, Options, listen, session, watch};

/// Session events kept for a slow listener; it is told when it missed some.
const EVENTS: usize = 1_024;
/// How long an older session of the same node may take to end.
const REPLACE_GRACE: Duration = Duration::from_secs(5);

/// Starts the hub.
#[derive(Debug)]
pub struct Service;

/// A running hub.
#[derive(Clone)]
pub struct Handle {
    hub: Arc<Hub>,
    enroll_address: SocketAddr,
    link_address: SocketAddr,
}

/// Who is on the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// A KubeEdge edgecore: text messages, one at a time.
    Kubeedge,
    /// Our own agent.
    Own,
}

/// One node's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Node name.
    pub node: Arc<str>,
    /// Its address.
    pub remote: SocketAddr,
    /// What it is.
    pub peer: PeerKind,
    /// Milliseconds since 1970.
    pub since_ms: i64,
}

/// A node came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// A session began.
    Connected(SessionInfo),
    /// The node's session ended, and no newer one replaced it.
    Disconnected {
        /// Node name.
        node: Arc<str>,
        /// Why.
        reason: &'static str,
    },
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The node has no session now.
    #[error("node {0} is not connected; try again when it is")]
    Offline(String),
    /// A KubeEdge edge: its logs come through a tunnel of their own, which this hub does not serve.
    #[error("node {0} runs KubeEdge's edgecore; its logs cannot be read here, read them on the node")]
    Unsupported(String),
    /// The node says no.
    #[error(transparent)]
    Node(#[from] StreamFailure),
}

/// What all sessions share.
pub(crate) struct Hub {
    pub(crate) options: Options,
    pub(crate) client: Client,
    pub(crate) authority: Arc<Authority>,
    pub(crate) handlers: Handlers,
    pub(crate) view: Arc<View>,
    pub(crate) keys: Keys,
    pub(crate) refusals: Refusals,
    pub(crate) cluster_ca_pem: String,
    pub(crate) tasks: Tasks,
    sessions: Mutex<HashMap<Arc<str>, Slot>>,
    last_id: AtomicU64,
    events: broadcast::Sender<SessionEvent>,
}

struct Slot {
    id: u64,
    info: SessionInfo,
    tasks: Tasks,
    streams: Streams,
}

/// A session in the table.
pub(crate) struct Registered {
    id: u64,
    node: Arc<str>,
}

impl Service {
    /// Binds both ports, starts the watches and serves until `tasks` are shut down.
    pub async fn start(
        options: Options,
        tasks: &Tasks,
        client: Client,
        authority: Arc<Authority>,
        handlers: Handlers,
    ) -> Result<Handle, Error> {
        let tasks = tasks.child("hub");
        let identity = authority.server_identity("hub", &options.hosts)?;
        let tls = |clients, protocols: &[&[u8]]| {
            let mut config = server_config(&identity, authority.certificate(), clients, Versions::Kubeedge)?;
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Ok::<_, Error>(config)
        };
        let enroll_tls = tls(ClientAuth::Optional, &[b"h2", b"http/1.1"])?;
        let link_tls = tls(ClientAuth::Required, &[])?;
        let enroll_listener = listen::bind(options.enroll_listen).await?;
        let link_listener = listen::bind(options.link_listen).await?;
        let address = |listener: &tokio::net::TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let enroll_address = address(&enroll_listener, options.enroll_listen);
        let link_address = address(&link_listener, options.link_listen);

        let (handshakes, timeout) = (options.handshakes, options.handshake_timeout);
        let hub = Arc::new(Hub::new(options, tasks.clone(), client, authority.clone(), handlers));
        watch::start(&hub.client, &hub.view, &tasks.child("watch"));
        let serving = hub.clone();
        listen::serve(enroll_listener, enroll_tls, handshakes, timeout, &tasks, move |accepted| {
            enroll::serve(serving.clone(), accepted)
        });
        let serving = hub.clone();
        listen::serve(link_listener, link_tls, handshakes, timeout, &tasks, move |accepted| {
            session::serve(serving.clone(), accepted)
        });
        tracing::info!(%enroll_address, %link_address, "hub ready");
        Ok(Handle { hub, enroll_address, link_address })
    }
}

impl Handle {
    /// The nodes connected now, by name.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let mut sessions: Vec<_> = self.hub.sessions.lock().values().map(|slot| slot.info.clone()).collect();
        sessions.sort_by(|a, b| a.node.cmp(&b.node));
        sessions
    }

    /// Nodes coming and going from now on. A listener that falls behind is told how many events it missed; then
    /// [`Handle::sessions`] has the truth.
    pub fn events(&self) -> broadcast::Receiver<SessionEvent> {
        self.hub.events.subscribe()
    }

    /// Frees a node name for another machine: the next key that joins under it with a token gets it. The session of the
    /// present holder ends and its certificate is refused from now on. False: no key held the name.
    pub async fn forget_node(&self, node: &str) -> Result<bool, Error> {
        let forgotten = forget_node(&self.hub.client, node).await?;
        let session = self.hub.sessions.lock().get(node).map(|slot| slot.tasks.clone());
        if let Some(session) = session {
            session.token().cancel();
        }
        Ok(forgotten)
    }

    /// Opens a container's log on the node that runs it.
    pub async fn logs(&self, node: &str, request: LogRequest) -> Result<NodeStream, LogsError> {
        let session = self.hub.sessions.lock().get(node).map(|slot| (slot.info.peer, slot.streams.clone()));
        match session {
            None => Err(LogsError::Offline(node.to_owned())),
            Some((PeerKind::Kubeedge, _)) => Err(LogsError::Unsupported(node.to_owned())),
            Some((PeerKind::Own, streams)) => Ok(streams.open(StreamRequest::Logs(request)).await?),
        }
    }

    /// Where nodes join.
    pub fn enroll_address(&self) -> SocketAddr {
        self.enroll_address
    }

    /// Where nodes hold their sessions.
    pub fn link_address(&self) -> SocketAddr {
        self.link_address
    }
}

/// Frees a node name through the API alone, for a command line beside a running hub: the certificate of the present
/// holder opens no session any more; the session it has ends when the new holder connects. See [`Handle::forget_node`].
pub async fn forget_node(client: &Client, node: &str) -> Result<bool, Error> {
    let forgotten = Keys::new(client.clone()).forget(node).await;
    forgotten.map_err(|failure| Error::Refused { action: "forget the node's key", reason: failure.message })
}

impl Hub {
    fn new(options: Options, tasks: Tasks, client: Client, authority: Arc<Authority>, handlers: Handlers) -> Self {
        let cluster_ca_pem = match options.cluster_ca_pem.as_str() {
            "" => authority.certificate_pem(),
            pem => pem.to_owned(),
        };
        Self {
            keys: Keys::new(client.clone()),
            view: Arc::default(),
            refusals: Refusals::default(),
            sessions: Mutex::default(),
            last_id: AtomicU64::new(0),
            events: broadcast::Sender::new(EVENTS),
            cluster_ca_pem,
            options,
            client,
            authority,
            handlers,
            tasks,
        }
    }

    /// Whether a session of this node may begin: it replaces its own, or there is room.
    pub(crate) fn has_room_for(&self, node: &str) -> bool {
        let sessions = self.sessions.lock();
        sessions.contains_key(node) || sessions.len() < self.options.node_limit
    }

    /// Enters a session in the table, after the older session of the same node has ended.
    pub(crate) async fn register(
        &self,
        node: Arc<str>,
        peer: PeerKind,
        remote: SocketAddr,
        tasks: Tasks,
        streams: Streams,
    ) -> Registered {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let info = SessionInfo { node: node.clone(), remote, peer, since_ms: now_ms() };
        let older = self.sessions.lock().insert(node.clone(), Slot { id, info: info.clone(), tasks, streams });
        match older {
            Some(older) => {
                REPLACED.inc();
                older.tasks.shutdown(REPLACE_GRACE).await;
            }
            None => SESSIONS.add(1),
        }
        tracing::info!(%node, %remote, ?peer, "node connected");
        // Nobody needs to listen.
        let _ = self.events.send(SessionEvent::Connected(info));
        Registered { id, node }
    }

    /// Takes a session out of the table, unless a newer one replaced it.
    pub(crate) fn unregister(&self, registered: Registered, reason: &'static str) {
        let Registered { id, node } = registered;
        let mut sessions = self.sessions.lock();
        if sessions.get(&node).is_none_or(|slot| slot.id != id) {
            return;
        }
        sessions.remove(&node);
        drop(sessions);
        SESSIONS.sub(1);
        tracing::info!(%node, reason, "node disconnected");
        let _ = self.events.send(SessionEvent::Disconnected { node, reason });
    }
}

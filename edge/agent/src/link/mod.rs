//! The way to the cloud: one outbound WebSocket over mutual TLS, KubeEdge's envelope on it.
//!
//! [`Link::start`] keeps a session up for ever: it joins if the node has no certificate yet, connects, notices a dead peer
//! within seconds, and comes back with jittered delays. Between our own ends the upgrade header `Edgeward-Link` adds binary
//! frames, several messages in flight and the list of what the node has; a KubeEdge cloudcore does not answer it and gets
//! KubeEdge's habits.
//!
//! Nothing is lost with a session: what must go up is kept by its owner (replica, outbox, twin) until the cloud answered.

mod credentials;
mod dial;
mod downstream;
mod http;
mod requests;
mod session;
mod streams;
mod telemetry;
mod upstream;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Backoff, Counter, Gauge, Tasks};
use edgeward_wire::{Envelope, Limits};
use parking_lot::Mutex;
use tokio::sync::watch;

pub use credentials::{Credentials, join};
pub use downstream::Devices;
pub use requests::{Answer, Refusal};
pub(crate) use session::{End, Session};
pub use streams::{LogData, Logs};
pub(crate) use upstream::encode;

use crate::Error;
use crate::outbox::Outbox;
use crate::replica::Replica;

/// Where the cloud is and how patient the node is with it.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` of the hub's WebSocket listener (KubeEdge: 10000).
    pub server: String,
    /// `host:port` of the hub's HTTPS listener for joining (KubeEdge: 10002).
    pub https: String,
    /// This node's name.
    pub node: String,
    /// First segment of the WebSocket path; KubeEdge's default project.
    pub project: String,
    /// Join token; needed only as long as the node has no certificate.
    pub token: Option<String>,
    /// Folder of CA, certificate and key.
    pub folder: PathBuf,
    /// How long name lookup, TCP, TLS and the upgrade may take, each.
    pub connect_timeout: Duration,
    /// First and longest pause between two attempts (jittered).
    pub retry: (Duration, Duration),
    /// Pause after a refusal.
    pub refused_retry: Duration,
    /// KubeEdge's heartbeat (15 s; its cloud ends a session after 30 s without).
    pub keepalive: Duration,
    /// A WebSocket ping is sent this often.
    pub ping: Duration,
    /// The peer is dead when nothing at all came for this long. A Go cloudcore answers pings only between two messages, so
    /// it gets `kubeedge_dead_after`.
    pub dead_after: Duration,
    /// The same for a KubeEdge cloudcore.
    pub kubeedge_dead_after: Duration,
    /// How long a request may wait for its answer.
    pub request_timeout: Duration,
    /// Most unanswered requests; more are refused.
    pub requests: usize,
    /// Most unanswered reports of object state.
    pub reports_in_flight: usize,
    /// Readings sent and not confirmed, beyond which no further batch is sent.
    pub readings_in_flight: u64,
    /// Messages waiting for the socket; more wait outside.
    pub queue: usize,
    /// What is accepted from the hub.
    pub limits: Limits,
}

impl Options {
    /// The usual patience, for a hub at `host` on KubeEdge's ports.
    pub fn new(host: &str, node: &str, folder: PathBuf) -> Self {
        Self {
            server: format!("{host}:10000"),
            https: format!("{host}:10002"),
            node: node.to_owned(),
            project: "e632aba927ea4ac2b575ec1603d56f10".to_owned(),
            token: None,
            folder,
            connect_timeout: Duration::from_secs(3),
            retry: (Duration::from_millis(200), Duration::from_secs(2)),
            refused_retry: Duration::from_secs(30),
            keepalive: Duration::from_secs(15),
            ping: Duration::from_secs(2),
            dead_after: Duration::from_secs(6),
            kubeedge_dead_after: Duration::from_secs(45),
            request_timeout: Duration::from_secs(30),
            requests: 1024,
            reports_in_flight: 16,
            readings_in_flight: 8192,
            queue: 256,
            limits: Limits::default(),
        }
    }
}

/// How the link is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// No session: never tried yet, or waiting to try again; the text says why the last one failed or ended.
    Offline(String),
    /// A session is up. `own`: the hub is one of ours.
    Online {
        /// The hub answered `Edgeward-Link`.
        own: bool,
    },
    /// The cloud does not let this node in: token, CA hash or name. Somebody has to do something about it; the node only
    /// looks from time to time whether somebody did.
    Refused(String),
}

impl LinkState {
    /// Whether a session is up.
    pub fn is_online(&self) -> bool {
        matches!(self, Self::Online { .. })
    }
}

/// The link; cheap to clone.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    state: watch::Sender<LinkState>,
    session: Mutex<Option<Session>>,
}

/// What the link serves.
#[derive(Clone)]
pub struct Served {
    /// Where documents from the cloud go and status comes from.
    pub replica: Replica,
    /// Where telemetry comes from; `None` sends none.
    pub outbox: Option<Outbox>,
    /// Who is told of device memberships.
    pub devices: Option<Arc<dyn Devices>>,
    /// Where container logs come from; `None`: the node runs no containers.
    pub logs: Option<Arc<dyn Logs>>,
}

/// Work that lives as long as a session: the node's heartbeat, the twins' reports. It ends the session when it returns.
pub(crate) trait SessionWork: Send + Sync {
    /// Called with each new session.
    fn run(self: Arc<Self>, session: Session) -> futures::future::BoxFuture<'static, End>;
}

impl Link {
    /// A link that is not running yet: others may already ask it (and be told that it is offline).
    pub fn new(options: Options) -> Self {
        let state = watch::Sender::new(LinkState::Offline("not connected yet".to_owned()));
        Self { shared: Arc::new(Shared { options, state, session: Mutex::new(None) }) }
    }

    /// Joins if need be and keeps a session up until `tasks` end.
    pub(crate) fn start(&self, served: Served, work: Vec<Arc<dyn SessionWork>>, tasks: &Tasks) {
        let link = self.clone();
        tasks.spawn_until_cancelled("link", async move { Box::pin(link.keep_up(served, work)).await });
    }

    /// Follows the state.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.shared.state.subscribe()
    }

    /// Whether a session is up now.
    pub fn is_online(&self) -> bool {
        self.shared.state.borrow().is_online()
    }

    /// Sends a request and waits for its answer. [`Error::Offline`] at once without a session, or when it ends meanwhile.
    pub async fn request(&self, message: Envelope) -> Result<Answer, Error> {
        let session = self.shared.session.lock().clone();
        session.ok_or(Error::Offline)?.request(message).await
    }

    async fn keep_up(self, served: Served, work: Vec<Arc<dyn SessionWork>>) {
        let options = &self.shared.options;
        let mut backoff = Backoff::new(options.retry.0, options.retry.1);
        loop {
            let (state, delay) = match self.session(&served, &work, &mut backoff).await {
                Ok(end) => (LinkState::Offline(end.to_string()), backoff.next_delay()),
                Err(error @ (Error::Refused { .. } | Error::Token(_) | Error::NoToken | Error::Credentials(_))) => {
                    tracing::error!(%error, "the cloud does not let this node in; it works on alone");
                    (LinkState::Refused(error.to_string()), options.refused_retry)
                }
                Err(error) => (LinkState::Offline(error.to_string()), backoff.next_delay()),
            };
            ENDS.inc();
            tracing::info!(?state, delay_ms = delay.as_millis() as u64, "link is down");
            self.shared.state.send_replace(state);
            tokio::time::sleep(delay).await;
        }
    }

    /// Runs one session to its end.
    async fn session(
        &self,
        served: &Served,
        work: &[Arc<dyn SessionWork>],
        backoff: &mut Backoff,
    ) -> Result<End, Error> {
        let options = &self.shared.options;
        let credentials = join(options).await?;
        let (socket, own) = dial::dial(options, &credentials).await?;
        backoff.reset();
        SESSIONS.inc();
        tracing::info!(server = options.server, own, "link is up");
        let (session, parts) = Session::new(options, own);
        *self.shared.session.lock() = Some(session.clone());
        let _down = Down(&self.shared);
        UP.set(1);
        self.shared.state.send_replace(LinkState::Online { own });
        Ok(session::run(session, parts, socket, served, work, &credentials, options).await)
    }
}

/// Takes the session away however it ends.
struct Down<'a>(&'a Shared);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        UP.set(0);
        if let Some(session) = self.0.session.lock().take() {
            session.close();
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("state", &*self.shared.state.borrow()).finish_non_exhaustive()
    }
}

static SESSIONS: Counter = Counter::new("edgeward_link_sessions_total", "sessions with the cloud that were opened");
static ENDS: Counter = Counter::new("edgeward_link_ends_total", "sessions that ended and attempts that failed");
static UP: Gauge = Gauge::new("edgeward_link_up", "1 while a session with the cloud is up");

//! The connections of one endpoint: listening or dialling, with reconnect, bounded queues both ways.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use edgeward_service::{Backoff, Counter, Tasks};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::codec::Framed;

use super::{FrameCodec, Framing, HANDSHAKE, Protocol, SpError};

static REFUSED: Counter =
    Counter::new("edgeward_sp_refused_total", "Connections over max_peers or with a bad handshake");

/// Limits of a socket.
#[derive(Debug, Clone)]
pub struct Options {
    /// Largest message in bytes; a peer that sends more is disconnected.
    pub max_frame_bytes: usize,
    /// Messages waiting in each direction; a full inbox holds the peer up.
    pub queue: usize,
    /// Connections a listening socket keeps at once; more are refused and counted.
    pub max_peers: usize,
    /// How long a peer may take for its handshake.
    pub handshake: Duration,
    /// Shortest and longest wait before dialling again.
    pub retry: (Duration, Duration),
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_frame_bytes: 16 << 20,
            queue: 256,
            max_peers: 16,
            handshake: Duration::from_secs(5),
            retry: (Duration::from_millis(20), Duration::from_secs(2)),
        }
    }
}

/// Which side of the unix socket this end is.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// Makes the socket's file (mode 0600) and takes any number of peers.
    Listen(PathBuf),
    /// Connects to it, again after every failure.
    Dial(PathBuf),
}

/// A message and the connection it came by.
#[derive(Debug)]
pub struct Incoming {
    /// Payload with the protocol's header, if it has one.
    pub body: Bytes,
    /// Where an answer goes.
    pub peer: Peer,
}

/// A live connection. Clones are the same connection.
#[derive(Debug, Clone)]
pub struct Peer {
    id: u64,
    outbox: mpsc::Sender<Outgoing>,
}

impl PartialEq for Peer {
    fn eq(&self, other: &Peer) -> bool {
        self.id == other.id
    }
}

#[derive(Debug)]
struct Outgoing {
    head: Option<[u8; 4]>,
    body: Bytes,
    written: oneshot::Sender<()>,
}

impl Peer {
    /// Writes a message; resolves when the operating system has it.
    ///
    /// # Errors
    /// The connection ended before.
    pub async fn send(&self, head: Option<[u8; 4]>, body: Bytes) -> Result<(), SpError> {
        let (written, done) = oneshot::channel();
        self.outbox.send(Outgoing { head, body, written }).await.map_err(|_| SpError::Closed)?;
        done.await.map_err(|_| SpError::Closed)
    }

    /// Waits until the connection has ended; all it brought is in the inbox then.
    pub async fn gone(&self) {
        self.outbox.closed().await;
    }
}

/// An endpoint with its connections; closed when dropped.
#[derive(Debug)]
pub struct Socket {
    inbox: mpsc::Receiver<Incoming>,
    /// The newest connection.
    newest: watch::Receiver<Option<Peer>>,
    tasks: Tasks,
    file: Option<PathBuf>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.tasks.token().cancel();
        if let Some(file) = &self.file {
            // Gone already when somebody cleaned up before us.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// What the tasks of a socket share.
#[derive(Clone)]
struct Shared {
    protocol: Protocol,
    options: Arc<Options>,
    inbox: mpsc::Sender<Incoming>,
    newest: watch::Sender<Option<Peer>>,
    ids: Arc<AtomicU64>,
    tasks: Tasks,
}

impl Socket {
    /// Opens an endpoint.
    ///
    /// # Errors
    /// The path cannot be listened on.
    pub fn open(endpoint: Endpoint, protocol: Protocol, options: &Options, tasks: &Tasks) -> Result<Socket, SpError> {
        let (inbox_sender, inbox) = mpsc::channel(options.queue.max(1));
        let (newest_sender, newest) = watch::channel(None);
        let tasks = tasks.child("sp");
        let shared = Shared {
            protocol,
            options: Arc::new(options.clone()),
            inbox: inbox_sender,
            newest: newest_sender,
            ids: Arc::default(),
            tasks: tasks.clone(),
        };
        let file = match endpoint {
            Endpoint::Listen(path) => {
                let listener = listen(&path).map_err(|source| SpError::Listen { path: path.clone(), source })?;
                tasks.spawn_until_cancelled("accept", shared.accept(listener));
                Some(path)
            }
            Endpoint::Dial(path) => {
                tasks.spawn_until_cancelled("dial", shared.dial(path));
                None
            }
        };
        Ok(Socket { inbox, newest, tasks, file })
    }

    /// The next message of any peer; none when the socket's tasks have ended. Safe to drop while waiting.
    pub async fn recv(&mut self) -> Option<Incoming> {
        self.inbox.recv().await
    }

    /// A message that has come already.
    pub fn try_recv(&mut self) -> Option<Incoming> {
        self.inbox.try_recv().ok()
    }

    /// Waits for a connection. Safe to drop while waiting.
    ///
    /// # Errors
    /// The socket's tasks have ended.
    pub async fn peer(&mut self) -> Result<Peer, SpError> {
        let peer = self.newest.wait_for(Option::is_some).await.map_err(|_| SpError::Closed)?.clone();
        peer.ok_or(SpError::Closed)
    }

    /// The next message; none once `peer` is no longer the newest connection.
    ///
    /// # Errors
    /// The socket's tasks have ended.
    pub async fn recv_while(&mut self, peer: &Peer) -> Result<Option<Incoming>, SpError> {
        let Socket { inbox, newest, .. } = self;
        tokio::select! {
            biased;
            incoming = inbox.recv() => incoming.map(Some).ok_or(SpError::Closed),
            _ = newest.wait_for(|newest| is_other(newest, peer)) => Ok(None),
        }
    }

    /// Waits until `peer` is no longer the newest connection.
    pub async fn replaced(&mut self, peer: &Peer) {
        // An error means that the tasks ended, and the connection with them.
        let _ = self.newest.wait_for(|newest| is_other(newest, peer)).await;
    }
}

fn is_other(newest: &Option<Peer>, peer: &Peer) -> bool {
    newest.as_ref().is_none_or(|newest| newest.id != peer.id)
}

/// A file left by a process that was killed is replaced; one that still answers is not.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(std::io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Shared {
    async fn accept(self, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(self.options.max_peers));
        let mut backoff = Backoff::new(self.options.retry.0, self.options.retry.1);
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors: some will be free later.
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(backoff.next_delay()).await;
                    continue;
                }
            };
            backoff.reset();
            let Ok(place) = places.clone().try_acquire_owned() else {
                REFUSED.inc();
                continue;
            };
            let shared = self.clone();
            self.tasks.spawn_until_cancelled("pipe", async move {
                let _place = place;
                shared.serve(stream).await;
            });
        }
    }

    async fn dial(self, path: PathBuf) {
        let mut backoff = Backoff::new(self.options.retry.0, self.options.retry.1);
        loop {
            if let Ok(stream) = UnixStream::connect(&path).await
                && self.serve(stream).await
            {
                backoff.reset();
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Runs a connection until it ends; answers whether its handshake was good.
    async fn serve(&self, mut stream: UnixStream) -> bool {
        let greeted = tokio::time::timeout(self.options.handshake, self.greet(&mut stream)).await;
        if !matches!(greeted, Ok(Ok(()))) {
            REFUSED.inc();
            return false;
        }
        let (outbox, outgoing) = mpsc::channel(self.options.queue.max(1));
        let peer = Peer { id: self.ids.fetch_add(1, Ordering::Relaxed), outbox };
        self.newest.send_replace(Some(peer.clone()));
        let id = peer.id;
        let framed = Framed::new(stream, FrameCodec { framing: Framing::Ipc, max: self.options.max_frame_bytes });
        if let Err(error) = self.pump(framed, peer, outgoing).await {
            tracing::debug!(%error, "a connection ended");
        }
        self.newest.send_if_modified(|newest| {
            let mine = newest.as_ref().is_some_and(|newest| newest.id == id);
            if mine {
                *newest = None;
            }
            mine
        });
        true
    }

    async fn greet(&self, stream: &mut UnixStream) -> Result<(), SpError> {
        stream.write_all(&self.protocol.handshake()).await?;
        let mut bytes = [0; HANDSHAKE];
        stream.read_exact(&mut bytes).await?;
        self.protocol.accept(bytes)
    }

    async fn pump(
        &self,
        framed: Framed<UnixStream, FrameCodec>,
        peer: Peer,
        mut outgoing: mpsc::Receiver<Outgoing>,
    ) -> Result<(), SpError> {
        let (mut sink, mut stream) = framed.split();
        let read = async {
            while let Some(body) = stream.next().await {
                let incoming = Incoming { body: body?, peer: peer.clone() };
                self.inbox.send(incoming).await.map_err(|_| SpError::Closed)?;
            }
            Ok(())
        };
        let write = async {
            while let Some(message) = outgoing.recv().await {
                sink.send((message.head, message.body)).await?;
                // Whoever gave up waiting does not need to know.
                let _ = message.written.send(());
            }
            Ok(())
        };
        tokio::select! {
            ended = read => ended,
            ended = write => ended,
        }
    }
}

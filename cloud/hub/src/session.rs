//! One node's session: a WebSocket over mutual TLS, from the upgrade to the end.
//!
//! Three tasks: the supervisor, which reads; a writer, which owns the sending half; and the deliverer, which sends what
//! the node should see. Work on what the node sends is in [`crate::upstream`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use edgeward_pki::{Peer, certificate_fingerprint};
use edgeward_wire::{Envelope, Frame, LINK_HEADER, LINK_VERSION, Resource, operation};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::StatusCode;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::changes::Changes;
use crate::deliverer::{Deliverer, News};
use crate::keys::{Claim, Proof};
use crate::listen::Accepted;
use crate::metrics::{BROKEN, REFUSED_SESSIONS, SILENT};
use crate::service::{Hub, PeerKind};
use crate::streams::Streams;
use crate::upstream::{Job, Upstream};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Messages written before they are flushed.
const WRITTEN_TOGETHER: usize = 64;
/// How long the tasks of a session may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Why a connection got no session.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    reason: String,
}

/// Serves one accepted connection until the session ends.
pub(crate) async fn serve(hub: Arc<Hub>, accepted: Accepted) {
    let remote = accepted.remote;
    let identified = Box::pin(identify(&hub, accepted.certificate())).await;
    let Accepted { stream, handshake, .. } = accepted;
    let upgrading = Box::pin(upgrade(&hub, stream, identified));
    let upgraded = tokio::time::timeout(hub.options.handshake_timeout, upgrading).await;
    drop(handshake);
    match upgraded {
        Ok(Some((socket, node, peer))) => run(hub, socket, node, peer, remote).await,
        Ok(None) => REFUSED_SESSIONS.inc(),
        Err(_) => tracing::debug!(%remote, "WebSocket upgrade took too long"),
    }
}

/// Which node the certificate stands for, if its key may use that name.
async fn identify(hub: &Hub, certificate: Option<Vec<u8>>) -> Result<Arc<str>, Refusal> {
    let refuse = |status, reason: String| Err(Refusal { status, reason });
    // TLS required and verified one.
    let certificate = certificate.unwrap_or_default();
    let (Ok(peer), Ok(fingerprint)) = (Peer::from_certificate(&certificate), certificate_fingerprint(&certificate))
    else {
        return refuse(StatusCode::FORBIDDEN, "client certificate is not readable".into());
    };
    let Some(node) = peer.node_name() else {
        let reason = format!("client certificate of {:?} is no node's; join with a token first", peer.common_name);
        return refuse(StatusCode::FORBIDDEN, reason);
    };
    match hub.keys.claim(node, &fingerprint, Proof::Certificate).await {
        Ok(Claim::Granted) => Ok(node.into()),
        Ok(claim) => refuse(StatusCode::FORBIDDEN, crate::enroll::not_granted(node, claim)),
        Err(failure) => {
            let reason = format!("cannot check the key of node {node}: {}; try again later", failure.message);
            refuse(StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    }
}

/// Answers the upgrade request: 101, or the reason against it.
async fn upgrade(
    hub: &Hub,
    stream: TlsStream<TcpStream>,
    identified: Result<Arc<str>, Refusal>,
) -> Option<(Socket, Arc<str>, PeerKind)> {
    let mut admitted = None;
    #[expect(clippy::result_large_err, reason = "the type is the WebSocket library's")]
    let callback = |request: &Request, mut response: Response| {
        let admission = identified.and_then(|node| admit(hub, request, node));
        match admission {
            Ok((node, peer)) => {
                if peer == PeerKind::Own {
                    response.headers_mut().insert(LINK_HEADER, http::HeaderValue::from_static(LINK_VERSION));
                }
                admitted = Some((node, peer));
                Ok(response)
            }
            Err(refusal) => {
                tracing::info!(reason = refusal.reason, "session refused");
                let mut response = ErrorResponse::new(Some(refusal.reason));
                *response.status_mut() = refusal.status;
                Err(response)
            }
        }
    };
    let options = &hub.options;
    let config = WebSocketConfig::default()
        .read_buffer_size(options.read_buffer_bytes)
        .write_buffer_size(options.read_buffer_bytes)
        .max_write_buffer_size(2 * options.limits.frame_bytes.max(1 << 20))
        .max_message_size(Some(options.limits.frame_bytes))
        .max_frame_size(Some(options.limits.frame_bytes));
    let upgraded = tokio_tungstenite::accept_hdr_async_with_config(stream, callback, Some(config)).await;
    let socket = upgraded.inspect_err(|error| tracing::debug!(%error, "WebSocket upgrade failed")).ok()?;
    admitted.map(|(node, peer)| (socket, node, peer))
}

/// Checks the request of a node whose certificate was accepted.
fn admit(hub: &Hub, request: &Request, node: Arc<str>) -> Result<(Arc<str>, PeerKind), Refusal> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let refuse = |status, reason: String| Err(Refusal { status, reason });
    let named = header("Node_id").unwrap_or_default();
    if named != &*node {
        return refuse(
            StatusCode::FORBIDDEN,
            format!("header Node_id says {named:?}, the certificate is of node {node}"),
        );
    }
    // A KubeEdge client repeats the header at every further attempt; the first says what counts.
    if header("ConnectionUse") != Some("msg") {
        return refuse(StatusCode::BAD_REQUEST, "header ConnectionUse must be msg".into());
    }
    if !hub.has_room_for(&node) {
        let reason = format!("this hub has its {} nodes; raise nodeLimit or add a hub", hub.options.node_limit);
        return refuse(StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    let peer = if header(LINK_HEADER) == Some(LINK_VERSION) { PeerKind::Own } else { PeerKind::Kubeedge };
    Ok((node, peer))
}

async fn run(hub: Arc<Hub>, socket: Socket, node: Arc<str>, peer: PeerKind, remote: SocketAddr) {
    let tasks = hub.tasks.child(format!("session-{node}"));
    let (outgoing, outbox) = mpsc::channel(hub.options.outgoing_messages);
    let streams = Streams::new(outgoing.clone());
    let registered = hub.register(node.clone(), peer, remote, tasks.clone(), streams.clone()).await;
    let (sink, stream) = socket.split();
    let (news, newsbox) = mpsc::channel(hub.options.outgoing_messages);
    let changes = Arc::new(Changes::new(hub.options.changed_objects));
    hub.view.listen(node.clone(), changes.clone());

    let (ended, write_timeout) = (tasks.token().clone(), hub.options.write_timeout);
    tasks.spawn("writer", async move {
        let cancelled = ended.clone();
        tokio::select! {
            () = write(sink, outbox, write_timeout) => ended.cancel(),
            () = cancelled.cancelled() => {}
        }
    });
    let deliverer = Deliverer {
        hub: hub.clone(),
        node: node.clone(),
        peer,
        changes: changes.clone(),
        outgoing: outgoing.clone(),
        news: newsbox,
    };
    tasks.spawn_until_cancelled("deliverer", Box::pin(deliverer.run()));
    let upstream = Upstream::new(hub.clone(), node.clone(), peer == PeerKind::Own, tasks.clone(), outgoing.clone());
    let reader = Reader {
        hub: hub.clone(),
        node: node.clone(),
        peer,
        stream,
        outgoing,
        news,
        upstream,
        streams: streams.clone(),
    };
    let reason = tokio::select! {
        reason = reader.run() => reason,
        () = tasks.cancelled() => "replaced, stopped, or not taking what is sent",
    };
    streams.end();
    hub.view.unlisten(&node, &changes);
    tasks.shutdown(GRACE).await;
    hub.unregister(registered, reason);
}

/// Writes what is queued, many messages to one flush, until the peer takes no more.
async fn write(mut sink: SplitSink<Socket, Message>, mut outbox: mpsc::Receiver<Message>, timeout: Duration) {
    while let Some(message) = outbox.recv().await {
        let mut next = Some(message);
        let mut written = 0;
        while let Some(message) = next {
            if !matches!(tokio::time::timeout(timeout, sink.feed(message)).await, Ok(Ok(()))) {
                return;
            }
            written += 1;
            next = if written < WRITTEN_TOGETHER { outbox.try_recv().ok() } else { None };
        }
        if !matches!(tokio::time::timeout(timeout, sink.flush()).await, Ok(Ok(()))) {
            return;
        }
    }
}

struct Reader {
    hub: Arc<Hub>,
    node: Arc<str>,
    peer: PeerKind,
    stream: SplitStream<Socket>,
    outgoing: mpsc::Sender<Message>,
    news: mpsc::Sender<News>,
    upstream: Upstream,
    streams: Streams,
}

impl Reader {
    /// Reads until the session ends and says why it did.
    async fn run(mut self) -> &'static str {
        let mut pinged = false;
        loop {
            let wait = match (self.peer, pinged) {
                (PeerKind::Kubeedge, _) => self.hub.options.keepalive,
                (PeerKind::Own, false) => self.hub.options.own_silence / 3,
                (PeerKind::Own, true) => self.hub.options.own_silence * 2 / 3,
            };
            let message = match tokio::time::timeout(wait, self.stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => {
                    tracing::debug!(node = %self.node, %error, "session broke");
                    return "connection broke";
                }
                Ok(None) => return "closed by the node",
                Err(_) if self.peer == PeerKind::Own && !pinged => {
                    pinged = true;
                    // A full queue is as good a sign that the peer should speak.
                    let _ = self.outgoing.try_send(Message::Ping(Bytes::new()));
                    continue;
                }
                Err(_) => {
                    SILENT.inc();
                    return "silence";
                }
            };
            pinged = false;
            match message {
                Message::Text(text) => match Envelope::decode(&text) {
                    Ok(envelope) => self.envelope(envelope).await,
                    Err(error) => self.broken(&error),
                },
                Message::Binary(bytes) => self.frame(bytes).await,
                Message::Close(_) => return "closed by the node",
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    async fn frame(&self, bytes: Bytes) {
        if self.peer != PeerKind::Own {
            BROKEN.inc();
            return;
        }
        match Frame::decode(&bytes, &self.hub.options.limits) {
            Ok(Frame::Telemetry(batch)) => self.upstream.submit(Job::Telemetry(batch)).await,
            Ok(Frame::Have(have)) => self.tell(News::Have(have)).await,
            Ok(Frame::Batch(envelopes)) => {
                for envelope in envelopes {
                    self.envelope(envelope).await;
                }
            }
            Ok(Frame::Stream { id, part }) => self.streams.receive(id, part).await,
            Ok(Frame::TelemetryAck { .. }) => BROKEN.inc(),
            Err(error) => self.broken(&error),
        }
    }

    async fn envelope(&self, message: Envelope) {
        let route = &message.route;
        match (route.operation.as_str(), message.resource()) {
            // Alive, and a question no cloud answers: the node's devices follow as objects anyway.
            (operation::KEEPALIVE, _) | (_, Resource::MembershipDetail) => {}
            (operation::RESPONSE, _) if message.is_answer() => {
                self.tell(News::Answer(message.header.parent_id, None)).await
            }
            (operation::ERROR, _) if message.is_answer() => {
                let reason = message.document().unwrap_or_default().into_owned();
                self.tell(News::Answer(message.header.parent_id, Some(reason))).await;
            }
            _ => self.upstream.submit(Job::Message(Box::new(message))).await,
        }
    }

    async fn tell(&self, news: News) {
        // The deliverer is gone only when the session ends.
        let _ = self.news.send(news).await;
    }

    fn broken(&self, error: &edgeward_wire::Error) {
        BROKEN.inc();
        tracing::debug!(node = %self.node, %error, "message not understood");
    }
}

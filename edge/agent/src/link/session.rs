//! One session: the parts that live and die with one connection.

use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Counter, clock};
use edgeward_wire::{Envelope, Frame, Have, StreamPart, group, operation, source};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;

use super::credentials::{self, Credentials};
use super::dial::Socket;
use super::downstream::Downstream;
use super::requests::{Answer, Requests};
use super::{Options, Served, SessionWork, streams, telemetry, upstream};
use crate::Error;

/// Messages written with one flush.
const GROUP: usize = 64;
/// Entries of one inventory frame.
const HAVE_ENTRIES: usize = 4096;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the hub closed the connection")]
    Closed,
    #[error("nothing came from the hub for {} s", .0.as_secs())]
    Dead(Duration),
    #[error("connection failed: {0}")]
    Socket(String),
    #[error("certificate renewed")]
    Renewed,
    #[error("{0}")]
    Failed(#[from] Error),
}

/// What waits for the socket.
#[derive(Debug)]
pub(super) enum Out {
    Message(Envelope),
    Frame(Frame),
}

/// A session others can speak on; cheap to clone.
#[derive(Clone)]
pub(crate) struct Session {
    out: mpsc::Sender<Out>,
    requests: Arc<Requests>,
    timeout: Duration,
    own: bool,
}

/// The receiving ends of a session's channels.
pub(super) struct Parts {
    pub(super) out: mpsc::Receiver<Out>,
    stored: watch::Sender<Option<u64>>,
}

impl Session {
    pub(super) fn new(options: &Options, own: bool) -> (Self, Parts) {
        let (out, queue) = mpsc::channel(options.queue);
        let requests = Arc::new(Requests::new(options.requests));
        let session = Self { out, requests, timeout: options.request_timeout, own };
        (session, Parts { out: queue, stored: watch::Sender::new(None) })
    }

    /// Whether the hub is one of ours.
    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    /// Sends a message nobody answers.
    pub(crate) async fn send(&self, message: Envelope) -> Result<(), Error> {
        self.out.send(Out::Message(message)).await.map_err(|_| Error::Offline)
    }

    pub(super) async fn send_frame(&self, frame: Frame) -> Result<(), Error> {
        self.out.send(Out::Frame(frame)).await.map_err(|_| Error::Offline)
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn request(&self, message: Envelope) -> Result<Answer, Error> {
        let answered = self.requests.expect(&message.header.id)?;
        let waiting = Waiting { requests: &self.requests, id: message.header.id.clone() };
        let resource = message.route.resource.clone();
        self.send(message).await?;
        match tokio::time::timeout(self.timeout, answered).await {
            Ok(answer) => answer.map(|message| Answer { message }).map_err(|_| Error::Offline),
            Err(_) => {
                drop(waiting);
                TIMEOUTS.inc();
                Err(Error::Unanswered(resource))
            }
        }
    }

    /// Hands a message to whoever asked for it.
    pub(super) fn answer(&self, message: Envelope) {
        if !self.requests.answer(message) {
            STRAYS.inc();
        }
    }

    pub(super) fn close(&self) {
        self.requests.close();
    }
}

/// A request whose asker went away is forgotten.
struct Waiting<'a> {
    requests: &'a Requests,
    id: String,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.requests.forget(&self.id);
    }
}

/// Runs a session until one of its parts ends.
pub(super) async fn run(
    session: Session,
    parts: Parts,
    mut socket: Socket,
    served: &Served,
    work: &[Arc<dyn SessionWork>],
    credentials: &Credentials,
    options: &Options,
) -> End {
    if session.own
        && let Err(end) = send_inventory(&mut socket, served).await
    {
        return end;
    }
    let (sink, stream) = socket.split();
    let Parts { out, stored } = parts;
    let stored_seen = stored.subscribe();
    let downstream = Downstream { session: session.clone(), served: served.clone() };
    let rotation = async {
        credentials::rotate(options, credentials).await;
        End::Renewed
    };
    let mut running: FuturesUnordered<BoxFuture<'_, End>> = FuturesUnordered::new();
    running.push(Box::pin(write(sink, out, session.own, options)));
    let (parts, received) = mpsc::channel(streams::QUEUE);
    running.push(Box::pin(read(stream, downstream, stored, parts, options)));
    running.push(Box::pin(streams::run(session.clone(), received, served.logs.clone())));
    running.push(Box::pin(upstream::run(session.clone(), served.replica.clone(), options)));
    if let (true, Some(outbox)) = (session.own, &served.outbox) {
        running.push(Box::pin(telemetry::run(session.clone(), outbox.clone(), stored_seen, options)));
    }
    running.push(Box::pin(rotation));
    running.extend(work.iter().map(|work| work.clone().run(session.clone())));
    running.next().await.unwrap_or(End::Closed)
}

/// Tells the hub what is here already, before anything else, so that it sends differences only.
async fn send_inventory(socket: &mut Socket, served: &Served) -> Result<(), End> {
    let entries = served.replica.have().await?;
    let mut frames: Vec<Have> =
        entries.chunks(HAVE_ENTRIES).map(|entries| Have { complete: false, entries: entries.to_vec() }).collect();
    if frames.is_empty() {
        frames.push(Have::default());
    }
    if let Some(last) = frames.last_mut() {
        last.complete = true;
    }
    for frame in frames {
        let bytes = Frame::Have(frame).encode().map_err(|error| End::Socket(error.to_string()))?;
        socket.send(Message::Binary(bytes)).await.map_err(|error| End::Socket(error.to_string()))?;
    }
    Ok(())
}

/// The only writer of the socket: messages, heartbeats, pings.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut out: mpsc::Receiver<Out>,
    own: bool,
    options: &Options,
) -> End {
    let mut keepalive = tokio::time::interval(options.keepalive);
    let mut ping = tokio::time::interval(options.ping);
    let mut group = Vec::new();
    loop {
        let done = tokio::select! {
            count = out.recv_many(&mut group, GROUP) => {
                if count == 0 {
                    return End::Closed;
                }
                write_group(&mut sink, &mut group, own).await
            }
            _ = keepalive.tick() => sink.send(Message::text(heartbeat().encode())).await,
            _ = ping.tick() => sink.send(Message::Ping(bytes::Bytes::new())).await,
        };
        if let Err(error) = done {
            return End::Socket(error.to_string());
        }
    }
}

/// Writes what is waiting with one flush; to our own hub, messages that follow each other go in one frame.
async fn write_group(
    sink: &mut SplitSink<Socket, Message>,
    group: &mut Vec<Out>,
    own: bool,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let mut batch = Vec::new();
    for out in group.drain(..) {
        match out {
            Out::Message(message) if own => batch.push(message),
            Out::Message(message) => sink.feed(Message::text(message.encode())).await?,
            Out::Frame(frame) => {
                feed_batch(sink, &mut batch).await?;
                feed_frame(sink, &frame).await?;
            }
        }
    }
    feed_batch(sink, &mut batch).await?;
    sink.flush().await
}

async fn feed_batch(
    sink: &mut SplitSink<Socket, Message>,
    batch: &mut Vec<Envelope>,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    match batch.len() {
        0 => Ok(()),
        1 => {
            let text = batch.drain(..).map(|message| message.encode()).collect::<String>();
            sink.feed(Message::text(text)).await
        }
        _ => feed_frame(sink, &Frame::Batch(std::mem::take(batch))).await,
    }
}

async fn feed_frame(
    sink: &mut SplitSink<Socket, Message>,
    frame: &Frame,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    match frame.encode() {
        Ok(bytes) => sink.feed(Message::Binary(bytes)).await,
        Err(error) => {
            // Only the compressor can fail; the session ends and everything is sent again.
            tracing::error!(%error, "frame could not be encoded");
            Err(tokio_tungstenite::tungstenite::Error::ConnectionClosed)
        }
    }
}

/// KubeEdge's keepalive: its cloud ends a session that shows none for 30 s, pings or not.
fn heartbeat() -> Envelope {
    let content = edgeward_wire::content("ping").unwrap_or_else(|_| edgeward_wire::null());
    let (source, group) = (source::WEBSOCKET, group::RESOURCE);
    Envelope::new(clock::now_ms(), source, group, operation::KEEPALIVE, "node".to_owned(), content)
}

/// The only reader of the socket. A message is handled before the next one is read, so commits keep the hub's order.
async fn read(
    mut stream: SplitStream<Socket>,
    downstream: Downstream,
    stored: watch::Sender<Option<u64>>,
    streams: mpsc::Sender<(u64, StreamPart)>,
    options: &Options,
) -> End {
    let patience = if downstream.session.own { options.dead_after } else { options.kubeedge_dead_after };
    loop {
        let message = match tokio::time::timeout(patience, stream.next()).await {
            Err(_) => return End::Dead(patience),
            Ok(None) => return End::Closed,
            Ok(Some(Err(error))) => return End::Socket(error.to_string()),
            Ok(Some(Ok(message))) => message,
        };
        match message {
            Message::Text(text) => match Envelope::decode(&text) {
                Ok(message) => downstream.handle(message).await,
                Err(error) => malformed(&error),
            },
            Message::Binary(bytes) => match Frame::decode(&bytes, &options.limits) {
                Ok(Frame::Batch(messages)) => {
                    for message in messages {
                        downstream.handle(message).await;
                    }
                }
                Ok(Frame::TelemetryAck { through_seq }) => drop(stored.send_replace(Some(through_seq))),
                Ok(Frame::Stream { id, part }) => {
                    if streams.send((id, part)).await.is_err() {
                        return End::Closed;
                    }
                }
                Ok(Frame::Telemetry(_) | Frame::Have(_)) => MALFORMED.inc(),
                Err(error) => malformed(&error),
            },
            Message::Close(_) => return End::Closed,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

fn malformed(error: &edgeward_wire::Error) {
    MALFORMED.inc();
    tracing::warn!(%error, "message from the hub is not understood");
}

static TIMEOUTS: Counter = Counter::new("edgeward_link_unanswered_total", "requests the cloud did not answer in time");
static STRAYS: Counter = Counter::new("edgeward_link_stray_answers_total", "answers nobody waited for any longer");
static MALFORMED: Counter =
    Counter::new("edgeward_link_malformed_total", "messages from the hub that were not understood");

//! What the shared server answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgeward_engine::{Ack, Emitter, Message};
use edgeward_service::{Counter, Tasks};
use futures::channel::mpsc;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    UPGRADE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, broadcast, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{handshake, protocol};

use super::server::{Listener, Role, Shared};
use crate::websocket::{options, serve};

/// Largest message a client may send, in bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// How long a client may take for the head of its request, and a rule to make a pushed message safe.
const PATIENCE: Duration = Duration::from_secs(30);

static REFUSED: Counter =
    Counter::new("edgeward_connect_http_requests_refused_total", "Requests to the shared server that were refused");
static LAGGED: Counter =
    Counter::new("edgeward_connect_http_messages_lagged_total", "Messages a slow listening client has lost");

type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Serves one client, in the clear or over TLS.
pub(super) async fn connection<S>(stream: S, shared: Arc<Shared>, tasks: Tasks, place: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // An upgraded connection keeps its place for as long as it talks.
    let place = Arc::new(place);
    let answer = service_fn(|request| {
        let (shared, tasks, place) = (shared.clone(), tasks.clone(), place.clone());
        async move { Ok::<_, Infallible>(answer(request, &shared, &tasks, place).await) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    let served =
        server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = served.with_upgrades().await {
        tracing::debug!(%error, "a client of the shared server went");
    }
}

fn reply(status: StatusCode, text: &'static str) -> Reply {
    if status.is_client_error() || status.is_server_error() {
        REFUSED.inc();
    }
    let mut reply = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync());
    *reply.status_mut() = status;
    reply
}

async fn answer(
    request: Request<Incoming>,
    shared: &Arc<Shared>,
    tasks: &Tasks,
    place: Arc<OwnedSemaphorePermit>,
) -> Reply {
    let path = request.uri().path().to_owned();
    let find = |role| shared.find(role, &path);
    if let Some((listeners, _)) = find(Role::Push(request.method().clone())) {
        return push(request, listeners).await;
    }
    if request.method() == Method::GET {
        // One path may serve both kinds of clients: results of trial runs do.
        let wants_events = !request.headers().contains_key(SEC_WEBSOCKET_KEY);
        if wants_events && let Some((_, outgoing)) = find(Role::Events) {
            return events(outgoing, tasks);
        }
        if let Some((listeners, outgoing)) = find(Role::Socket) {
            return upgrade(request, listeners, outgoing, tasks, place);
        }
    }
    match shared.knows(&path) {
        true => reply(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        false => reply(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

/// Takes a body. Where a rule acknowledges, the answer waits until the message is safe.
async fn push(request: Request<Incoming>, listeners: Vec<Listener>) -> Reply {
    let body = tokio::time::timeout(PATIENCE, Limited::new(request.into_body(), MAX_MESSAGE_BYTES).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return reply(StatusCode::PAYLOAD_TOO_LARGE, "the message is larger than 4 MiB");
        }
        Ok(Err(_)) => return reply(StatusCode::BAD_REQUEST, "the message did not arrive whole"),
        Err(_) => return reply(StatusCode::REQUEST_TIMEOUT, "the message did not arrive in time"),
    };
    let mut promises = Vec::new();
    for listener in listeners {
        let mut message = Message::payload(body.clone());
        if listener.acknowledge {
            let (told, safe) = oneshot::channel();
            message.ack = Some(Ack::new(move |ok| {
                // The client may be gone already.
                let _ = told.send(ok);
            }));
            promises.push(safe);
        }
        listener.emitter.emit(message).await;
    }
    for safe in promises {
        match tokio::time::timeout(PATIENCE, safe).await {
            Ok(Ok(true)) => {}
            _ => return reply(StatusCode::SERVICE_UNAVAILABLE, "the message is not safe, send it again"),
        }
    }
    reply(StatusCode::OK, "ok")
}

/// Messages to a client as `text/event-stream`.
fn events(mut outgoing: broadcast::Receiver<Bytes>, tasks: &Tasks) -> Reply {
    let (mut sender, receiver) = mpsc::channel(16);
    tasks.spawn_until_cancelled("events", async move {
        while let Some(message) = next(&mut outgoing).await {
            let frame = Ok(Frame::data(event(&message)));
            if futures::SinkExt::send(&mut sender, frame).await.is_err() {
                return;
            }
        }
    });
    let mut reply = Response::new(StreamBody::new(receiver).boxed_unsync());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Results of trial runs are read by the manager's pages, which come from elsewhere.
    reply.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    reply
}

/// `data:` for each line of the message.
fn event(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 16);
    for line in message.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        out.push(b'\n');
    }
    out.push(b'\n');
    out.into()
}

/// The next message for a client; none when the path is given back.
pub(crate) async fn next(outgoing: &mut broadcast::Receiver<Bytes>) -> Option<Bytes> {
    loop {
        match outgoing.recv().await {
            Ok(message) => return Some(message),
            Err(broadcast::error::RecvError::Lagged(lost)) => LAGGED.add(lost),
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

fn upgrade(
    mut request: Request<Incoming>,
    listeners: Vec<Listener>,
    outgoing: broadcast::Receiver<Bytes>,
    tasks: &Tasks,
    place: Arc<OwnedSemaphorePermit>,
) -> Reply {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return reply(StatusCode::UPGRADE_REQUIRED, "this path talks WebSocket");
    };
    let Ok(accept) = HeaderValue::from_str(&handshake::derive_accept_key(key.as_bytes())) else {
        return reply(StatusCode::BAD_REQUEST, "the WebSocket key is not valid");
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tasks.spawn_until_cancelled("socket", async move {
        let _place = place;
        let Ok(upgraded) = upgraded.await else { return };
        let role = protocol::Role::Server;
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), role, Some(options())).await;
        let emitters: Vec<Emitter> = listeners.into_iter().map(|listener| listener.emitter).collect();
        serve(socket, &emitters, outgoing).await;
    });
    let mut reply = reply(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = reply.headers_mut();
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    reply
}

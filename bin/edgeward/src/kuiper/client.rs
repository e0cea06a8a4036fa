//! Exchanges with the rules' REST, and the events it sends.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use futures::FutureExt as _;
use futures::future::Fuse;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::commands::Request;
use crate::http;

/// Longest event in bytes.
const MAX_EVENT: usize = 16 << 20;

/// Largest answer, in bytes.
const LIMIT: usize = 256 << 20;
const TIMEOUT: Duration = Duration::from_secs(300);

/// Sends a request and gives the answer's text; an error status is an error with that text.
pub(super) async fn call(server: &str, request: &Request) -> anyhow::Result<String> {
    tokio::time::timeout(TIMEOUT, exchange(server, request)).await.context("no answer within 5 minutes")?
}

async fn exchange(server: &str, request: &Request) -> anyhow::Result<String> {
    let connected = tokio::net::TcpStream::connect(server).await;
    let stream = connected.with_context(|| format!("connect to {server}; is the stream engine running?"))?;
    let body = Bytes::from(request.body.clone());
    let (status, text) = http::exchange(stream, server, request.method, &request.path, body, LIMIT).await?;
    if !status.is_success() {
        bail!("{}", reason(&text));
    }
    Ok(text)
}

/// The message of `{"error":CODE,"message":TEXT}`; another text as it is.
fn reason(text: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let message = parsed.as_ref().and_then(|error| error.get("message").or(error.get("msg"))).and_then(Value::as_str);
    message.unwrap_or(text).trim().to_owned()
}

type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Events the server sends; the connection ends when this is dropped.
pub(super) struct Events {
    body: Incoming,
    /// Drives the connection.
    connection: Fuse<Connection>,
    unread: BytesMut,
}

/// Listens to server-sent events.
pub(super) async fn events(server: &str, path: &str) -> anyhow::Result<Events> {
    let connected = tokio::net::TcpStream::connect(server).await;
    let stream = connected.with_context(|| format!("connect to {server} for the results"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = hyper::Request::get(path).header("host", server).header("accept", "text/event-stream");
    let request = request.body(Full::new(Bytes::new()))?;
    let connection: Connection = Box::pin(connection);
    let mut connection = connection.fuse();
    let response = tokio::select! {
        response = sender.send_request(request) => response?,
        ended = &mut connection => { ended?; bail!("{server} closed the connection for the results") }
    };
    if !response.status().is_success() {
        bail!("{server}{path}: {}", response.status());
    }
    Ok(Events { body: response.into_body(), connection, unread: BytesMut::new() })
}

impl Events {
    /// The data of the next event; none when the server has ended. Safe to drop while waiting.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line = self.unread.split_to(end);
                self.unread.advance(1);
                let line = String::from_utf8_lossy(&line);
                if let Some(data) = line.trim_end().strip_prefix("data:") {
                    return Ok(Some(data.trim_start().to_owned()));
                }
            }
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                // Driven beside; what it has read is still in the body.
                _ = &mut self.connection => self.body.frame().await,
            };
            let Some(frame) = frame.transpose()? else { return Ok(None) };
            if let Ok(data) = frame.into_data() {
                self.unread.extend_from_slice(&data);
            }
            if self.unread.len() > MAX_EVENT {
                bail!("an event is longer than {MAX_EVENT} bytes");
            }
        }
    }
}

//! A small HTTP client for REST APIs that listen on a node's loopback, inside its network namespace.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::net::Link;

const LIMIT: usize = 8 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a request and gives the answer's body; an error status is an error with the body's text.
pub(super) async fn call(
    link: Option<&Link>,
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<String> {
    tokio::time::timeout(TIMEOUT, exchange(link, address, method, path, body))
        .await
        .with_context(|| format!("{method} {path}: no answer within {} s", TIMEOUT.as_secs()))?
}

async fn exchange(
    link: Option<&Link>,
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<String> {
    let stream = match link {
        Some(link) => link.connect(address).await?,
        None => tokio::net::TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LIMIT).collect().await.map_err(|error| anyhow::anyhow!(error))?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", text.trim());
        }
        Ok(text)
    };
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection is driven beside the exchange; it may close as soon as the answer is complete.
        _ = &mut connection => answer.await,
    }
}

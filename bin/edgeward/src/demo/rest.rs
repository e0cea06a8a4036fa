//! A small HTTP client for REST APIs that listen on a node's loopback, inside its network namespace.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use serde_json::Value;

use super::net::Link;
use crate::http;

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
    let body = Bytes::from(body.map(Value::to_string).unwrap_or_default());
    let (status, text) = http::exchange(stream, &address.to_string(), method, path, body, LIMIT).await?;
    if !status.is_success() {
        bail!("{method} {path}: {status}: {}", text.trim());
    }
    Ok(text)
}

//! Plain HTTP calls of REST APIs on a node's loopback.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::netns::Cable;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a request, from inside a network namespace if one is given: status and body. A body that is not JSON comes as a
/// string.
pub async fn call(
    cable: Option<&Cable>,
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<(u16, Value)> {
    let exchange = tokio::time::timeout(TIMEOUT, exchange(cable, address, method, path, body));
    exchange.await.with_context(|| format!("{method} {path}: no answer within {} s", TIMEOUT.as_secs()))?
}

async fn exchange(
    cable: Option<&Cable>,
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> anyhow::Result<(u16, Value)> {
    let stream = match cable {
        Some(cable) => cable.connect(address).await?,
        None => TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = ::http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        anyhow::Ok((status, serde_json::from_slice(&bytes).unwrap_or_else(|_| text())))
    };
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection is driven beside the exchange; it may close as soon as the answer is complete.
        _ = &mut connection => answer.await,
    }
}

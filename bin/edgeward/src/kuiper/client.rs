//! One HTTP exchange with the rules' REST.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;

use super::commands::Request;

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
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let message = hyper::Request::builder()
        .method(request.method)
        .uri(&request.path)
        .header("host", server)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(request.body.clone())))?;
    let answer = async {
        let response = sender.send_request(message).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LIMIT).collect().await.map_err(|error| anyhow::anyhow!(error))?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        if !status.is_success() {
            bail!("{}", text.trim());
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

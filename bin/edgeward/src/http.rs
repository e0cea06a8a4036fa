//! One HTTP exchange on a connection of its own.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Sends a request with a JSON body and gives the answer's status and its text, of `limit` bytes at most.
pub(crate) async fn exchange(
    stream: TcpStream,
    host: &str,
    method: &str,
    path: &str,
    body: Bytes,
    limit: usize,
) -> anyhow::Result<(StatusCode, String)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder().method(method).uri(path).header("host", host);
    let request = request.header("content-type", "application/json").body(Full::new(body))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), limit).collect().await.map_err(|error| anyhow::anyhow!(error))?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection is driven beside the exchange; it may close as soon as the answer is complete.
        _ = &mut connection => answer.await,
    }
}

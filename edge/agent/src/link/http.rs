//! One HTTPS request on a connection of its own: the join calls are few and far between.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Error;

/// Largest answer: a certificate has about a thousand bytes.
const MAX_ANSWER: usize = 256 << 10;

/// Sends a request to `authority` (`host:port`) and returns status and body.
pub(super) async fn fetch(
    config: ClientConfig,
    authority: &str,
    request: http::request::Builder,
    body: Vec<u8>,
    timeout: Duration,
) -> Result<(http::StatusCode, Bytes), Error> {
    let fail = |reason: String| Error::Unreachable { server: authority.to_owned(), reason };
    let stream = connect(config, authority, timeout).await?;
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let request = request
            .header(http::header::HOST, authority)
            .header(http::header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let answer = async move {
            let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = answer.status();
            let body =
                Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
            Ok::<_, String>((status, body.to_bytes()))
        };
        // The connection moves only while it is polled, and it may end before the answer is read.
        let (answer, _) = futures::future::join(answer, connection).await;
        answer
    };
    match tokio::time::timeout(timeout, exchange).await {
        Ok(result) => result.map_err(fail),
        Err(_) => Err(fail("no answer in time".to_owned())),
    }
}

/// Opens a TLS connection to `host:port`.
pub(super) async fn connect(
    config: ClientConfig,
    authority: &str,
    timeout: Duration,
) -> Result<TlsStream<TcpStream>, Error> {
    let fail = |reason: String| Error::Unreachable { server: authority.to_owned(), reason };
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|_| fail("not a host name or address".to_owned()))?;
    let tcp = tokio::time::timeout(timeout, TcpStream::connect(authority));
    let tcp = match tcp.await {
        Ok(tcp) => tcp.map_err(|error| fail(error.to_string()))?,
        Err(_) => return Err(fail("no connection in time".to_owned())),
    };
    // Small messages are answered one by one.
    tcp.set_nodelay(true).map_err(|error| fail(error.to_string()))?;
    match tokio::time::timeout(timeout, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await {
        Ok(stream) => stream.map_err(|error| fail(format!("TLS: {error}"))),
        Err(_) => Err(fail("no TLS answer in time".to_owned())),
    }
}

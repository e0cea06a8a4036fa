//! A GET request of a probe: status only.

use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::check::Request;

/// The status of the answer; the body is not read.
pub(super) async fn get(request: &Request) -> Result<u16, String> {
    let stream = TcpStream::connect((request.host.as_str(), request.port)).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake::<_, String>(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let mut message = hyper::Request::get(&request.path)
        .header(HOST, format!("{}:{}", request.host, request.port))
        .header(USER_AGENT, concat!("kube-probe/edgeward-", env!("CARGO_PKG_VERSION")))
        .body(String::new())
        .map_err(|error| error.to_string())?;
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
        message.headers_mut().insert(name, value);
    }
    // The connection lives as long as this exchange: the two are driven together.
    tokio::pin!(connection);
    let answer = sender.send_request(message);
    tokio::pin!(answer);
    loop {
        tokio::select! {
            result = &mut answer => return result.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string()),
            result = &mut connection => result.map_err(|error| error.to_string())?,
        }
    }
}

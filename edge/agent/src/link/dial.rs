//! Opening the WebSocket.

use edgeward_pki::tls;
use edgeward_wire::{LINK_HEADER, LINK_VERSION};
use http::HeaderValue;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{Credentials, Options, http as https};
use crate::Error;

pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Connects to `wss://<server>/<project>/<node>/events` with KubeEdge's headers. The flag tells whether the hub is ours.
pub(super) async fn dial(options: &Options, credentials: &Credentials) -> Result<(Socket, bool), Error> {
    let fail = |reason: String| Error::Unreachable { server: options.server.clone(), reason };
    let config = tls::client_config(&credentials.ca, Some(&credentials.identity), tls::Versions::Kubeedge)
        .map_err(|error| Error::Credentials(error.to_string()))?;
    let url = format!("wss://{}/{}/{}/events", options.server, options.project, options.node);
    let mut request = url.into_client_request().map_err(|error| fail(error.to_string()))?;
    let headers = request.headers_mut();
    for (name, value) in [("ConnectionUse", "msg"), ("node_id", &options.node), ("project_id", &options.project)] {
        headers.insert(name, HeaderValue::from_str(value).map_err(|_| fail(format!("{name} is not a header value")))?);
    }
    headers.insert(LINK_HEADER, HeaderValue::from_static(LINK_VERSION));
    let stream = https::connect(config, &options.server, options.connect_timeout).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(16 << 10)
        .max_message_size(Some(options.limits.frame_bytes))
        .max_frame_size(Some(options.limits.frame_bytes));
    let upgrade = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    match tokio::time::timeout(options.connect_timeout, upgrade).await {
        Ok(Ok((socket, answer))) => {
            let own = answer.headers().get(LINK_HEADER).is_some_and(|value| value == LINK_VERSION);
            Ok((socket, own))
        }
        Ok(Err(WsError::Http(answer))) => {
            let text = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let reason: String = format!("{}: {}", answer.status(), text.trim()).chars().take(500).collect();
            if answer.status() == http::StatusCode::FORBIDDEN {
                return Err(Error::Refused { server: options.server.clone(), node: options.node.clone(), reason });
            }
            Err(fail(reason))
        }
        Ok(Err(error)) => Err(fail(error.to_string())),
        Err(_) => Err(fail("no answer to the upgrade in time".to_owned())),
    }
}

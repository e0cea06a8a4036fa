//! One WebSocket connection, of either end.

use std::time::Duration;

use bytes::Bytes;
use edgeward_engine::{Emitter, Message};
use futures::{SinkExt, StreamExt};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::config::Server;
use crate::http::{MAX_MESSAGE_BYTES, next};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// What a socket runs on.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

pub(super) type Client = WebSocketStream<Box<dyn Wire>>;

/// Limits of both ends.
pub(crate) fn options() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
        .max_write_buffer_size(2 * MAX_MESSAGE_BYTES)
}

/// Connects to a server.
///
/// # Errors
/// It cannot be reached or refuses; the text says why.
pub(super) async fn connect(server: &Server) -> Result<Client, String> {
    let made = async {
        let stream = TcpStream::connect(&server.address).await.map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true);
        let wire: Box<dyn Wire> = match &server.tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::try_from(server.host.clone()).map_err(|error| error.to_string())?;
                let stream = TlsConnector::from(config.clone()).connect(name, stream).await;
                Box::new(stream.map_err(|error| error.to_string())?)
            }
        };
        let made = client_async_with_config(server.url.as_str(), wire, Some(options())).await;
        made.map(|(socket, _)| socket).map_err(|error| error.to_string())
    };
    let made =
        tokio::time::timeout(CONNECT, made).await.unwrap_or_else(|_| Err(format!("no answer within {CONNECT:?}")));
    made.map_err(|reason| format!("cannot connect to {}: {reason}", server.url))
}

/// A payload as a frame: text where it is text.
pub(super) fn frame(payload: Bytes) -> Frame {
    match payload.clone().try_into() {
        Ok(text) => Frame::Text(text),
        Err(_) => Frame::Binary(payload),
    }
}

/// The payload of a frame; none for those that keep the connection.
pub(super) fn payload(frame: Frame) -> Option<Bytes> {
    match frame {
        Frame::Text(text) => Some(text.into()),
        Frame::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

/// Talks to a client of the shared server until either side ends.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    emitters: &[Emitter],
    mut outgoing: broadcast::Receiver<Bytes>,
) {
    loop {
        tokio::select! {
            frame = socket.next() => {
                let Some(Ok(frame)) = frame else { return };
                let Some(payload) = payload(frame) else { continue };
                for emitter in emitters {
                    emitter.emit(Message::payload(payload.clone())).await;
                }
            }
            message = next(&mut outgoing) => {
                let Some(message) = message else {
                    let _ = socket.close(None).await;
                    return;
                };
                if socket.send(frame(message)).await.is_err() {
                    return;
                }
            }
        }
    }
}

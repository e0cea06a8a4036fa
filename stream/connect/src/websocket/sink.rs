//! Results as frames.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::{Connection, Emission, Sink, SinkError};
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};

use super::config::{Place, Server};
use super::socket::{Client, connect, frame};
use crate::http::{Listening, Role};
use crate::sink::{Encoder, Payloads};
use crate::{HttpHost, SinkOptions};

/// The way of a message.
enum Way {
    /// To a server, connected to with the first message and again after a failure.
    Client(Box<Server>, Option<Box<Client>>),
    /// To all clients of a path.
    Path(Listening),
}

pub(super) struct SocketSink {
    encoder: Encoder,
    payloads: Payloads,
    way: Way,
    connection: Connection,
}

impl SocketSink {
    pub(super) fn new(place: Place, options: SinkOptions, host: &Arc<HttpHost>) -> SocketSink {
        let way = match place {
            Place::Client(server) => Way::Client(Box::new(server), None),
            Place::Path(path) => {
                host.start_soon();
                Way::Path(host.register(Role::Socket, &path, None))
            }
        };
        let (encoder, payloads) = (Encoder::new(options), Payloads::default());
        SocketSink { encoder, payloads, way, connection: Connection::Connecting }
    }

    async fn write(&mut self, emission: &Emission) -> Result<(), SinkError> {
        self.encoder.encode(emission, &mut self.payloads)?;
        let written = match &mut self.way {
            Way::Client(server, client) => to_server(server, client, &self.payloads).await,
            Way::Path(listening) => {
                self.payloads.iter().for_each(|payload| listening.send(Bytes::copy_from_slice(payload)));
                Ok(())
            }
        };
        self.connection = match &written {
            Ok(()) => Connection::Connected,
            Err(reason) => Connection::Disconnected(reason.clone()),
        };
        written.map_err(SinkError::Recoverable)
    }
}

async fn to_server(server: &Server, client: &mut Option<Box<Client>>, payloads: &Payloads) -> Result<(), String> {
    let mut socket = match client.take() {
        // What the server says is read so that its pings are answered and its farewell is seen.
        Some(mut socket) => match drained(&mut socket) {
            true => socket,
            false => Box::new(connect(server).await?),
        },
        None => Box::new(connect(server).await?),
    };
    for payload in payloads.iter() {
        let sent = socket.feed(frame(Bytes::copy_from_slice(payload))).await;
        sent.map_err(|error| format!("connection to {} lost: {error}", server.url))?;
    }
    socket.flush().await.map_err(|error| format!("connection to {} lost: {error}", server.url))?;
    *client = Some(socket);
    Ok(())
}

/// Reads what has come without waiting; false when the connection is over.
fn drained(socket: &mut Client) -> bool {
    loop {
        match socket.next().now_or_never() {
            None => return true,
            Some(Some(Ok(_))) => {}
            Some(_) => return false,
        }
    }
}

impl Sink for SocketSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.write(emission))
    }

    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(async {
            if let Way::Client(_, Some(socket)) = &mut self.way {
                let _ = SinkExt::close(&mut **socket).await;
            }
        })
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.connection.clone())
    }
}

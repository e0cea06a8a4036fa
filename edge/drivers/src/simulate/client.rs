//! A small MQTT 3.1.1 client on a socket: enough for a device, on the codec the broker uses.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use bytes::BytesMut;
use edgeward_mqtt::{ConnAck, Connect, ConnectCode, Packet, Version, decode, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Largest packet a device takes.
const MAX_PACKET: usize = 1 << 20;
/// How long connecting and the broker's answer may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the broker may leave a packet unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a broker.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl Client {
    /// Connects and waits for the broker's consent.
    pub(crate) async fn connect(broker: &str, connect: Connect) -> Result<Self, Error> {
        let connecting = async {
            let stream = TcpStream::connect(broker).await?;
            stream.set_nodelay(true)?;
            let mut client = Self { stream, incoming: BytesMut::new(), outgoing: BytesMut::new() };
            client.send(&Packet::Connect(Box::new(connect))).await?;
            match client.recv().await? {
                Packet::ConnAck(ConnAck { code: ConnectCode::Accepted, .. }) => Ok(client),
                Packet::ConnAck(ConnAck { code, .. }) => Err(Error::other(format!("the broker refused: {code:?}"))),
                _ => Err(Error::other("the broker did not answer CONNECT")),
            }
        };
        timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    /// Appends a packet to what the next [`Client::flush`] writes.
    pub(crate) fn queue(&mut self, packet: &Packet) -> Result<(), Error> {
        encode(Version::V311, packet, &mut self.outgoing).map_err(Error::other)
    }

    /// Writes what was queued.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        let written = timeout(WRITE_TIMEOUT, self.stream.write_all_buf(&mut self.outgoing)).await;
        written.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    /// Queues and writes one packet.
    pub(crate) async fn send(&mut self, packet: &Packet) -> Result<(), Error> {
        self.queue(packet)?;
        self.flush().await
    }

    /// The next packet. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Result<Packet, Error> {
        loop {
            if let Some(packet) = decode(Version::V311, &mut self.incoming, MAX_PACKET).map_err(Error::other)? {
                return Ok(packet);
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

//! One MQTT connection: one task that reads, routes, and writes everything that is due in one write.

mod handshake;
mod packets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use edgeward_mqtt::Version;
use edgeward_service::Tasks;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::batch::Batch;
use crate::confirm::{Asker, Replies};
use crate::core::Core;
use crate::router::RouteCache;
use crate::session::Session;
use crate::{Client, Message, metrics};

/// Bytes gathered for one write; no more is taken from the session's queue while that much waits.
const WRITE_HIGH: usize = 64 << 10;
/// Room for the first read, and the most for later ones: an idle connection should hold little.
const READ_LOW: usize = 2 << 10;
const READ_HIGH: usize = 64 << 10;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client said DISCONNECT: no will.
    Disconnect,
    /// The socket ended or failed.
    Lost,
    /// The client was silent for too long.
    Silent,
    /// It broke the protocol.
    Protocol,
    /// Its client id connected again.
    TakenOver,
    /// A message must be sent again.
    GivenUp,
    /// The broker stops.
    Shutdown,
}

/// An established connection.
struct Connection {
    core: Arc<Core>,
    session: Arc<Session>,
    epoch: u64,
    kick: CancellationToken,
    client: Client,
    version: Version,
    /// One and a half times the client's keep-alive; none if it wants none.
    max_silence: Option<Duration>,
    will: Option<Message>,
    replies: Arc<Replies>,
    routes: RouteCache,
    batch: Batch,
    out: BytesMut,
}

/// Serves one connection from its CONNECT to its end.
pub(crate) async fn serve<R, W>(core: Arc<Core>, mut reader: R, mut writer: W, peer: SocketAddr, tasks: Tasks)
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut input = BytesMut::new();
    let opened = tokio::select! {
        opened = handshake::open(core, &mut reader, &mut writer, &mut input, peer) => opened,
        () = tasks.cancelled() => None,
    };
    let Some(mut connection) = opened else { return };
    tracing::debug!(client = connection.client.id, %peer, "client connected");
    let end = connection.run(&mut reader, &mut writer, input, &tasks).await;
    tracing::debug!(client = connection.client.id, %peer, ?end, "client disconnected");
    connection.close(end);
}

impl Connection {
    async fn run<R, W>(&mut self, reader: &mut R, writer: &mut W, mut input: BytesMut, tasks: &Tasks) -> End
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut relief = None;
        let mut last_seen = Instant::now();
        let mut room = READ_LOW;
        let silence = sleep_until(last_seen + self.max_silence.unwrap_or_default());
        let mut silence = std::pin::pin!(silence);
        let kick = self.kick.clone();
        // The client may have sent more behind its CONNECT.
        if let Err(end) = self.take_packets(&mut input) {
            return end;
        }
        loop {
            if self.gather().is_err() {
                return End::GivenUp;
            }
            if relief.is_none() {
                relief = self.core.relief(&mut self.batch, self.core.limits.slow_client_grace).map(Box::pin);
            }
            let held_back = relief.is_some() || self.replies.len() >= self.core.limits.max_unconfirmed;
            let may_read = !held_back && self.out.len() < WRITE_HIGH;
            input.reserve(room);
            tokio::select! {
                read = reader.read_buf(&mut input), if may_read => {
                    let Ok(count @ 1..) = read else { return End::Lost };
                    last_seen = Instant::now();
                    if let Err(end) = self.take_packets(&mut input) {
                        return end;
                    }
                    room = if count >= room { (room * 4).min(READ_HIGH) } else { (room / 2).max(READ_LOW) };
                    if input.is_empty() && input.capacity() > room {
                        // Let go of the buffer: messages in queues may share it.
                        input = BytesMut::new();
                    }
                }
                written = writer.write_buf(&mut self.out), if !self.out.is_empty() => {
                    let Ok(1..) = written else { return End::Lost };
                    if self.out.is_empty() && self.out.capacity() > READ_LOW && room == READ_LOW {
                        self.out = BytesMut::new();
                    }
                }
                () = self.session.ready.notified(), if self.out.len() < WRITE_HIGH => {}
                () = self.replies.changed.notified() => {}
                () = async { if let Some(relief) = relief.as_mut() { relief.await } }, if relief.is_some() => relief = None,
                () = &mut silence, if self.max_silence.is_some() => {
                    // While this side does not read, the client's silence proves nothing.
                    let since = if held_back { Instant::now() } else { last_seen };
                    let until = since + self.max_silence.unwrap_or_default();
                    if until <= Instant::now() {
                        metrics::KEEPALIVE_TIMEOUTS.inc();
                        return End::Silent;
                    }
                    silence.as_mut().reset(until);
                }
                () = kick.cancelled() => return End::TakenOver,
                () = tasks.cancelled() => return End::Shutdown,
            }
        }
    }

    /// Puts everything that may go out now into the output.
    fn gather(&mut self) -> Result<(), crate::confirm::GivenUp> {
        let (version, out) = (self.version, &mut self.out);
        self.replies.drain(|reply| {
            // Replies have fixed forms that always encode.
            let _ = edgeward_mqtt::encode(version, reply, out);
        })?;
        if self.out.len() < WRITE_HIGH {
            self.session.drain(self.epoch, self.version, &mut self.out, WRITE_HIGH);
        }
        Ok(())
    }

    fn close(mut self, end: End) {
        match end {
            End::Protocol => metrics::PROTOCOL_ERRORS.inc(),
            End::GivenUp => metrics::GIVEN_UP.inc(),
            _ => {}
        }
        let unconfirmed = self.replies.unconfirmed_exactly_once();
        self.core.registry.close(&self.core.router, &self.session, self.epoch, &unconfirmed);
        if let (Some(will), false) = (self.will.take(), matches!(end, End::Disconnect | End::Shutdown)) {
            let routes = self.routes.find(&self.core.router, &will.topic);
            self.core.publish(&will, &routes, &mut Asker::nobody(), &mut self.batch, false);
        }
        self.batch.wake();
    }
}

//! CONNECT and CONNACK.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use edgeward_mqtt::{ConnAck, Connect, ConnectCode, MqttError, Packet, Text, Version, Will, decode, encode, v5};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::{Connection, READ_LOW};
use crate::batch::Batch;
use crate::confirm::Replies;
use crate::core::Core;
use crate::router::RouteCache;
use crate::{Client, Message, metrics};

/// First byte of a CONNECT packet.
const CONNECT: u8 = 0x10;
/// Protocol level of MQTT 5, which this broker does not speak.
const MQTT_5: u8 = 5;

/// Reads the CONNECT, decides, and queues the CONNACK as the connection's first output. None: refused or gone.
pub(super) async fn open<R, W>(
    core: Arc<Core>,
    reader: &mut R,
    writer: &mut W,
    input: &mut BytesMut,
    peer: SocketAddr,
) -> Option<Connection>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let timeout = core.limits.connect_timeout;
    let connect = tokio::time::timeout(timeout, read_connect(reader, input, core.limits.max_packet_bytes)).await;
    let refused = match connect {
        Ok(Ok(connect)) => match accept(core, *connect, peer) {
            Ok(connection) => return Some(connection),
            Err(code) => {
                metrics::REFUSED_CONNECTIONS.inc();
                tracing::info!(%peer, ?code, "MQTT client refused");
                code
            }
        },
        Ok(Err(Some(error))) => {
            metrics::PROTOCOL_ERRORS.inc();
            tracing::info!(%peer, %error, "MQTT client sent no valid CONNECT");
            // Section 3.1.2.2: only a wrong version is told.
            let MqttError::UnsupportedVersion(level) = error else { return None };
            if level == MQTT_5 {
                refuse_version_5(writer, timeout).await;
                return None;
            }
            ConnectCode::UnacceptableVersion
        }
        // Gone, or silent.
        _ => return None,
    };
    let mut out = BytesMut::new();
    conn_ack(false, refused, &mut out);
    // The client may be gone; the connection ends either way.
    let _ = tokio::time::timeout(timeout, writer.write_all(&out)).await;
    None
}

/// A client of MQTT 5 understands only an answer of its own version.
async fn refuse_version_5<W: AsyncWrite + Unpin>(writer: &mut W, timeout: Duration) {
    let reason = v5::Reason::UNSUPPORTED_PROTOCOL_VERSION;
    let ack = v5::ConnAck { reason, ..v5::ConnAck::default() };
    let mut out = BytesMut::new();
    // A CONNACK without properties always encodes; the client may be gone.
    let _ = v5::encode(Version::V5, &v5::Packet::ConnAck(ack), &mut out);
    let _ = tokio::time::timeout(timeout, writer.write_all(&out)).await;
}

/// The first packet. The error is none if the socket ended.
async fn read_connect<R: AsyncRead + Unpin>(
    reader: &mut R,
    input: &mut BytesMut,
    limit: usize,
) -> Result<Box<Connect>, Option<MqttError>> {
    loop {
        // Whoever begins with something else is told at once, not when the length it seems to have has come.
        if input.first().is_some_and(|first| *first != CONNECT) {
            return Err(Some(MqttError::UnknownProtocol));
        }
        match decode(Version::V311, input, limit).map_err(Some)? {
            Some(Packet::Connect(connect)) => return Ok(connect),
            Some(_) => return Err(Some(MqttError::UnknownProtocol)),
            None => {}
        }
        input.reserve(READ_LOW);
        if reader.read_buf(input).await.map_err(|_| None)? == 0 {
            return Err(None);
        }
    }
}

fn accept(core: Arc<Core>, connect: Connect, peer: SocketAddr) -> Result<Connection, ConnectCode> {
    let client_id = match (connect.client_id.is_empty(), connect.clean_session) {
        (false, _) => connect.client_id.clone(),
        (true, true) => {
            Text::try_from(format!("auto-{}", uuid::Uuid::new_v4())).map_err(|_| ConnectCode::IdentifierRejected)?
        }
        (true, false) => return Err(ConnectCode::IdentifierRejected),
    };
    let username = connect.username.as_ref().map(|name| name.as_str().to_owned());
    let client = Client { id: client_id.as_str().to_owned(), username, peer };
    if let Some(access) = &core.options.access {
        access.connect(&client, connect.password.as_deref())?;
    }
    let kick = CancellationToken::new();
    let opened = core.registry.open(&core.router, &client_id, connect.clean_session, kick.clone())?;
    let mut out = BytesMut::new();
    conn_ack(opened.present, ConnectCode::Accepted, &mut out);
    let max_silence = Duration::from_secs(u64::from(connect.keep_alive)) * 3 / 2;
    let may_will = |will: &Will| {
        core.options.access.as_ref().is_none_or(|access| access.may_publish(&client, will.topic.as_str()))
    };
    let will = connect.will.filter(may_will).map(|will| {
        let Will { topic, payload, qos, retain } = will;
        Message { topic, payload, qos, retain }.detached()
    });
    Ok(Connection {
        core,
        session: opened.session,
        epoch: opened.epoch,
        kick,
        client,
        version: connect.version,
        max_silence: Some(max_silence).filter(|silence| !silence.is_zero()),
        will,
        replies: Arc::new(Replies::default()),
        routes: RouteCache::default(),
        batch: Batch::default(),
        out,
    })
}

fn conn_ack(session_present: bool, code: ConnectCode, out: &mut BytesMut) {
    // A CONNACK always encodes.
    let _ = encode(Version::V311, &Packet::ConnAck(ConnAck { session_present, code }), out);
}

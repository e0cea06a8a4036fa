//! The packets of MQTT 3.1.1 (sections 3.1 to 3.14).

use bytes::Bytes;

use crate::{Filter, MqttError, Text};

/// The protocol version of a connection, as its CONNECT named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Version {
    /// MQTT 3.1: `MQIsdp`, level 3. Packets are those of 3.1.1.
    V31,
    /// MQTT 3.1.1: `MQTT`, level 4.
    #[default]
    V311,
    /// MQTT 5: `MQTT`, level 5. Its packets are those of [`crate::v5`].
    V5,
}

/// Quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum QoS {
    /// At most once.
    #[default]
    AtMostOnce = 0,
    /// At least once.
    AtLeastOnce = 1,
    /// Exactly once.
    ExactlyOnce = 2,
}

impl TryFrom<u8> for QoS {
    type Error = MqttError;

    fn try_from(level: u8) -> Result<QoS, MqttError> {
        match level {
            0 => Ok(QoS::AtMostOnce),
            1 => Ok(QoS::AtLeastOnce),
            2 => Ok(QoS::ExactlyOnce),
            other => Err(MqttError::BadQos(other)),
        }
    }
}

/// A packet in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet {
    /// Client to server, first.
    Connect(Box<Connect>),
    /// Answer to CONNECT.
    ConnAck(ConnAck),
    /// A message, either way.
    Publish(Publish),
    /// QoS 1 done.
    PubAck(Ack),
    /// QoS 2 received.
    PubRec(Ack),
    /// QoS 2 released.
    PubRel(Ack),
    /// QoS 2 done.
    PubComp(Ack),
    /// Client to server.
    Subscribe(Subscribe),
    /// Answer to SUBSCRIBE.
    SubAck(SubAck),
    /// Client to server.
    Unsubscribe(Unsubscribe),
    /// Answer to UNSUBSCRIBE.
    UnsubAck(Ack),
    /// Client to server.
    PingReq,
    /// Answer to PINGREQ.
    PingResp,
    /// Client to server, last.
    Disconnect,
}

/// CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connect {
    /// Version of everything that follows.
    pub version: Version,
    /// Empty: the server invents one (only with a clean session).
    pub client_id: Text,
    /// Forget what the server knows of the client id, and forget this session at its end.
    pub clean_session: bool,
    /// Seconds; the server hangs up after one and a half times of silence. 0 = never.
    pub keep_alive: u16,
    /// Published by the server when the connection ends without DISCONNECT.
    pub will: Option<Will>,
    /// User name.
    pub username: Option<Text>,
    /// Password; only with a user name.
    pub password: Option<Bytes>,
}

/// The last will of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Topic name.
    pub topic: Text,
    /// Payload.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
}

/// CONNACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnAck {
    /// The server still knew the client's session.
    pub session_present: bool,
    /// Accepted or why not.
    pub code: ConnectCode,
}

/// Reply code of CONNACK (section 3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ConnectCode {
    /// Accepted.
    Accepted = 0,
    /// Protocol version not supported.
    UnacceptableVersion = 1,
    /// Client id not allowed.
    IdentifierRejected = 2,
    /// The service is not available.
    ServerUnavailable = 3,
    /// User name or password is wrong.
    BadCredentials = 4,
    /// Not allowed to connect.
    NotAuthorized = 5,
}

impl TryFrom<u8> for ConnectCode {
    type Error = MqttError;

    fn try_from(code: u8) -> Result<ConnectCode, MqttError> {
        Ok(match code {
            0 => ConnectCode::Accepted,
            1 => ConnectCode::UnacceptableVersion,
            2 => ConnectCode::IdentifierRejected,
            3 => ConnectCode::ServerUnavailable,
            4 => ConnectCode::BadCredentials,
            5 => ConnectCode::NotAuthorized,
            code => return Err(MqttError::BadCode { packet: "CONNACK", code }),
        })
    }
}

/// PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publish {
    /// Sent before.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// To the server: keep it. To a client: it was kept.
    pub retain: bool,
    /// Topic name.
    pub topic: Text,
    /// 0 exactly when the quality of service is 0.
    pub packet_id: u16,
    /// Payload.
    pub payload: Bytes,
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP and UNSUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The identifier of the packet that is answered; never 0.
    pub packet_id: u16,
}

/// SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Never 0.
    pub packet_id: u16,
    /// At least one filter with the highest quality of service wanted.
    pub filters: Vec<(Filter, QoS)>,
}

/// SUBACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// That of the SUBSCRIBE.
    pub packet_id: u16,
    /// One for each filter, in order.
    pub codes: Vec<SubAckCode>,
}

/// What became of one filter of a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubAckCode {
    /// Granted with this quality of service.
    Granted(QoS),
    /// Refused.
    Failure,
}

/// UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Never 0.
    pub packet_id: u16,
    /// At least one.
    pub filters: Vec<Filter>,
}

//! The packets of MQTT 5.

use bytes::Bytes;

use super::{Properties, Reason};
use crate::{Filter, MqttError, QoS, Text};

/// A packet in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    SubAck(Reasons),
    /// Client to server.
    Unsubscribe(Unsubscribe),
    /// Answer to UNSUBSCRIBE.
    UnsubAck(Reasons),
    /// Client to server.
    PingReq,
    /// Answer to PINGREQ.
    PingResp,
    /// Last, either way.
    Disconnect(End),
    /// Enhanced authentication, either way.
    Auth(End),
}

/// CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connect {
    /// Empty: the server invents one.
    pub client_id: Text,
    /// Forget what the server knows of the client id.
    pub clean_start: bool,
    /// Seconds; 0 = never.
    pub keep_alive: u16,
    /// Session expiry, receive maximum, ….
    pub properties: Properties,
    /// Published by the server when the connection is lost.
    pub will: Option<Will>,
    /// User name.
    pub username: Option<Text>,
    /// Password.
    pub password: Option<Bytes>,
}

/// The last will of a client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Will {
    /// Topic name.
    pub topic: Text,
    /// Payload.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// Those of the message, and the delay.
    pub properties: Properties,
}

/// CONNACK.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnAck {
    /// The server still knew the client's session.
    pub session_present: bool,
    /// Accepted or why not.
    pub reason: Reason,
    /// What the server can do, and what it has decided.
    pub properties: Properties,
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
    /// Topic name; empty when an alias stands for it.
    pub topic: Text,
    /// 0 exactly when the quality of service is 0.
    pub packet_id: u16,
    /// Content type, user properties, ….
    pub properties: Properties,
    /// Payload.
    pub payload: Bytes,
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ack {
    /// The identifier of the packet that is answered; never 0.
    pub packet_id: u16,
    /// What became of it.
    pub reason: Reason,
    /// Reason string and user properties.
    pub properties: Properties,
}

impl Ack {
    /// That all is well.
    pub fn of(packet_id: u16) -> Ack {
        Ack { packet_id, ..Ack::default() }
    }
}

/// SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscribe {
    /// Never 0.
    pub packet_id: u16,
    /// Subscription identifier and user properties.
    pub properties: Properties,
    /// At least one.
    pub filters: Vec<(Filter, Subscription)>,
}

/// The options of a subscription (section 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subscription {
    /// The highest quality of service wanted.
    pub qos: QoS,
    /// Do not send back what the client itself publishes.
    pub no_local: bool,
    /// Keep the retain flag as it was published.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When a subscription brings retained messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// With each SUBSCRIBE.
    #[default]
    Always = 0,
    /// If the subscription is new.
    IfNew = 1,
    /// Never.
    Never = 2,
}

impl From<QoS> for Subscription {
    fn from(qos: QoS) -> Subscription {
        Subscription { qos, ..Subscription::default() }
    }
}

impl Subscription {
    pub(super) fn to_byte(self) -> u8 {
        self.qos as u8
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | (self.retain_handling as u8) << 4
    }

    pub(super) fn of_byte(byte: u8) -> Result<Subscription, MqttError> {
        let retain_handling = match byte >> 4 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return Err(MqttError::BadCode { packet: "SUBSCRIBE", code: byte }),
        };
        Ok(Subscription {
            qos: QoS::try_from(byte & 3)?,
            no_local: byte & 4 != 0,
            retain_as_published: byte & 8 != 0,
            retain_handling,
        })
    }
}

/// SUBACK and UNSUBACK.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reasons {
    /// That of the packet that is answered.
    pub packet_id: u16,
    /// Reason string and user properties.
    pub properties: Properties,
    /// One for each filter, in order.
    pub reasons: Vec<Reason>,
}

/// UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unsubscribe {
    /// Never 0.
    pub packet_id: u16,
    /// User properties.
    pub properties: Properties,
    /// At least one.
    pub filters: Vec<Filter>,
}

/// DISCONNECT and AUTH.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct End {
    /// Why.
    pub reason: Reason,
    /// Reason string, server reference, ….
    pub properties: Properties,
}

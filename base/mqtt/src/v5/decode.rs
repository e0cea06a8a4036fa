//! Bytes to packets.

use bytes::{Buf as _, Bytes, BytesMut};

use super::property::WILL;
use super::{
    Ack, ConnAck, Connect, End, Packet, Properties, Publish, Reason, Reasons, Subscribe, Subscription, Unsubscribe,
    Will, older,
};
use crate::codec::fields::Fields;
use crate::codec::{self, frame, kind, shape};
use crate::filter::check_topic;
use crate::{ConnectCode, Filter, MqttError, QoS, Version};

/// As [`crate::decode`], in the packets of MQTT 5: before version 5 they have no properties, and the reasons that come
/// nearest.
///
/// # Errors
/// The bytes are no packet of that version. The connection must be closed; the buffer's content is then unspecified.
pub fn decode(version: Version, buffer: &mut BytesMut, limit: usize) -> Result<Option<Packet>, MqttError> {
    if version != Version::V5 {
        return Ok(codec::decode(version, buffer, limit)?.map(older::newer));
    }
    let Some((first, header, size)) = frame(buffer, limit)? else { return Ok(None) };
    if buffer.len() < size {
        return Ok(None);
    }
    let mut body = buffer.split_to(size).freeze();
    body.advance(header);
    packet(first, body).map(Some)
}

fn packet(first: u8, body: Bytes) -> Result<Packet, MqttError> {
    let (kind, flags) = (first >> 4, first & 0x0f);
    if kind == kind::PUBLISH {
        return publish(flags, body);
    }
    let (name, expected) = if kind == kind::AUTH { ("AUTH", 0) } else { shape(kind)? };
    if flags != expected {
        return Err(MqttError::ReservedFlags { packet: name, flags });
    }
    let mut fields = Fields::new(name, body);
    let packet = match kind {
        kind::CONNECT => Packet::Connect(Box::new(connect(&mut fields)?)),
        kind::CONNACK => Packet::ConnAck(conn_ack(&mut fields)?),
        kind::PUBACK => Packet::PubAck(ack(kind, &mut fields)?),
        kind::PUBREC => Packet::PubRec(ack(kind, &mut fields)?),
        kind::PUBREL => Packet::PubRel(ack(kind, &mut fields)?),
        kind::PUBCOMP => Packet::PubComp(ack(kind, &mut fields)?),
        kind::SUBSCRIBE => Packet::Subscribe(subscribe(&mut fields)?),
        kind::SUBACK => Packet::SubAck(reasons(kind, "SUBACK", &mut fields)?),
        kind::UNSUBSCRIBE => Packet::Unsubscribe(unsubscribe(&mut fields)?),
        kind::UNSUBACK => Packet::UnsubAck(reasons(kind, "UNSUBACK", &mut fields)?),
        kind::PINGREQ => Packet::PingReq,
        kind::PINGRESP => Packet::PingResp,
        kind::DISCONNECT => Packet::Disconnect(end(kind, &mut fields)?),
        _ => Packet::Auth(end(kind, &mut fields)?),
    };
    fields.end()?;
    Ok(packet)
}

fn publish(flags: u8, body: Bytes) -> Result<Packet, MqttError> {
    let qos = QoS::try_from(flags >> 1 & 3)?;
    let dup = flags & 8 != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(MqttError::ReservedFlags { packet: "PUBLISH", flags });
    }
    let mut fields = Fields::new("PUBLISH", body);
    let topic = fields.text("topic name")?;
    let packet_id = if qos == QoS::AtMostOnce { 0 } else { fields.packet_id()? };
    let properties = Properties::read(kind::PUBLISH, &mut fields)?;
    if !topic.is_empty() || properties.topic_alias().is_none() {
        check_topic(topic.as_bytes())?;
    }
    let (retain, payload) = (flags & 1 != 0, fields.into_rest());
    Ok(Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload }))
}

fn connect(fields: &mut Fields) -> Result<Connect, MqttError> {
    let name = fields.binary("protocol name")?;
    let level = fields.u8("protocol level")?;
    if &name[..] != b"MQTT" {
        return Err(MqttError::UnknownProtocol);
    }
    if level != 5 {
        return Err(MqttError::UnsupportedVersion(level));
    }
    let flags = fields.u8("connect flags")?;
    let has = |bit: u8| flags & bit != 0;
    let will_bits_without_will = !has(0x04) && flags & 0x38 != 0;
    if has(0x01) || will_bits_without_will {
        return Err(MqttError::BadConnectFlags(flags));
    }
    let keep_alive = fields.u16("keep alive")?;
    let properties = Properties::read(kind::CONNECT, fields)?;
    let client_id = fields.text("client identifier")?;
    let will = if has(0x04) { Some(will(fields, flags)?) } else { None };
    let username = if has(0x80) { Some(fields.text("user name")?) } else { None };
    let password = if has(0x40) { Some(fields.binary("password")?) } else { None };
    Ok(Connect { client_id, clean_start: has(0x02), keep_alive, properties, will, username, password })
}

fn will(fields: &mut Fields, flags: u8) -> Result<Will, MqttError> {
    let qos = QoS::try_from(flags >> 3 & 3)?;
    let properties = Properties::read(WILL, fields)?;
    let topic = fields.text("will topic")?;
    check_topic(topic.as_bytes())?;
    let payload = fields.binary("will message")?;
    Ok(Will { topic, payload, qos, retain: flags & 0x20 != 0, properties })
}

fn conn_ack(fields: &mut Fields) -> Result<ConnAck, MqttError> {
    let flags = fields.u8("acknowledge flags")?;
    if flags > 1 {
        return Err(MqttError::ReservedFlags { packet: "CONNACK", flags });
    }
    let code = fields.u8("reason code")?;
    if fields.is_empty() {
        // A server that does not speak version 5 answers in its own way.
        let reason = ConnectCode::try_from(code).map_or(Reason(code), older::reason);
        return Ok(ConnAck { session_present: flags == 1, reason, properties: Properties::default() });
    }
    let (reason, properties) = (Reason(code), Properties::read(kind::CONNACK, fields)?);
    Ok(ConnAck { session_present: flags == 1, reason, properties })
}

fn ack(kind: u8, fields: &mut Fields) -> Result<Ack, MqttError> {
    let packet_id = fields.packet_id()?;
    let End { reason, properties } = end(kind, fields)?;
    Ok(Ack { packet_id, reason, properties })
}

/// A reason and properties; both, or the properties, may be left out.
fn end(kind: u8, fields: &mut Fields) -> Result<End, MqttError> {
    let mut end = End::default();
    if !fields.is_empty() {
        end.reason = Reason(fields.u8("reason code")?);
    }
    if !fields.is_empty() {
        end.properties = Properties::read(kind, fields)?;
    }
    Ok(end)
}

fn subscribe(fields: &mut Fields) -> Result<Subscribe, MqttError> {
    let packet_id = fields.packet_id()?;
    let properties = Properties::read(kind::SUBSCRIBE, fields)?;
    let mut filters = Vec::new();
    while !fields.is_empty() {
        let filter = Filter::new(fields.text("topic filter")?)?;
        filters.push((filter, Subscription::of_byte(fields.u8("subscription options")?)?));
    }
    if filters.is_empty() {
        return Err(MqttError::EmptyList("SUBSCRIBE"));
    }
    Ok(Subscribe { packet_id, properties, filters })
}

fn reasons(kind: u8, name: &'static str, fields: &mut Fields) -> Result<Reasons, MqttError> {
    let packet_id = fields.packet_id()?;
    let properties = Properties::read(kind, fields)?;
    let mut reasons = Vec::new();
    while !fields.is_empty() {
        reasons.push(Reason(fields.u8("reason code")?));
    }
    if reasons.is_empty() {
        return Err(MqttError::EmptyList(name));
    }
    Ok(Reasons { packet_id, properties, reasons })
}

fn unsubscribe(fields: &mut Fields) -> Result<Unsubscribe, MqttError> {
    let packet_id = fields.packet_id()?;
    let properties = Properties::read(kind::UNSUBSCRIBE, fields)?;
    let mut filters = Vec::new();
    while !fields.is_empty() {
        filters.push(Filter::new(fields.text("topic filter")?)?);
    }
    if filters.is_empty() {
        return Err(MqttError::EmptyList("UNSUBSCRIBE"));
    }
    Ok(Unsubscribe { packet_id, properties, filters })
}

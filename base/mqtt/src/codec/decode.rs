//! Bytes to packets.

use bytes::{Buf as _, Bytes, BytesMut};

use super::fields::Fields;
use super::kind;
use crate::filter::check_topic;
use crate::{
    Ack, ConnAck, Connect, ConnectCode, Filter, MqttError, Packet, Publish, QoS, SubAck, SubAckCode, Subscribe,
    Unsubscribe, Version, Will,
};

/// Takes one packet from the front of `buffer`, or nothing while it is incomplete. Nothing is copied: topic and payload
/// are slices of the buffer. `limit` is the largest whole packet in bytes; it is checked before the packet has come, so a
/// reader never gathers more than that.
///
/// `version` is that of the connection; a CONNECT names its own.
///
/// # Errors
/// The bytes are no packet. The connection must be closed; the buffer's content is then unspecified.
pub fn decode(version: Version, buffer: &mut BytesMut, limit: usize) -> Result<Option<Packet>, MqttError> {
    let Some((first, header, size)) = frame(buffer, limit)? else { return Ok(None) };
    if buffer.len() < size {
        return Ok(None);
    }
    let mut body = buffer.split_to(size).freeze();
    body.advance(header);
    packet(version, first, body).map(Some)
}

/// First byte, length of the fixed header and size of the whole packet, once they are known.
pub(crate) fn frame(buffer: &[u8], limit: usize) -> Result<Option<(u8, usize, usize)>, MqttError> {
    let Some((&first, rest)) = buffer.split_first() else { return Ok(None) };
    let mut remaining = 0;
    for index in 0..4 {
        let Some(&byte) = rest.get(index) else { return Ok(None) };
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let header = 2 + index;
            let size = header + remaining;
            if size > limit {
                return Err(MqttError::TooLarge { size, limit });
            }
            return Ok(Some((first, header, size)));
        }
    }
    Err(MqttError::BadLength)
}

fn packet(_version: Version, first: u8, body: Bytes) -> Result<Packet, MqttError> {
    let flags = first & 0x0f;
    let kind = first >> 4;
    if kind == kind::PUBLISH {
        return publish(flags, body);
    }
    let (name, expected) = shape(kind)?;
    if flags != expected {
        return Err(MqttError::ReservedFlags { packet: name, flags });
    }
    let fields = Fields::new(name, body);
    match kind {
        kind::CONNECT => connect(fields),
        kind::CONNACK => conn_ack(fields),
        kind::PUBACK => ack(fields).map(Packet::PubAck),
        kind::PUBREC => ack(fields).map(Packet::PubRec),
        kind::PUBREL => ack(fields).map(Packet::PubRel),
        kind::PUBCOMP => ack(fields).map(Packet::PubComp),
        kind::SUBSCRIBE => subscribe(fields),
        kind::SUBACK => sub_ack(fields),
        kind::UNSUBSCRIBE => unsubscribe(fields),
        kind::UNSUBACK => ack(fields).map(Packet::UnsubAck),
        kind::PINGREQ => fields.end().map(|()| Packet::PingReq),
        kind::PINGRESP => fields.end().map(|()| Packet::PingResp),
        _ => fields.end().map(|()| Packet::Disconnect),
    }
}

/// Name and prescribed flags of a packet type (section 2.2.2).
pub(crate) fn shape(kind: u8) -> Result<(&'static str, u8), MqttError> {
    Ok(match kind {
        kind::CONNECT => ("CONNECT", 0),
        kind::CONNACK => ("CONNACK", 0),
        kind::PUBACK => ("PUBACK", 0),
        kind::PUBREC => ("PUBREC", 0),
        kind::PUBREL => ("PUBREL", 2),
        kind::PUBCOMP => ("PUBCOMP", 0),
        kind::SUBSCRIBE => ("SUBSCRIBE", 2),
        kind::SUBACK => ("SUBACK", 0),
        kind::UNSUBSCRIBE => ("UNSUBSCRIBE", 2),
        kind::UNSUBACK => ("UNSUBACK", 0),
        kind::PINGREQ => ("PINGREQ", 0),
        kind::PINGRESP => ("PINGRESP", 0),
        kind::DISCONNECT => ("DISCONNECT", 0),
        other => return Err(MqttError::UnknownType(other)),
    })
}

fn publish(flags: u8, body: Bytes) -> Result<Packet, MqttError> {
    let qos = QoS::try_from(flags >> 1 & 3)?;
    let dup = flags & 8 != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(MqttError::ReservedFlags { packet: "PUBLISH", flags });
    }
    let mut fields = Fields::new("PUBLISH", body);
    let topic = fields.text("topic name")?;
    check_topic(topic.as_bytes())?;
    let packet_id = if qos == QoS::AtMostOnce { 0 } else { fields.packet_id()? };
    Ok(Packet::Publish(Publish { dup, qos, retain: flags & 1 != 0, topic, packet_id, payload: fields.into_rest() }))
}

fn connect(mut fields: Fields) -> Result<Packet, MqttError> {
    let name = fields.binary("protocol name")?;
    let level = fields.u8("protocol level")?;
    let version = match (&name[..], level) {
        (b"MQTT", 4) => Version::V311,
        (b"MQIsdp", 3) => Version::V31,
        (b"MQTT" | b"MQIsdp", level) => return Err(MqttError::UnsupportedVersion(level)),
        _ => return Err(MqttError::UnknownProtocol),
    };
    let flags = fields.u8("connect flags")?;
    let has = |bit: u8| flags & bit != 0;
    let will_bits_without_will = !has(0x04) && flags & 0x38 != 0;
    let password_without_name = has(0x40) && !has(0x80);
    if has(0x01) || will_bits_without_will || password_without_name {
        return Err(MqttError::BadConnectFlags(flags));
    }
    let keep_alive = fields.u16("keep alive")?;
    let client_id = fields.text("client identifier")?;
    let will = if has(0x04) { Some(will(&mut fields, flags)?) } else { None };
    let username = if has(0x80) { Some(fields.text("user name")?) } else { None };
    let password = if has(0x40) { Some(fields.binary("password")?) } else { None };
    fields.end()?;
    let clean_session = has(0x02);
    Ok(Packet::Connect(Box::new(Connect { version, client_id, clean_session, keep_alive, will, username, password })))
}

fn will(fields: &mut Fields, flags: u8) -> Result<Will, MqttError> {
    let qos = QoS::try_from(flags >> 3 & 3)?;
    let topic = fields.text("will topic")?;
    check_topic(topic.as_bytes())?;
    let payload = fields.binary("will message")?;
    Ok(Will { topic, payload, qos, retain: flags & 0x20 != 0 })
}

fn conn_ack(mut fields: Fields) -> Result<Packet, MqttError> {
    let flags = fields.u8("acknowledge flags")?;
    if flags > 1 {
        return Err(MqttError::ReservedFlags { packet: "CONNACK", flags });
    }
    let code = ConnectCode::try_from(fields.u8("connect return code")?)?;
    fields.end()?;
    Ok(Packet::ConnAck(ConnAck { session_present: flags == 1, code }))
}

fn ack(mut fields: Fields) -> Result<Ack, MqttError> {
    let packet_id = fields.packet_id()?;
    fields.end()?;
    Ok(Ack { packet_id })
}

fn subscribe(mut fields: Fields) -> Result<Packet, MqttError> {
    let packet_id = fields.packet_id()?;
    let mut filters = Vec::new();
    while !fields.is_empty() {
        let filter = Filter::new(fields.text("topic filter")?)?;
        filters.push((filter, QoS::try_from(fields.u8("requested quality of service")?)?));
    }
    if filters.is_empty() {
        return Err(MqttError::EmptyList("SUBSCRIBE"));
    }
    Ok(Packet::Subscribe(Subscribe { packet_id, filters }))
}

fn sub_ack(mut fields: Fields) -> Result<Packet, MqttError> {
    let packet_id = fields.packet_id()?;
    let mut codes = Vec::new();
    while !fields.is_empty() {
        codes.push(match fields.u8("return code")? {
            0x80 => SubAckCode::Failure,
            code @ 0..=2 => SubAckCode::Granted(QoS::try_from(code)?),
            code => return Err(MqttError::BadCode { packet: "SUBACK", code }),
        });
    }
    if codes.is_empty() {
        return Err(MqttError::EmptyList("SUBACK"));
    }
    Ok(Packet::SubAck(SubAck { packet_id, codes }))
}

fn unsubscribe(mut fields: Fields) -> Result<Packet, MqttError> {
    let packet_id = fields.packet_id()?;
    let mut filters = Vec::new();
    while !fields.is_empty() {
        filters.push(Filter::new(fields.text("topic filter")?)?);
    }
    if filters.is_empty() {
        return Err(MqttError::EmptyList("UNSUBSCRIBE"));
    }
    Ok(Packet::Unsubscribe(Unsubscribe { packet_id, filters }))
}

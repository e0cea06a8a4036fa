//! Packets to bytes.

use bytes::{BufMut, BytesMut};

use super::property::{WILL, sized};
use super::{Ack, Connect, End, Packet, Publish, Reason, Reasons, Subscribe, Unsubscribe, older};
use crate::codec::{self, fixed_header, kind};
use crate::filter::check_topic;
use crate::{MqttError, QoS, Version};

/// Appends a packet to `out`; before version 5 without its properties.
///
/// # Errors
/// A value has no encoding in that version: a string over 65535 bytes, a topic with wildcards, an empty list, a packet over
/// 256 MiB, a missing packet identifier, a property that does not belong to the packet. Nothing is appended then.
pub fn encode(version: Version, packet: &Packet, out: &mut BytesMut) -> Result<(), MqttError> {
    if version != Version::V5 {
        return codec::encode(version, &older::older(version, packet)?, out);
    }
    let mut body = BytesMut::new();
    let first = match packet {
        Packet::Connect(packet) => connect(packet, &mut body)?,
        Packet::ConnAck(packet) => {
            body.put_slice(&[u8::from(packet.session_present), packet.reason.0]);
            packet.properties.write(kind::CONNACK, &mut body)?;
            kind::CONNACK << 4
        }
        Packet::Publish(packet) => publish(packet, &mut body)?,
        Packet::PubAck(packet) => ack(kind::PUBACK, packet, &mut body)?,
        Packet::PubRec(packet) => ack(kind::PUBREC, packet, &mut body)?,
        Packet::PubRel(packet) => ack(kind::PUBREL, packet, &mut body)? | 2,
        Packet::PubComp(packet) => ack(kind::PUBCOMP, packet, &mut body)?,
        Packet::Subscribe(packet) => subscribe(packet, &mut body)?,
        Packet::SubAck(packet) => reasons(kind::SUBACK, packet, &mut body)?,
        Packet::Unsubscribe(packet) => unsubscribe(packet, &mut body)?,
        Packet::UnsubAck(packet) => reasons(kind::UNSUBACK, packet, &mut body)?,
        Packet::PingReq => kind::PINGREQ << 4,
        Packet::PingResp => kind::PINGRESP << 4,
        Packet::Disconnect(packet) => end(kind::DISCONNECT, packet, &mut body)?,
        Packet::Auth(packet) => end(kind::AUTH, packet, &mut body)?,
    };
    fixed_header(first, body.len(), out)?;
    out.put_slice(&body);
    Ok(())
}

fn publish(packet: &Publish, body: &mut BytesMut) -> Result<u8, MqttError> {
    if !packet.topic.is_empty() || packet.properties.topic_alias().is_none() {
        check_topic(packet.topic.as_bytes())?;
    }
    let with_id = packet.qos != QoS::AtMostOnce;
    if with_id != (packet.packet_id != 0) {
        return Err(MqttError::ZeroPacketId("PUBLISH"));
    }
    sized(packet.topic.as_bytes(), body)?;
    if with_id {
        body.put_u16(packet.packet_id);
    }
    packet.properties.write(kind::PUBLISH, body)?;
    body.put_slice(&packet.payload);
    let flags = u8::from(packet.dup && with_id) << 3 | (packet.qos as u8) << 1 | u8::from(packet.retain);
    Ok(kind::PUBLISH << 4 | flags)
}

fn connect(packet: &Connect, body: &mut BytesMut) -> Result<u8, MqttError> {
    let mut flags = u8::from(packet.clean_start) << 1;
    if let Some(will) = &packet.will {
        check_topic(will.topic.as_bytes())?;
        flags |= 0x04 | (will.qos as u8) << 3 | u8::from(will.retain) << 5;
    }
    flags |= u8::from(packet.username.is_some()) << 7 | u8::from(packet.password.is_some()) << 6;
    sized(b"MQTT", body)?;
    body.put_slice(&[5, flags]);
    body.put_u16(packet.keep_alive);
    packet.properties.write(kind::CONNECT, body)?;
    sized(packet.client_id.as_bytes(), body)?;
    if let Some(will) = &packet.will {
        will.properties.write(WILL, body)?;
        sized(will.topic.as_bytes(), body)?;
        sized(&will.payload, body)?;
    }
    if let Some(username) = &packet.username {
        sized(username.as_bytes(), body)?;
    }
    if let Some(password) = &packet.password {
        sized(password, body)?;
    }
    Ok(kind::CONNECT << 4)
}

fn ack(kind: u8, packet: &Ack, body: &mut BytesMut) -> Result<u8, MqttError> {
    id(packet.packet_id, "acknowledgement", body)?;
    tail(kind, packet.reason, &packet.properties, body)
}

fn end(kind: u8, packet: &End, body: &mut BytesMut) -> Result<u8, MqttError> {
    tail(kind, packet.reason, &packet.properties, body)
}

/// A reason and properties; what says nothing is left out.
fn tail(kind: u8, reason: Reason, properties: &super::Properties, body: &mut BytesMut) -> Result<u8, MqttError> {
    if reason != Reason::SUCCESS || !properties.is_empty() {
        body.put_u8(reason.0);
    }
    if !properties.is_empty() {
        properties.write(kind, body)?;
    }
    Ok(kind << 4)
}

fn subscribe(packet: &Subscribe, body: &mut BytesMut) -> Result<u8, MqttError> {
    id(packet.packet_id, "SUBSCRIBE", body)?;
    packet.properties.write(kind::SUBSCRIBE, body)?;
    not_empty("SUBSCRIBE", packet.filters.len())?;
    for (filter, options) in &packet.filters {
        sized(filter.as_bytes(), body)?;
        body.put_u8(options.to_byte());
    }
    Ok(kind::SUBSCRIBE << 4 | 2)
}

fn reasons(kind: u8, packet: &Reasons, body: &mut BytesMut) -> Result<u8, MqttError> {
    id(packet.packet_id, "acknowledgement", body)?;
    packet.properties.write(kind, body)?;
    not_empty("acknowledgement", packet.reasons.len())?;
    packet.reasons.iter().for_each(|reason| body.put_u8(reason.0));
    Ok(kind << 4)
}

fn unsubscribe(packet: &Unsubscribe, body: &mut BytesMut) -> Result<u8, MqttError> {
    id(packet.packet_id, "UNSUBSCRIBE", body)?;
    packet.properties.write(kind::UNSUBSCRIBE, body)?;
    not_empty("UNSUBSCRIBE", packet.filters.len())?;
    packet.filters.iter().try_for_each(|filter| sized(filter.as_bytes(), body))?;
    Ok(kind::UNSUBSCRIBE << 4 | 2)
}

fn id(packet_id: u16, packet: &'static str, body: &mut BytesMut) -> Result<(), MqttError> {
    if packet_id == 0 {
        return Err(MqttError::ZeroPacketId(packet));
    }
    body.put_u16(packet_id);
    Ok(())
}

fn not_empty(packet: &'static str, length: usize) -> Result<(), MqttError> {
    if length == 0 { Err(MqttError::EmptyList(packet)) } else { Ok(()) }
}

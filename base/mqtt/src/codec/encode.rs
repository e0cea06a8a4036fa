//! Packets to bytes.

use bytes::{BufMut, BytesMut};

use super::{fixed_header, kind};
use crate::filter::check_topic;
use crate::{Connect, MqttError, Packet, QoS, SubAck, SubAckCode, Subscribe, Unsubscribe, Version};

/// What stands before the topic and payload of a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublishHeader {
    /// Sent before.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Not 0 exactly when the quality of service is not 0.
    pub packet_id: u16,
}

/// Appends a packet to `out`, which callers keep and reuse.
///
/// # Errors
/// A value has no encoding: a string over 65535 bytes, a topic with wildcards, an empty list, a packet over 256 MiB, a
/// missing packet identifier. Nothing is appended then.
pub fn encode(version: Version, packet: &Packet, out: &mut BytesMut) -> Result<(), MqttError> {
    match packet {
        Packet::Connect(packet) => connect(packet, out),
        Packet::ConnAck(packet) => {
            out.put_slice(&[kind::CONNACK << 4, 2, u8::from(packet.session_present), packet.code as u8]);
            Ok(())
        }
        Packet::Publish(packet) => {
            let header =
                PublishHeader { dup: packet.dup, qos: packet.qos, retain: packet.retain, packet_id: packet.packet_id };
            encode_publish(version, header, packet.topic.as_bytes(), &packet.payload, out)
        }
        Packet::PubAck(ack) => short(kind::PUBACK << 4, "PUBACK", ack.packet_id, out),
        Packet::PubRec(ack) => short(kind::PUBREC << 4, "PUBREC", ack.packet_id, out),
        Packet::PubRel(ack) => short(kind::PUBREL << 4 | 2, "PUBREL", ack.packet_id, out),
        Packet::PubComp(ack) => short(kind::PUBCOMP << 4, "PUBCOMP", ack.packet_id, out),
        Packet::Subscribe(packet) => subscribe(packet, out),
        Packet::SubAck(packet) => sub_ack(packet, out),
        Packet::Unsubscribe(packet) => unsubscribe(packet, out),
        Packet::UnsubAck(ack) => short(kind::UNSUBACK << 4, "UNSUBACK", ack.packet_id, out),
        Packet::PingReq => empty(kind::PINGREQ, out),
        Packet::PingResp => empty(kind::PINGRESP, out),
        Packet::Disconnect => empty(kind::DISCONNECT, out),
    }
}

/// Appends a PUBLISH whose topic and payload live elsewhere: the way out of a broker.
///
/// # Errors
/// As for [`encode`].
pub fn encode_publish(
    _version: Version,
    header: PublishHeader,
    topic: &[u8],
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), MqttError> {
    check_topic(topic)?;
    let with_id = header.qos != QoS::AtMostOnce;
    if with_id != (header.packet_id != 0) {
        return Err(MqttError::ZeroPacketId("PUBLISH"));
    }
    let size = 2 + topic.len() + if with_id { 2 } else { 0 } + payload.len();
    let flags = u8::from(header.dup && with_id) << 3 | (header.qos as u8) << 1 | u8::from(header.retain);
    fixed_header(kind::PUBLISH << 4 | flags, size, out)?;
    binary(topic, out);
    if with_id {
        out.put_u16(header.packet_id);
    }
    out.put_slice(payload);
    Ok(())
}

fn connect(packet: &Connect, out: &mut BytesMut) -> Result<(), MqttError> {
    let (name, level) = match packet.version {
        Version::V31 => ("MQIsdp", 3),
        Version::V311 => ("MQTT", 4),
        Version::V5 => return Err(MqttError::UnsupportedVersion(5)),
    };
    let mut flags = u8::from(packet.clean_session) << 1;
    let mut parts: [Option<(&[u8], &'static str)>; 5] = [None; 5];
    parts[0] = Some((packet.client_id.as_bytes(), "client identifier"));
    if let Some(will) = &packet.will {
        check_topic(will.topic.as_bytes())?;
        flags |= 0x04 | (will.qos as u8) << 3 | u8::from(will.retain) << 5;
        parts[1] = Some((will.topic.as_bytes(), "will topic"));
        parts[2] = Some((&will.payload, "will message"));
    }
    if let Some(username) = &packet.username {
        flags |= 0x80;
        parts[3] = Some((username.as_bytes(), "user name"));
    }
    if let Some(password) = &packet.password {
        flags |= 0x40;
        parts[4] = Some((password, "password"));
    }
    if flags & 0xc0 == 0x40 {
        return Err(MqttError::BadConnectFlags(flags));
    }
    let mut size = 2 + name.len() + 4;
    for (bytes, what) in parts.iter().flatten() {
        size += sized(bytes, what)?;
    }
    fixed_header(kind::CONNECT << 4, size, out)?;
    binary(name.as_bytes(), out);
    out.put_slice(&[level, flags]);
    out.put_u16(packet.keep_alive);
    parts.iter().flatten().for_each(|(bytes, _)| binary(bytes, out));
    Ok(())
}

fn subscribe(packet: &Subscribe, out: &mut BytesMut) -> Result<(), MqttError> {
    check_list("SUBSCRIBE", packet.packet_id, packet.filters.len())?;
    let size = packet.filters.iter().map(|(filter, _)| filter.as_bytes().len() + 3).sum::<usize>() + 2;
    fixed_header(kind::SUBSCRIBE << 4 | 2, size, out)?;
    out.put_u16(packet.packet_id);
    for (filter, qos) in &packet.filters {
        binary(filter.as_bytes(), out);
        out.put_u8(*qos as u8);
    }
    Ok(())
}

fn sub_ack(packet: &SubAck, out: &mut BytesMut) -> Result<(), MqttError> {
    check_list("SUBACK", packet.packet_id, packet.codes.len())?;
    fixed_header(kind::SUBACK << 4, 2 + packet.codes.len(), out)?;
    out.put_u16(packet.packet_id);
    for code in &packet.codes {
        out.put_u8(match code {
            SubAckCode::Granted(qos) => *qos as u8,
            SubAckCode::Failure => 0x80,
        });
    }
    Ok(())
}

fn unsubscribe(packet: &Unsubscribe, out: &mut BytesMut) -> Result<(), MqttError> {
    check_list("UNSUBSCRIBE", packet.packet_id, packet.filters.len())?;
    let size = packet.filters.iter().map(|filter| filter.as_bytes().len() + 2).sum::<usize>() + 2;
    fixed_header(kind::UNSUBSCRIBE << 4 | 2, size, out)?;
    out.put_u16(packet.packet_id);
    packet.filters.iter().for_each(|filter| binary(filter.as_bytes(), out));
    Ok(())
}

fn check_list(packet: &'static str, packet_id: u16, length: usize) -> Result<(), MqttError> {
    match (packet_id, length) {
        (0, _) => Err(MqttError::ZeroPacketId(packet)),
        (_, 0) => Err(MqttError::EmptyList(packet)),
        _ => Ok(()),
    }
}

fn short(first: u8, packet: &'static str, packet_id: u16, out: &mut BytesMut) -> Result<(), MqttError> {
    if packet_id == 0 {
        return Err(MqttError::ZeroPacketId(packet));
    }
    let [high, low] = packet_id.to_be_bytes();
    out.put_slice(&[first, 2, high, low]);
    Ok(())
}

fn empty(kind: u8, out: &mut BytesMut) -> Result<(), MqttError> {
    out.put_slice(&[kind << 4, 0]);
    Ok(())
}

/// Size of a field behind a 16-bit length.
fn sized(bytes: &[u8], what: &'static str) -> Result<usize, MqttError> {
    if bytes.len() > usize::from(u16::MAX) { Err(MqttError::TooLong(what)) } else { Ok(bytes.len() + 2) }
}

/// A field behind a 16-bit length; callers have checked that it fits.
fn binary(bytes: &[u8], out: &mut BytesMut) {
    out.put_u16(bytes.len() as u16);
    out.put_slice(bytes);
}

//! Between the packets of MQTT 5 and those before.

use super::{Ack, ConnAck, Connect, End, Packet, Properties, Publish, Reason, Reasons, Subscribe, Unsubscribe};
use crate as v3;
use crate::{ConnectCode, MqttError, SubAckCode, Version};

/// A packet of an older version as MQTT 5 would say it.
pub(super) fn newer(packet: v3::Packet) -> Packet {
    match packet {
        v3::Packet::Publish(packet) => {
            let v3::Publish { dup, qos, retain, topic, packet_id, payload } = packet;
            Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties: Properties::default(), payload })
        }
        v3::Packet::ConnAck(ack) => {
            let (session_present, reason) = (ack.session_present, reason(ack.code));
            Packet::ConnAck(ConnAck { session_present, reason, properties: Properties::default() })
        }
        v3::Packet::PubAck(ack) => Packet::PubAck(Ack::of(ack.packet_id)),
        v3::Packet::PubRec(ack) => Packet::PubRec(Ack::of(ack.packet_id)),
        v3::Packet::PubRel(ack) => Packet::PubRel(Ack::of(ack.packet_id)),
        v3::Packet::PubComp(ack) => Packet::PubComp(Ack::of(ack.packet_id)),
        v3::Packet::SubAck(ack) => {
            let reason = |code: &SubAckCode| match code {
                SubAckCode::Granted(qos) => Reason(*qos as u8),
                SubAckCode::Failure => Reason::UNSPECIFIED_ERROR,
            };
            let reasons = ack.codes.iter().map(reason).collect();
            Packet::SubAck(Reasons { packet_id: ack.packet_id, reasons, ..Reasons::default() })
        }
        v3::Packet::UnsubAck(ack) => {
            Packet::UnsubAck(Reasons { packet_id: ack.packet_id, reasons: vec![Reason::SUCCESS], ..Reasons::default() })
        }
        v3::Packet::Subscribe(packet) => {
            let filters = packet.filters.into_iter().map(|(filter, qos)| (filter, qos.into())).collect();
            Packet::Subscribe(Subscribe { packet_id: packet.packet_id, filters, ..Subscribe::default() })
        }
        v3::Packet::Unsubscribe(packet) => {
            let v3::Unsubscribe { packet_id, filters } = packet;
            Packet::Unsubscribe(Unsubscribe { packet_id, filters, ..Unsubscribe::default() })
        }
        v3::Packet::Connect(packet) => Packet::Connect(Box::new(newer_connect(*packet))),
        v3::Packet::PingReq => Packet::PingReq,
        v3::Packet::PingResp => Packet::PingResp,
        v3::Packet::Disconnect => Packet::Disconnect(End::default()),
    }
}

fn newer_connect(packet: v3::Connect) -> Connect {
    let v3::Connect { client_id, clean_session, keep_alive, will, username, password, .. } = packet;
    let will = will.map(|will| {
        let v3::Will { topic, payload, qos, retain } = will;
        super::Will { topic, payload, qos, retain, properties: Properties::default() }
    });
    let clean_start = clean_session;
    Connect { client_id, clean_start, keep_alive, will, username, password, ..Connect::default() }
}

/// A packet of MQTT 5 without what the older versions do not know. Nothing but reference counts is copied.
pub(super) fn older(version: Version, packet: &Packet) -> Result<v3::Packet, MqttError> {
    Ok(match packet {
        Packet::Connect(packet) => v3::Packet::Connect(Box::new(older_connect(version, packet))),
        Packet::ConnAck(ack) => {
            v3::Packet::ConnAck(v3::ConnAck { session_present: ack.session_present, code: code(ack.reason) })
        }
        Packet::Publish(packet) => {
            let Publish { dup, qos, retain, topic, packet_id, payload, .. } = packet.clone();
            v3::Packet::Publish(v3::Publish { dup, qos, retain, topic, packet_id, payload })
        }
        Packet::PubAck(ack) => v3::Packet::PubAck(v3::Ack { packet_id: ack.packet_id }),
        Packet::PubRec(ack) => v3::Packet::PubRec(v3::Ack { packet_id: ack.packet_id }),
        Packet::PubRel(ack) => v3::Packet::PubRel(v3::Ack { packet_id: ack.packet_id }),
        Packet::PubComp(ack) => v3::Packet::PubComp(v3::Ack { packet_id: ack.packet_id }),
        Packet::Subscribe(packet) => {
            let filters = packet.filters.iter().map(|(filter, options)| (filter.clone(), options.qos)).collect();
            v3::Packet::Subscribe(v3::Subscribe { packet_id: packet.packet_id, filters })
        }
        Packet::SubAck(packet) => {
            let code = |reason: &Reason| v3::QoS::try_from(reason.0).map_or(SubAckCode::Failure, SubAckCode::Granted);
            let codes = packet.reasons.iter().map(code).collect();
            v3::Packet::SubAck(v3::SubAck { packet_id: packet.packet_id, codes })
        }
        Packet::Unsubscribe(packet) => {
            let (packet_id, filters) = (packet.packet_id, packet.filters.clone());
            v3::Packet::Unsubscribe(v3::Unsubscribe { packet_id, filters })
        }
        Packet::UnsubAck(packet) => v3::Packet::UnsubAck(v3::Ack { packet_id: packet.packet_id }),
        Packet::PingReq => v3::Packet::PingReq,
        Packet::PingResp => v3::Packet::PingResp,
        Packet::Disconnect(_) => v3::Packet::Disconnect,
        Packet::Auth(_) => return Err(MqttError::UnknownType(v3::codec::kind::AUTH)),
    })
}

fn older_connect(version: Version, packet: &Connect) -> v3::Connect {
    let Connect { client_id, clean_start, keep_alive, will, username, password, .. } = packet.clone();
    let will = will.map(|will| {
        let super::Will { topic, payload, qos, retain, .. } = will;
        v3::Will { topic, payload, qos, retain }
    });
    v3::Connect { version, client_id, clean_session: clean_start, keep_alive, will, username, password }
}

pub(super) fn reason(code: ConnectCode) -> Reason {
    match code {
        ConnectCode::Accepted => Reason::SUCCESS,
        ConnectCode::UnacceptableVersion => Reason::UNSUPPORTED_PROTOCOL_VERSION,
        ConnectCode::IdentifierRejected => Reason::CLIENT_IDENTIFIER_NOT_VALID,
        ConnectCode::ServerUnavailable => Reason::SERVER_UNAVAILABLE,
        ConnectCode::BadCredentials => Reason::BAD_USER_NAME_OR_PASSWORD,
        ConnectCode::NotAuthorized => Reason::NOT_AUTHORIZED,
    }
}

fn code(reason: Reason) -> ConnectCode {
    match reason {
        Reason::SUCCESS => ConnectCode::Accepted,
        Reason::UNSUPPORTED_PROTOCOL_VERSION => ConnectCode::UnacceptableVersion,
        Reason::CLIENT_IDENTIFIER_NOT_VALID => ConnectCode::IdentifierRejected,
        Reason::BAD_USER_NAME_OR_PASSWORD => ConnectCode::BadCredentials,
        Reason::NOT_AUTHORIZED => ConnectCode::NotAuthorized,
        _ => ConnectCode::ServerUnavailable,
    }
}

//! Known bytes, round trips and hostile input.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use crate::*;

const LIMIT: usize = 1 << 20;

fn decode_all(mut buffer: BytesMut) -> Result<Vec<Packet>, MqttError> {
    let mut packets = Vec::new();
    while let Some(packet) = decode(Version::V311, &mut buffer, LIMIT)? {
        packets.push(packet);
    }
    Ok(packets)
}

fn encoded(packet: &Packet) -> BytesMut {
    let mut out = BytesMut::new();
    encode(Version::V311, packet, &mut out).unwrap();
    out
}

#[test]
fn decodes_known_bytes() {
    let cases: [(&[u8], Packet); 6] = [
        (&[0xc0, 0], Packet::PingReq),
        (&[0x20, 2, 1, 0], Packet::ConnAck(ConnAck { session_present: true, code: ConnectCode::Accepted })),
        (&[0x62, 2, 0, 7], Packet::PubRel(Ack { packet_id: 7 })),
        (
            b"\x3b\x07\x00\x01a\x00\x05hi",
            Packet::Publish(Publish {
                dup: true,
                qos: QoS::AtLeastOnce,
                retain: true,
                topic: Text::from_static("a"),
                packet_id: 5,
                payload: Bytes::from_static(b"hi"),
            }),
        ),
        (
            b"\x82\x08\x00\x01\x00\x03a/+\x01",
            Packet::Subscribe(Subscribe {
                packet_id: 1,
                filters: vec![(Filter::try_from("a/+").unwrap(), QoS::AtLeastOnce)],
            }),
        ),
        (
            b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02id",
            Packet::Connect(Box::new(Connect {
                client_id: Text::from_static("id"),
                clean_session: true,
                keep_alive: 60,
                ..Connect::default()
            })),
        ),
    ];
    for (bytes, packet) in cases {
        assert_eq!(decode_all(BytesMut::from(bytes)), Ok(vec![packet.clone()]));
        assert_eq!(encoded(&packet), bytes);
    }
}

#[test]
fn refuses_malformed_packets() {
    let cases: [(&[u8], MqttError); 24] = [
        (&[0x00, 0], MqttError::UnknownType(0)),
        (&[0xf0, 0], MqttError::UnknownType(15)),
        (&[0xc1, 0], MqttError::ReservedFlags { packet: "PINGREQ", flags: 1 }),
        (&[0x60, 2, 0, 1], MqttError::ReservedFlags { packet: "PUBREL", flags: 0 }),
        (&[0x80, 2, 0, 1], MqttError::ReservedFlags { packet: "SUBSCRIBE", flags: 0 }),
        (&[0xc0, 0x80, 0x80, 0x80, 0x80, 1], MqttError::BadLength),
        (&[0xc0, 0xff, 0xff, 0xff, 0x7f], MqttError::TooLarge { size: 268_435_460, limit: LIMIT }),
        (&[0xc0, 1, 0], MqttError::Trailing { packet: "PINGREQ", count: 1 }),
        (&[0x40, 1, 0], MqttError::Truncated("packet identifier")),
        (&[0x40, 2, 0, 0], MqttError::ZeroPacketId("PUBACK")),
        (&[0x40, 3, 0, 1, 0], MqttError::Trailing { packet: "PUBACK", count: 1 }),
        (b"\x36\x05\x00\x01a\x00\x01", MqttError::BadQos(3)),
        (b"\x38\x03\x00\x01a", MqttError::ReservedFlags { packet: "PUBLISH", flags: 8 }),
        (b"\x32\x05\x00\x01a\x00\x00", MqttError::ZeroPacketId("PUBLISH")),
        (b"\x30\x02\x00\x00", MqttError::BadTopic),
        (b"\x30\x05\x00\x03a/#", MqttError::BadTopic),
        (b"\x30\x03\x00\x01\x00", MqttError::BadText("topic name")),
        (b"\x30\x04\x00\x02\xc3\x28", MqttError::BadText("topic name")),
        (b"\x30\x03\x00\x09a", MqttError::Truncated("topic name")),
        (b"\x82\x02\x00\x01", MqttError::EmptyList("SUBSCRIBE")),
        (b"\x82\x06\x00\x01\x00\x01a\x03", MqttError::BadQos(3)),
        (b"\x82\x07\x00\x01\x00\x02a#\x00", MqttError::BadFilter),
        (b"\x90\x03\x00\x01\x03", MqttError::BadCode { packet: "SUBACK", code: 3 }),
        (&[0x20, 2, 0, 6], MqttError::BadCode { packet: "CONNACK", code: 6 }),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode_all(BytesMut::from(bytes)), Err(error), "{bytes:02x?}");
    }
}

#[test]
fn refuses_malformed_connects() {
    let check = |name: &[u8], level: u8, flags: u8, rest: &[u8]| {
        let mut body = vec![0, name.len() as u8];
        body.extend_from_slice(name);
        body.extend_from_slice(&[level, flags, 0, 60]);
        body.extend_from_slice(rest);
        let mut packet = vec![0x10, body.len() as u8];
        packet.extend_from_slice(&body);
        decode_all(BytesMut::from(&packet[..])).unwrap_err()
    };
    assert_eq!(check(b"MQTT", 5, 2, b"\x00\x00"), MqttError::UnsupportedVersion(5));
    assert_eq!(check(b"HTTP", 4, 2, b"\x00\x00"), MqttError::UnknownProtocol);
    for flags in [0x03, 0x40, 0x0a, 0x22] {
        assert_eq!(check(b"MQTT", 4, flags, b"\x00\x00"), MqttError::BadConnectFlags(flags));
    }
    assert_eq!(check(b"MQTT", 4, 0x1e, b"\x00\x00\x00\x01t\x00\x00"), MqttError::BadQos(3));
    assert_eq!(check(b"MQTT", 4, 0x06, b"\x00\x00\x00\x01+\x00\x00"), MqttError::BadTopic);
    assert_eq!(check(b"MQTT", 4, 0x82, b"\x00\x00"), MqttError::Truncated("user name"));
    assert_eq!(check(b"MQTT", 4, 0x02, b"\x00\x00x"), MqttError::Trailing { packet: "CONNECT", count: 1 });
}

#[test]
fn refuses_what_has_no_encoding() {
    let long = Text::try_from("x".repeat(65_536)).unwrap();
    let cases = [
        (Packet::PubAck(Ack { packet_id: 0 }), MqttError::ZeroPacketId("PUBACK")),
        (Packet::Publish(Publish::default()), MqttError::BadTopic),
        (Packet::Publish(Publish { topic: long.clone(), ..Publish::default() }), MqttError::BadTopic),
        (
            Packet::Publish(Publish { topic: Text::from_static("a"), packet_id: 1, ..Publish::default() }),
            MqttError::ZeroPacketId("PUBLISH"),
        ),
        (Packet::Subscribe(Subscribe { packet_id: 1, filters: vec![] }), MqttError::EmptyList("SUBSCRIBE")),
        (
            Packet::Connect(Box::new(Connect { client_id: long, ..Connect::default() })),
            MqttError::TooLong("client identifier"),
        ),
        (
            Packet::Connect(Box::new(Connect { password: Some(Bytes::new()), ..Connect::default() })),
            MqttError::BadConnectFlags(0x40),
        ),
    ];
    for (packet, error) in cases {
        let mut out = BytesMut::from(&b"before"[..]);
        assert_eq!(encode(Version::V311, &packet, &mut out), Err(error));
        assert_eq!(out, &b"before"[..]);
    }
}

#[test]
fn an_oversized_packet_is_refused_before_it_has_come() {
    let mut buffer = BytesMut::from(&[0x30, 0xff, 0x7f][..]);
    assert_eq!(decode(Version::V311, &mut buffer, 100), Err(MqttError::TooLarge { size: 16_386, limit: 100 }));
}

fn text() -> impl Strategy<Value = Text> {
    "[^\0]{0,20}".prop_map(|text| Text::try_from(text).unwrap())
}

fn topic() -> impl Strategy<Value = Text> {
    "[^\0+#]{1,20}".prop_map(|text| Text::try_from(text).unwrap())
}

fn filter() -> impl Strategy<Value = Filter> {
    "([a-c]{0,2}/|\\+/){0,3}([a-c]|\\+|#)".prop_map(|text| Filter::try_from(text.as_str()).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    (0u8..3).prop_map(|level| QoS::try_from(level).unwrap())
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn connect() -> impl Strategy<Value = Packet> {
    let will = prop::option::of((topic(), payload(), qos(), any::<bool>()))
        .prop_map(|will| will.map(|(topic, payload, qos, retain)| Will { topic, payload, qos, retain }));
    let login = prop::option::of((text(), prop::option::of(payload())));
    let version = prop::sample::select(vec![Version::V31, Version::V311]);
    (version, text(), any::<bool>(), any::<u16>(), will, login).prop_map(
        |(version, client_id, clean_session, keep_alive, will, login)| {
            let (username, password) = login.map_or((None, None), |(name, password)| (Some(name), password));
            Packet::Connect(Box::new(Connect {
                version,
                client_id,
                clean_session,
                keep_alive,
                will,
                username,
                password,
            }))
        },
    )
}

fn publish() -> impl Strategy<Value = Packet> {
    (any::<bool>(), qos(), any::<bool>(), topic(), 1u16.., payload()).prop_map(
        |(dup, qos, retain, topic, packet_id, payload)| {
            let sure = qos != QoS::AtMostOnce;
            let packet_id = if sure { packet_id } else { 0 };
            Packet::Publish(Publish { dup: dup && sure, qos, retain, topic, packet_id, payload })
        },
    )
}

fn packet() -> impl Strategy<Value = Packet> {
    let ack = (1u16..).prop_map(|packet_id| Ack { packet_id });
    let code = (0u8..6).prop_map(|code| ConnectCode::try_from(code).unwrap());
    let granted = prop_oneof![qos().prop_map(SubAckCode::Granted), Just(SubAckCode::Failure)];
    prop_oneof![
        connect(),
        publish(),
        (any::<bool>(), code).prop_map(|(session_present, code)| Packet::ConnAck(ConnAck { session_present, code })),
        ack.clone().prop_map(Packet::PubAck),
        ack.clone().prop_map(Packet::PubRec),
        ack.clone().prop_map(Packet::PubRel),
        ack.clone().prop_map(Packet::PubComp),
        ack.prop_map(Packet::UnsubAck),
        (1u16.., prop::collection::vec((filter(), qos()), 1..5))
            .prop_map(|(packet_id, filters)| Packet::Subscribe(Subscribe { packet_id, filters })),
        (1u16.., prop::collection::vec(granted, 1..5))
            .prop_map(|(packet_id, codes)| Packet::SubAck(SubAck { packet_id, codes })),
        (1u16.., prop::collection::vec(filter(), 1..5))
            .prop_map(|(packet_id, filters)| Packet::Unsubscribe(Unsubscribe { packet_id, filters })),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        Just(Packet::Disconnect),
    ]
}

proptest! {
    #[test]
    fn packets_survive_a_round_trip_in_any_chunks(packets in prop::collection::vec(packet(), 1..5), chunk in 1usize..40) {
        let mut bytes = BytesMut::new();
        for packet in &packets {
            encode(Version::V311, packet, &mut bytes).unwrap();
        }
        let mut buffer = BytesMut::new();
        let mut decoded = Vec::new();
        for part in bytes.chunks(chunk) {
            buffer.extend_from_slice(part);
            while let Some(packet) = decode(Version::V311, &mut buffer, LIMIT).unwrap() {
                decoded.push(packet);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(decoded, packets);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_all(BytesMut::from(&bytes[..]));
    }

    #[test]
    fn mutated_packets_never_panic_and_whatever_decodes_encodes_to_the_same(
        packet in packet(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encoded(&packet);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(1 + cut.index(bytes.len()));
        let mut rest = bytes.clone();
        if let Ok(Some(packet)) = decode(Version::V311, &mut rest, LIMIT) {
            let again = encoded(&packet);
            prop_assert_eq!(decode_all(again).unwrap(), vec![packet]);
        }
    }
}

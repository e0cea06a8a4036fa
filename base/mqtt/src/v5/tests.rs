//! Known bytes, round trips and hostile input, in every version.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::{Filter, MqttError, QoS, Text, Version};

const LIMIT: usize = 1 << 20;

fn decode_all(version: Version, mut buffer: BytesMut) -> Result<Vec<Packet>, MqttError> {
    let mut packets = Vec::new();
    while let Some(packet) = decode(version, &mut buffer, LIMIT)? {
        packets.push(packet);
    }
    Ok(packets)
}

fn encoded(packet: &Packet) -> BytesMut {
    let mut out = BytesMut::new();
    encode(Version::V5, packet, &mut out).unwrap();
    out
}

fn of(property: Property) -> Properties {
    Properties::from_iter([property])
}

#[test]
fn decodes_known_bytes() {
    let user = Property::User(Text::from_static("k"), Text::from_static("v"));
    let cases: [(&[u8], Packet); 9] = [
        (&[0xc0, 0], Packet::PingReq),
        (&[0xe0, 0], Packet::Disconnect(End::default())),
        (&[0xe0, 1, 0x8e], Packet::Disconnect(End { reason: Reason(0x8e), ..End::default() })),
        (&[0x40, 2, 0, 7], Packet::PubAck(Ack::of(7))),
        (
            b"\x50\x0a\x00\x07\x87\x06\x1f\x00\x03why",
            Packet::PubRec(Ack {
                packet_id: 7,
                reason: Reason::NOT_AUTHORIZED,
                properties: of(Property::Reason(Text::from_static("why"))),
            }),
        ),
        (
            b"\x20\x06\x01\x00\x03\x21\x00\x0a",
            Packet::ConnAck(ConnAck {
                session_present: true,
                reason: Reason::SUCCESS,
                properties: of(Property::ReceiveMaximum(10)),
            }),
        ),
        (
            b"\x31\x0d\x00\x01a\x07\x26\x00\x01k\x00\x01vhi",
            Packet::Publish(Publish {
                retain: true,
                topic: Text::from_static("a"),
                properties: of(user),
                payload: Bytes::from_static(b"hi"),
                ..Publish::default()
            }),
        ),
        (
            b"\x82\x09\x00\x01\x00\x00\x03a/+\x1d",
            Packet::Subscribe(Subscribe {
                packet_id: 1,
                properties: Properties::default(),
                filters: vec![(
                    Filter::try_from("a/+").unwrap(),
                    Subscription {
                        qos: QoS::AtLeastOnce,
                        no_local: true,
                        retain_as_published: true,
                        retain_handling: RetainHandling::IfNew,
                    },
                )],
            }),
        ),
        (
            b"\x10\x14\x00\x04MQTT\x05\x02\x00\x3c\x05\x11\x00\x00\x00\x0a\x00\x02id",
            Packet::Connect(Box::new(Connect {
                client_id: Text::from_static("id"),
                clean_start: true,
                keep_alive: 60,
                properties: of(Property::SessionExpiry(10)),
                ..Connect::default()
            })),
        ),
    ];
    for (bytes, packet) in cases {
        assert_eq!(decode_all(Version::V5, BytesMut::from(bytes)), Ok(vec![packet.clone()]));
        assert_eq!(encoded(&packet), bytes);
    }
}

#[test]
fn refuses_malformed_packets() {
    let cases: [(&[u8], MqttError); 16] = [
        (&[0x00, 0], MqttError::UnknownType(0)),
        (&[0xf1, 0], MqttError::ReservedFlags { packet: "AUTH", flags: 1 }),
        (&[0xc0, 1, 0], MqttError::Trailing { packet: "PINGREQ", count: 1 }),
        (&[0x40, 2, 0, 0], MqttError::ZeroPacketId("PUBACK")),
        (b"\x30\x04\x00\x01a\x09", MqttError::Truncated("properties")),
        (b"\x30\x03\x00\x01a", MqttError::Truncated("length of properties")),
        (b"\x30\x03\x00\x00\x00", MqttError::BadTopic),
        (b"\x30\x06\x00\x01a\x02\x01\x02", MqttError::BadProperty(1)),
        (b"\x30\x08\x00\x01a\x04\x01\x01\x01\x01", MqttError::BadProperty(1)),
        (b"\x30\x07\x00\x01a\x03\x23\x00\x00", MqttError::BadProperty(0x23)),
        (b"\x30\x07\x00\x01a\x03\x21\x00\x01", MqttError::BadProperty(0x21)),
        (b"\x30\x05\x00\x01a\x01\x7f", MqttError::BadProperty(0x7f)),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x30", MqttError::BadCode { packet: "SUBSCRIBE", code: 0x30 }),
        (b"\x82\x03\x00\x01\x00", MqttError::EmptyList("SUBSCRIBE")),
        (b"\x90\x03\x00\x01\x00", MqttError::EmptyList("SUBACK")),
        (b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", MqttError::UnsupportedVersion(4)),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode_all(Version::V5, BytesMut::from(bytes)), Err(error), "{bytes:02x?}");
    }
}

#[test]
fn nothing_is_appended_for_what_has_no_encoding() {
    let alias = Publish { properties: of(Property::TopicAlias(0)), ..Publish::default() };
    let stray = ConnAck { properties: of(Property::TopicAlias(1)), ..ConnAck::default() };
    for packet in [Packet::Publish(alias), Packet::ConnAck(stray), Packet::Subscribe(Subscribe::default())] {
        let mut out = BytesMut::new();
        assert!(encode(Version::V5, &packet, &mut out).is_err() && out.is_empty(), "{packet:?}");
    }
}

fn text() -> impl Strategy<Value = Text> {
    "[^\0]{0,12}".prop_map(|text| Text::try_from(text).unwrap())
}

fn topic() -> impl Strategy<Value = Text> {
    "[^\0+#]{1,20}".prop_map(|text| Text::try_from(text).unwrap())
}

fn filter() -> impl Strategy<Value = Filter> {
    "(\\$share/g/)?([a-c]{0,2}/|\\+/){0,3}([a-c]|\\+|#)".prop_map(|text| Filter::try_from(text.as_str()).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    (0u8..3).prop_map(|level| QoS::try_from(level).unwrap())
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn reason() -> impl Strategy<Value = Reason> {
    any::<u8>().prop_map(Reason)
}

fn user() -> impl Strategy<Value = Properties> {
    prop::collection::vec((text(), text()).prop_map(|(key, value)| Property::User(key, value)), 0..3)
        .prop_map(Properties::from_iter)
}

/// Each of the properties given, or not, and some of the user's.
fn some(properties: Vec<BoxedStrategy<Property>>) -> impl Strategy<Value = Properties> {
    let each: Vec<_> = properties.into_iter().map(prop::option::of).collect();
    (each, user()).prop_map(|(some, user)| some.into_iter().flatten().chain(user.iter().cloned()).collect())
}

fn message_properties() -> Vec<BoxedStrategy<Property>> {
    vec![
        any::<bool>().prop_map(Property::PayloadIsText).boxed(),
        any::<u32>().prop_map(Property::MessageExpiry).boxed(),
        text().prop_map(Property::ContentType).boxed(),
        text().prop_map(Property::ResponseTopic).boxed(),
        bytes().prop_map(Property::CorrelationData).boxed(),
    ]
}

fn connect() -> impl Strategy<Value = Packet> {
    let mut of_will = message_properties();
    of_will.push(any::<u32>().prop_map(Property::WillDelay).boxed());
    let will = (topic(), bytes(), qos(), any::<bool>(), some(of_will))
        .prop_map(|(topic, payload, qos, retain, properties)| Will { topic, payload, qos, retain, properties });
    let properties = some(vec![
        any::<u32>().prop_map(Property::SessionExpiry).boxed(),
        text().prop_map(Property::AuthMethod).boxed(),
        bytes().prop_map(Property::AuthData).boxed(),
        any::<bool>().prop_map(Property::RequestProblemInfo).boxed(),
        any::<bool>().prop_map(Property::RequestResponseInfo).boxed(),
        (1u16..).prop_map(Property::ReceiveMaximum).boxed(),
        any::<u16>().prop_map(Property::TopicAliasMaximum).boxed(),
        (1u32..).prop_map(Property::MaximumPacketSize).boxed(),
    ]);
    let login = (prop::option::of(text()), prop::option::of(bytes()));
    (text(), any::<bool>(), any::<u16>(), properties, prop::option::of(will), login).prop_map(
        |(client_id, clean_start, keep_alive, properties, will, (username, password))| {
            let connect = Connect { client_id, clean_start, keep_alive, properties, will, username, password };
            Packet::Connect(Box::new(connect))
        },
    )
}

fn conn_ack() -> impl Strategy<Value = Packet> {
    let properties = some(vec![
        any::<u32>().prop_map(Property::SessionExpiry).boxed(),
        text().prop_map(Property::AssignedClientId).boxed(),
        any::<u16>().prop_map(Property::ServerKeepAlive).boxed(),
        text().prop_map(Property::ResponseInfo).boxed(),
        text().prop_map(Property::ServerReference).boxed(),
        text().prop_map(Property::Reason).boxed(),
        any::<bool>().prop_map(Property::MaximumQosIsOne).boxed(),
        any::<bool>().prop_map(Property::RetainAvailable).boxed(),
        any::<bool>().prop_map(Property::WildcardsAvailable).boxed(),
        any::<bool>().prop_map(Property::SubscriptionIdsAvailable).boxed(),
        any::<bool>().prop_map(Property::SharedAvailable).boxed(),
    ]);
    (any::<bool>(), reason(), properties).prop_map(|(session_present, reason, properties)| {
        Packet::ConnAck(ConnAck { session_present, reason, properties })
    })
}

fn publish() -> impl Strategy<Value = Packet> {
    let mut properties = message_properties();
    properties.push((1u32..268_435_456).prop_map(Property::SubscriptionId).boxed());
    let alias = prop::option::of(1u16..).prop_map(|alias| alias.map(Property::TopicAlias));
    (any::<bool>(), qos(), any::<bool>(), topic(), 1u16.., (some(properties), alias), bytes()).prop_map(
        |(dup, qos, retain, topic, packet_id, (properties, alias), payload)| {
            let sure = qos != QoS::AtMostOnce;
            let topic = if alias.is_some() && retain { Text::default() } else { topic };
            let properties = alias.into_iter().chain(properties.iter().cloned()).collect();
            let (packet_id, dup) = (if sure { packet_id } else { 0 }, dup && sure);
            Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload })
        },
    )
}

fn packet() -> impl Strategy<Value = Packet> {
    let why = || some(vec![text().prop_map(Property::Reason).boxed()]);
    let ack = (1u16.., reason(), why())
        .prop_map(|(packet_id, reason, properties)| Ack { packet_id, reason, properties })
        .boxed();
    let reasons = (1u16.., why(), prop::collection::vec(reason(), 1..5))
        .prop_map(|(packet_id, properties, reasons)| Reasons { packet_id, properties, reasons })
        .boxed();
    let end = (reason(), why()).prop_map(|(reason, properties)| End { reason, properties }).boxed();
    let options = (qos(), any::<bool>(), any::<bool>(), 0u8..3).prop_map(|(qos, no_local, kept, handling)| {
        let retain_handling = [RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never][handling as usize];
        Subscription { qos, no_local, retain_as_published: kept, retain_handling }
    });
    let subscribe = (1u16.., user(), prop::collection::vec((filter(), options), 1..4))
        .prop_map(|(packet_id, properties, filters)| Subscribe { packet_id, properties, filters });
    let unsubscribe = (1u16.., user(), prop::collection::vec(filter(), 1..4))
        .prop_map(|(packet_id, properties, filters)| Unsubscribe { packet_id, properties, filters });
    prop_oneof![
        connect(),
        conn_ack(),
        publish(),
        ack.clone().prop_map(Packet::PubAck),
        ack.clone().prop_map(Packet::PubRec),
        ack.clone().prop_map(Packet::PubRel),
        ack.prop_map(Packet::PubComp),
        subscribe.prop_map(Packet::Subscribe),
        reasons.clone().prop_map(Packet::SubAck),
        unsubscribe.prop_map(Packet::Unsubscribe),
        reasons.prop_map(Packet::UnsubAck),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        end.clone().prop_map(Packet::Disconnect),
        end.prop_map(Packet::Auth),
    ]
}

proptest! {
    #[test]
    fn packets_survive_a_round_trip_in_any_chunks(packets in prop::collection::vec(packet(), 1..4), chunk in 1usize..40) {
        let mut bytes = BytesMut::new();
        for packet in &packets {
            encode(Version::V5, packet, &mut bytes).unwrap();
        }
        let (mut buffer, mut decoded) = (BytesMut::new(), Vec::new());
        for part in bytes.chunks(chunk) {
            buffer.extend_from_slice(part);
            while let Some(packet) = decode(Version::V5, &mut buffer, LIMIT).unwrap() {
                decoded.push(packet);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(decoded, packets);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for version in [Version::V31, Version::V311, Version::V5] {
            let _ = decode_all(version, BytesMut::from(&bytes[..]));
        }
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
        if let Ok(Some(packet)) = decode(Version::V5, &mut rest, LIMIT) {
            prop_assert_eq!(decode_all(Version::V5, encoded(&packet)).unwrap(), vec![packet]);
        }
    }

    #[test]
    fn an_older_version_says_what_it_can(packet in packet()) {
        let mut bytes = BytesMut::new();
        if encode(Version::V311, &packet, &mut bytes).is_ok() {
            // A CONNECT says what the connection will speak, the others are of its version.
            let mut again = BytesMut::new();
            let decoded = decode_all(Version::V311, bytes.clone()).unwrap();
            encode(Version::V311, &decoded[0], &mut again).unwrap();
            prop_assert_eq!(again, bytes);
        }
    }
}

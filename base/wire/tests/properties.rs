//! Whatever is encoded decodes to the same; whatever bytes come in, an answer comes out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap in a test is a failed test")]

use bytes::Bytes;
use edgeward_wire::{
    DeviceTopic, Envelope, Error, Frame, Have, HaveEntry, Header, Limits, LogRequest, MAX_IDENTITY_BYTES,
    PACKET_HEADER_BYTES, PacketHeader, PacketKind, Record, Resource, Route, StreamFailure, StreamPart, StreamRequest,
    Telemetry, TelemetryBuilder, TunnelFrame, TunnelKind, content, decode_message, encode_message, needs_ack, new_id,
    ok, split_node, with_node,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z<>&\"\\\\/.\u{2028}\u{2029}\u{0}-\u{1f}é]{0,12}", "\\PC{0,8}"]
}

prop_compose! {
    fn envelope()(
        id in "[0-9a-f-]{1,36}", parent_id in text(), timestamp in any::<i64>(), resource_version in text(),
        sync in any::<bool>(), kind in text(), route in [text(), text(), text(), text(), text()], value in text(),
    ) -> Envelope {
        let [source, destination, group, operation, resource] = route;
        Envelope {
            header: Header { id, parent_id, timestamp, resource_version, sync, kind },
            route: Route { source, destination, group, operation, resource },
            content: content(&[value]).unwrap(),
        }
    }
}

type Reading = (String, i64, Vec<u8>, Vec<u8>);

fn records() -> impl Strategy<Value = Vec<Reading>> {
    let bytes = |most| vec(any::<u8>(), 0..most);
    vec((text(), any::<i64>(), bytes(MAX_IDENTITY_BYTES), bytes(40)), 0..40)
}

fn telemetry(first_seq: u64, records: &[Reading]) -> Telemetry {
    let mut builder = TelemetryBuilder::new(first_seq, Limits::default());
    for (id, timestamp_ms, identity, payload) in records {
        assert!(builder.push(Record { id, timestamp_ms: *timestamp_ms, identity, payload }));
    }
    builder.build()
}

proptest! {
    #[test]
    fn envelopes_survive_and_are_escaped_like_gos(envelope in envelope()) {
        let wire = envelope.encode();
        let unescaped = wire.contains(['<', '>', '&', '\u{2028}', '\u{2029}']);
        prop_assert!(wire.ends_with('\n') && !unescaped);
        let back = Envelope::decode(&wire).unwrap();
        prop_assert_eq!(&back.header, &envelope.header);
        prop_assert_eq!(&back.route, &envelope.route);
        prop_assert_eq!(back.read::<Vec<String>>().unwrap(), envelope.read::<Vec<String>>().unwrap());
        prop_assert_eq!(back.encode(), wire);
    }

    #[test]
    fn any_text_as_envelope_gives_an_answer(text in "\\PC{0,200}") {
        if let Ok(envelope) = Envelope::decode(&text) {
            needs_ack(&envelope);
        }
    }

    #[test]
    fn printing_a_parsed_resource_gives_its_text(text in "(node|null|device|membership|twin|task|default|a|/){0,8}|\\PC{0,30}") {
        prop_assert_eq!(Resource::parse(&text).to_string(), text.clone());
        let (node, rest) = split_node(&text);
        if let Some(node) = node {
            prop_assert_eq!(with_node(node, &Resource::Other(rest)), text);
        }
    }

    #[test]
    fn link_frames_survive(first_seq in 0..u64::MAX / 2, records in records(), through_seq: u64, complete: bool,
                           have in vec(("[a-z/]{0,30}", "[0-9]{0,9}"), 0..60), batch in vec(envelope(), 0..6)) {
        let entries = have.into_iter().map(|(resource, resource_version)| HaveEntry { resource, resource_version }).collect();
        let frames = [
            Frame::Telemetry(telemetry(first_seq, &records)),
            Frame::TelemetryAck { through_seq },
            Frame::Have(Have { complete, entries }),
        ];
        for frame in frames {
            prop_assert_eq!(Frame::decode(&frame.encode().unwrap(), &Limits::default()).unwrap(), frame);
        }
        let Frame::Batch(back) = Frame::decode(&Frame::Batch(batch.clone()).encode().unwrap(), &Limits::default()).unwrap()
        else { panic!("a batch came back as something else") };
        let lines = |batch: &[Envelope]| batch.iter().map(Envelope::encode).collect::<Vec<_>>();
        prop_assert_eq!(lines(&back), lines(&batch));

        let batch = telemetry(first_seq, &records);
        let read: Vec<_> = batch.records().map(|(seq, r)| (seq, (r.id.to_owned(), r.timestamp_ms, r.identity.to_vec(), r.payload.to_vec()))).collect();
        let expected: Vec<_> = (first_seq..).zip(records).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn stream_parts_survive(id: u64, number: u32, code: u16, text in text(), data in vec(any::<u8>(), 0..60)) {
        let request = LogRequest { pod: text.clone(), tail_lines: Some(number.into()), follow: code % 2 == 0, ..LogRequest::default() };
        let parts = [
            StreamPart::Open { window: number, request: StreamRequest::Logs(request) },
            StreamPart::Data(data.into()),
            StreamPart::End(None),
            StreamPart::End(Some(StreamFailure { code, message: text })),
            StreamPart::Widen(number),
            StreamPart::Cancel,
        ];
        for part in parts {
            let frame = Frame::Stream { id, part };
            prop_assert_eq!(Frame::decode(&frame.encode().unwrap(), &Limits::default()).unwrap(), frame);
        }
    }

    #[test]
    fn any_bytes_as_frame_give_an_answer(kind in 0u8..20, flags in 0u8..3, body in vec(any::<u8>(), 0..200)) {
        let mut bytes = vec![kind, flags];
        bytes.extend(&body);
        let _ = Frame::decode(&Bytes::from(bytes), &Limits::default());
        let _ = TunnelFrame::decode(&body);
        let _ = decode_message(&body);
    }

    #[test]
    fn tunnel_frames_survive(connection: u64, data in vec(any::<u8>(), 0..50)) {
        for kind in [TunnelKind::LogsConnect, TunnelKind::Data, TunnelKind::AttachConnect] {
            let frame = TunnelFrame { connection, kind, data: &data };
            let bytes = frame.encode().unwrap();
            prop_assert_eq!(TunnelFrame::decode(&bytes).unwrap(), frame);
        }
    }

    #[test]
    fn quic_messages_survive_but_for_what_the_form_cannot_hold(envelope in envelope()) {
        let mut expected = envelope.clone();
        expected.header.resource_version.clear();
        expected.route.destination.clear();
        prop_assert_eq!(decode_message(&encode_message(&envelope)).unwrap(), expected);
    }

    #[test]
    fn packet_headers_survive_or_are_refused(bytes: [u8; PACKET_HEADER_BYTES], length: u32) {
        if let Ok(header) = PacketHeader::decode(&bytes) {
            prop_assert_eq!(header.encode().unwrap(), bytes);
        }
        let header = PacketHeader { kind: PacketKind::Message, length };
        match header.encode() {
            Ok(bytes) => prop_assert_eq!(PacketHeader::decode(&bytes).unwrap(), header),
            Err(_) => prop_assert!(length > 32 << 20),
        }
    }
}

#[test]
fn resources_have_the_forms_of_the_grammar() {
    let check = |text: &str, expected: Resource<'_>| assert_eq!(Resource::parse(text), expected, "{text}");
    check("default/pod/web-0", Resource::object(Some("default"), "pod", "web-0"));
    check("null/node/edge1", Resource::object(None, "node", "edge1"));
    check("default/pod", Resource::Object { namespace: Some("default"), kind: "pod", name: None });
    check(
        "device/default/s-1/twin/edge_updated",
        Resource::Device { namespace: "default", name: "s-1", topic: DeviceTopic::Twin },
    );
    check(
        "device/default/s-1/state/update",
        Resource::Device { namespace: "default", name: "s-1", topic: DeviceTopic::State },
    );
    check("membership/detail", Resource::MembershipDetail);
    check("membership", Resource::Membership);
    check("twin", Resource::Twin);
    check("node", Resource::Keepalive);
    check("null", Resource::Application);
    check("ignore/Application/ignore", Resource::ApplicationAnswer);
    check("watchapp/sync", Resource::WatchSync);
    check("k8s/ca.crt", Resource::ClusterCa);
    check("task/t1/node/edge1", Resource::LegacyTask { id: "t1", node: "edge1" });
    check(
        "operations.kubeedge.io/v1alpha2/imageprepulljob/j/node/edge1",
        Resource::Task { version: "v1alpha2", kind: "imageprepulljob", job: "j", node: "edge1" },
    );
    for other in ["", "/", "a//b", "a/b/c/d", "device/default/s/twin/other", "a/b/c/d/e/f/g/h"] {
        check(other, Resource::Other(other));
    }
    assert_eq!(split_node("node/edge1/default/pod/web-0"), (Some("edge1"), "default/pod/web-0"));
    assert_eq!(split_node("node/edge1"), (None, "node/edge1"));
    assert_eq!(split_node("null/node/edge1"), (None, "null/node/edge1"));
}

#[test]
fn topics_of_users_are_not_parsed() {
    let message = Envelope::new(1, "bus", "user", "upload", "default/pod/web-0".into(), ok());
    assert_eq!(message.resource(), Resource::Other("default/pod/web-0"));
}

#[test]
fn limits_hold() {
    let tight = Limits { frame_bytes: 2_000, body_bytes: 4_000, items: 10 };
    let too_large = |frame: &Frame, what: &str| match Frame::decode(&frame.encode().unwrap(), &tight) {
        Err(Error::TooLarge { what: found, .. }) => assert_eq!(found, what),
        other => panic!("{what}: {other:?}"),
    };
    let entry = HaveEntry { resource: "r".into(), resource_version: "1".into() };
    too_large(&Frame::Have(Have { complete: true, entries: vec![entry; 11] }), "inventory entry count");
    let zeros = telemetry(1, &[("a".into(), 0, vec![], vec![0; 100_000])]);
    assert!(Frame::Telemetry(zeros.clone()).encode().unwrap().len() < 200, "compressed");
    too_large(&Frame::Telemetry(zeros), "link frame body");
    let random: Vec<u8> = (0..200).flat_map(|_| new_id().into_bytes()).collect();
    too_large(&Frame::Telemetry(telemetry(1, &[("a".into(), 0, vec![], random)])), "link frame size");

    let mut builder = TelemetryBuilder::new(1, tight);
    let record = Record { id: "a", payload: &[0; 100], ..Record::default() };
    let pushed = (0..100).filter(|_| builder.push(record)).count();
    assert_eq!(pushed, 10);
    assert!(!TelemetryBuilder::fits(0, Record { payload: &[0; 3_000], ..record }, &tight));

    let long = vec![0; (1 << 20) + 1];
    assert!(TunnelFrame { connection: 1, kind: TunnelKind::Data, data: &long }.encode().is_err());
    let lie = Bytes::from_static(&[4, 0, 0xff, 0xff, 0x03]);
    assert!(matches!(Frame::decode(&lie, &Limits::default()), Err(Error::Truncated("envelope count"))));
    let bomb = Bytes::from([vec![3, 1], zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap()].concat());
    assert!(matches!(Frame::decode(&bomb, &Limits::default()), Err(Error::TooLarge { what: "link frame body", .. })));
}

#[test]
fn acks_answers_and_refusals_point_at_their_message() {
    let message =
        Envelope::new(1, "edgecontroller", "resource", "update", "default/pod/a".into(), ok()).with_version("7");
    let ack = message.ack(2);
    assert_eq!((ack.header.parent_id.as_str(), ack.route.operation.as_str()), (message.header.id.as_str(), "response"));
    assert_eq!((ack.route.source.as_str(), ack.content.get()), ("edgecontroller", "\"OK\""));
    assert!(ack.is_answer() && ack.header.resource_version.is_empty() && needs_ack(&message));
    let refusal = message.refuse(3, "cloudhub", "resource", "not <yours>");
    assert!(
        refusal
            .encode()
            .contains(r#""operation":"error","resource":"default/pod/a"},"content":"not \u003cyours\u003e"}"#)
    );
    assert_ne!(new_id(), new_id());
    let patch = Envelope { content: content("{\"a\":1}").unwrap(), ..message.clone() };
    assert_eq!(patch.document().unwrap(), "{\"a\":1}");
    assert_eq!(Envelope { content: content(&[1]).unwrap(), ..message }.document().unwrap(), "[1]");
}

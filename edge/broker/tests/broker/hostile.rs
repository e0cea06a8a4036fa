//! Clients that break the rules.

use bytes::BytesMut;
use edgeward_broker::{ConnectCode, Limits, Options};
use edgeward_mqtt::{Ack, Packet, SubAckCode, Version, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, connect};
use crate::start;

fn bytes(packet: &Packet) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode(Version::V311, packet, &mut out).unwrap();
    out.to_vec()
}

fn hello() -> Vec<u8> {
    bytes(&Packet::Connect(Box::new(connect("h", true))))
}

/// What the broker answers before it closes the connection.
async fn answer(broker: &edgeward_broker::Handle, input: &[u8]) -> Vec<u8> {
    let mut client = Client::open(broker.addresses()[0]).await;
    client.stream.write_all(input).await.unwrap();
    let mut got = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = client.stream.read_to_end(&mut got).await;
    got
}

#[tokio::test]
async fn whoever_breaks_the_protocol_is_disconnected() {
    let limits = Limits { max_packet_bytes: 1_000, ..Limits::default() };
    let (broker, _tasks) = start(Options { limits, ..Options::default() }).await;
    let accepted = [0x20, 2, 0, 0];
    let with_hello = |rest: &[u8]| [&hello()[..], rest].concat();
    let no_id = |clean| bytes(&Packet::Connect(Box::new(connect("", clean))));
    let cases: [(Vec<u8>, &[u8]); 11] = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), &[]),
        (bytes(&Packet::PingReq), &[]),
        (b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x00".to_vec(), &[0x20, 2, 0, 1]),
        (b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00".to_vec(), &[0x20, 3, 0, 0x84, 0]),
        (no_id(false), &[0x20, 2, 0, ConnectCode::IdentifierRejected as u8]),
        (with_hello(&hello()), &accepted),
        (with_hello(&bytes(&Packet::PingResp)), &accepted),
        (with_hello(&bytes(&Packet::PubRec(Ack { packet_id: 1 }))), &accepted),
        (with_hello(&[0x30, 0xff, 0xff, 0xff, 0x7f]), &accepted),
        (with_hello(&[0x82, 2, 0, 1]), &accepted),
        ([no_id(true), bytes(&Packet::Disconnect)].concat(), &accepted),
    ];
    for (input, expect) in cases {
        let got = answer(&broker, &input).await;
        // The accepting CONNACK may be lost when what follows it is refused in the same breath.
        assert!(got == expect || (expect == accepted && got.is_empty()), "{input:02x?}: {got:02x?}");
    }
    Client::clean(&broker, "still alive").await;
}

#[tokio::test]
async fn too_many_connections_and_subscriptions_are_refused() {
    let limits = Limits { max_connections: 2, max_subscriptions: 2, ..Limits::default() };
    let (broker, _tasks) = start(Options { limits, ..Options::default() }).await;
    let mut first = Client::clean(&broker, "1").await;
    let second = Client::clean(&broker, "2").await;
    assert_eq!(answer(&broker, &hello()).await, b"");
    drop(second);
    for (filter, granted) in [("a", true), ("b", true), ("c", false), ("a", true)] {
        assert_eq!(first.subscribe(filter, 0).await != SubAckCode::Failure, granted, "{filter}");
    }
}

#[tokio::test]
async fn a_silent_socket_is_closed() {
    let limits = Limits { connect_timeout: std::time::Duration::from_millis(50), ..Limits::default() };
    let (broker, _tasks) = start(Options { limits, ..Options::default() }).await;
    assert_eq!(answer(&broker, &hello()[..5]).await, b"");
}

#[tokio::test]
async fn random_bytes_do_no_harm() {
    let (broker, _tasks) = start(Options::default()).await;
    // A xorshift generator is random enough and repeatable.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..100 {
        let noise: Vec<u8> = (0..next() % 200).map(|_| next() as u8).collect();
        let input = if round % 2 == 0 { [hello(), noise].concat() } else { noise };
        let mut client = Client::open(broker.addresses()[0]).await;
        client.stream.write_all(&input).await.unwrap();
        client.stream.shutdown().await.unwrap();
        let _ = client.stream.read_to_end(&mut Vec::new()).await;
    }
    let mut client = Client::clean(&broker, "sane").await;
    client.subscribe("a", 0).await;
    client.publish("a", "b", 0, 0).await;
    assert_eq!(client.message().await, "a=b");
}

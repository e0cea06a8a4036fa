//! Messages per second from one publisher to one subscriber: in-process, over sockets, and over sockets through
//! mosquitto in the same run. Quote the ratios, not the figures.
//!
//! `cargo bench -p edgeward-broker` · publisher and subscriber are the same bare code for both brokers, and a run counts
//! only messages that arrived.

// A benchmark prints, and a failed step ends it.
#![allow(clippy::expect_used, clippy::print_stdout)]

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use edgeward_broker::{Broker, Handle, Message, OnFull, Options, QoS, SubscribeOptions};
use edgeward_mqtt::{Ack, Connect, Filter, Packet, Publish, Subscribe, Text, Version, decode, encode};
use edgeward_service::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TOPIC: &str = "factory/line/1/telemetry";
const PAYLOAD: &[u8] = br#"{"temperature":23.5,"humidity":60,"deviceid":"dev-17","ts":1700000000000}"#;
/// Messages of QoS 1 a publisher has in flight.
const WINDOW: usize = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let tasks = Tasks::root("bench");
    let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let broker = Broker::start(Options { listen, ..Options::default() }, &tasks).await.expect("the broker starts");
    let in_process = in_process(&broker, 3_000_000).await;
    report("in-process, 1 to 1", in_process, None);
    let peer = mosquitto().await;
    for (name, qos, count) in [("sockets, QoS 0", 0, 2_000_000), ("sockets, QoS 1", 1, 300_000)] {
        let ours = sockets(broker.addresses()[0], qos, count).await;
        let theirs = match &peer {
            Some((_, address)) => Some(sockets(*address, qos, count / 4).await),
            None => None,
        };
        report(name, ours, theirs);
    }
    if let Some((mut process, _)) = peer {
        let _ = process.kill();
        let _ = process.wait();
    }
    tasks.shutdown(Duration::from_secs(5)).await;
}

fn report(name: &str, ours: f64, theirs: Option<f64>) {
    match theirs {
        Some(theirs) => {
            println!("{name:<20} {ours:>12.0} msg/s   mosquitto {theirs:>9.0} msg/s   ratio {:.1}", ours / theirs)
        }
        None => println!("{name:<20} {ours:>12.0} msg/s"),
    }
}

async fn in_process(broker: &Handle, count: usize) -> f64 {
    let options = SubscribeOptions { capacity: 4_096, on_full: OnFull::Block, ..SubscribeOptions::default() };
    let mut subscription = broker.subscribe(&["factory/+/+/telemetry"], options).expect("a filter");
    let message = Message::new(TOPIC, PAYLOAD).expect("a topic");
    let publisher = broker.clone();
    let start = Instant::now();
    let publishing = tokio::spawn(async move {
        for _ in 0..count {
            publisher.publish(message.clone()).await.expect("a small message");
        }
    });
    let mut batch = Vec::with_capacity(1_024);
    let mut seen = 0;
    while seen < count {
        subscription.recv_batch(&mut batch, 1_024).await;
        seen += batch.len();
        batch.clear();
    }
    publishing.await.expect("the publisher ends");
    count as f64 / start.elapsed().as_secs_f64()
}

async fn open(address: SocketAddr, id: &'static str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the broker listens");
    stream.set_nodelay(true).expect("a socket option");
    let hello = Connect { client_id: Text::from_static(id), clean_session: true, ..Connect::default() };
    send(&mut stream, &Packet::Connect(Box::new(hello))).await;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.expect("a CONNACK");
    assert_eq!(answer, [0x20, 2, 0, 0]);
    stream
}

async fn send(stream: &mut TcpStream, packet: &Packet) {
    let mut out = BytesMut::new();
    encode(Version::V311, packet, &mut out).expect("a packet");
    stream.write_all(&out).await.expect("the broker reads");
}

/// Delivered messages per second.
async fn sockets(address: SocketAddr, qos: u8, count: usize) -> f64 {
    let qos = QoS::try_from(qos).expect("a level");
    let mut subscriber = open(address, "subscriber").await;
    let filters = vec![(Filter::try_from("factory/+/+/telemetry").expect("a filter"), qos)];
    send(&mut subscriber, &Packet::Subscribe(Subscribe { packet_id: 1, filters })).await;
    let mut answer = [0; 5];
    subscriber.read_exact(&mut answer).await.expect("a SUBACK");
    let publisher = open(address, "publisher").await;
    let receiving = tokio::spawn(receive(subscriber, qos));
    let start = Instant::now();
    let publishing = tokio::spawn(publish(publisher, qos, count));
    publishing.await.expect("the publisher ends");
    let (seen, last) = receiving.await.expect("the subscriber ends");
    if seen < count {
        lost(count - seen);
    }
    seen as f64 / (last - start).as_secs_f64()
}

fn lost(count: usize) {
    println!("  ({count} messages were dropped by the broker)");
}

async fn publish(mut stream: TcpStream, qos: QoS, count: usize) {
    let packet_id = |index: usize| if qos == QoS::AtMostOnce { 0 } else { (index % 60_000) as u16 + 1 };
    let (topic, payload) = (Text::from_static(TOPIC), Bytes::from_static(PAYLOAD));
    let mut out = BytesMut::new();
    let mut input = BytesMut::new();
    let (mut sent, mut acknowledged) = (0, 0);
    while sent < count {
        let window = if qos == QoS::AtMostOnce { 500 } else { WINDOW - (sent - acknowledged) };
        for _ in 0..window.min(count - sent) {
            let (topic, payload) = (topic.clone(), payload.clone());
            let packet_id = packet_id(sent);
            let publish = Publish { qos, topic, payload, packet_id, ..Publish::default() };
            encode(Version::V311, &Packet::Publish(publish), &mut out).expect("a packet");
            sent += 1;
        }
        stream.write_all_buf(&mut out).await.expect("the broker reads");
        if qos != QoS::AtMostOnce {
            stream.read_buf(&mut input).await.expect("acknowledgements");
            while let Some(packet) = decode(Version::V311, &mut input, 1 << 20).expect("a packet") {
                assert!(matches!(packet, Packet::PubAck(_)));
                acknowledged += 1;
            }
        }
    }
    // The end marker is published with the highest guarantee and keeps the connection open until it is answered.
    let end = Publish { qos: QoS::AtLeastOnce, topic, packet_id: 65_000, ..Publish::default() };
    send(&mut stream, &Packet::Publish(end)).await;
    loop {
        if stream.read_buf(&mut input).await.unwrap_or(0) == 0 {
            return;
        }
        while let Some(packet) = decode(Version::V311, &mut input, 1 << 20).expect("a packet") {
            if packet == Packet::PubAck(Ack { packet_id: 65_000 }) {
                return;
            }
        }
    }
}

/// How many messages came before the end marker (an empty payload), and when the last one did.
async fn receive(mut stream: TcpStream, qos: QoS) -> (usize, Instant) {
    let mut input = BytesMut::with_capacity(256 << 10);
    let mut out = BytesMut::new();
    let mut seen = 0;
    loop {
        input.reserve(64 << 10);
        let quiet = Duration::from_secs(10);
        let Ok(Ok(1..)) = tokio::time::timeout(quiet, stream.read_buf(&mut input)).await else {
            return (seen, Instant::now() - quiet);
        };
        while let Some(packet) = decode(Version::V311, &mut input, 1 << 20).expect("a packet") {
            let Packet::Publish(publish) = packet else { continue };
            if publish.payload.is_empty() {
                return (seen, Instant::now());
            }
            seen += 1;
            if qos != QoS::AtMostOnce {
                let ack = Packet::PubAck(Ack { packet_id: publish.packet_id });
                encode(Version::V311, &ack, &mut out).expect("a packet");
            }
        }
        stream.write_all_buf(&mut out).await.expect("the broker reads");
    }
}

/// A mosquitto on a free port; none if it is not installed.
async fn mosquitto() -> Option<(Child, SocketAddr)> {
    let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let file = std::env::temp_dir().join(format!("edgeward-bench-mosquitto-{}.conf", std::process::id()));
    // Unlimited queues: it is measured, not made to drop.
    let settings =
        format!("listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nset_tcp_nodelay true\n");
    std::fs::write(&file, settings).ok()?;
    let spawned = Command::new("mosquitto").arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(process) = spawned else {
        println!("mosquitto is not installed: no ratios");
        return None;
    };
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = std::fs::remove_file(file);
    Some((process, address))
}

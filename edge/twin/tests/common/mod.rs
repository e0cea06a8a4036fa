//! A node's broker and twin for tests, and an MQTT client on a real socket.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use edgeward_broker::{Broker, Handle};
use edgeward_mqtt::{Connect, Filter, Packet, Publish, QoS, Subscribe, Text, Version, decode, encode};
use edgeward_objects::Object;
use edgeward_service::Tasks;
use edgeward_twin::{Options, Twin, TwinHandle, TwinUplink};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Node {
    pub(crate) tasks: Tasks,
    pub(crate) broker: Handle,
    pub(crate) twin: TwinHandle,
    pub(crate) uplink: TwinUplink,
}

impl Node {
    pub(crate) async fn start(folder: &Path) -> Self {
        let tasks = Tasks::root("test");
        let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let options = edgeward_broker::Options { listen, ..edgeward_broker::Options::default() };
        let broker = Broker::start(options, &tasks).await.unwrap();
        let options = Options::new(folder.join("twins.db"), "n1");
        let (twin, uplink) = Twin::start(options, broker.clone(), &tasks).await.unwrap();
        Self { tasks, broker, twin, uplink }
    }

    pub(crate) async fn stop(self) {
        assert!(self.tasks.shutdown(Duration::from_secs(10)).await);
    }

    /// A client that hears everything the twin says.
    pub(crate) async fn client(&self) -> Client {
        let mut client = Client::connect(self.broker.addresses()[0]).await;
        client.subscribe("$hw/events/device/+/+/twin/+/+").await;
        client.subscribe("$hw/events/device/+/+/state/update/result").await;
        client
    }
}

pub(crate) fn device(name: &str, properties: Value) -> Object {
    Object::from_value(json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"deviceModelRef": {"name": "model"}, "nodeName": "n1", "properties": properties,
            "protocol": {"protocolName": "mqtt"}}
    }))
    .unwrap()
}

pub(crate) fn model() -> Object {
    Object::from_value(json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "DeviceModel",
        "metadata": {"name": "model", "namespace": "default"},
        "spec": {"properties": [
            {"name": "temperature", "type": "FLOAT", "accessMode": "ReadOnly"},
            {"name": "setpoint", "type": "INT", "accessMode": "ReadWrite", "minimum": "0", "maximum": "100"}]}
    }))
    .unwrap()
}

pub(crate) fn temperature(value: &str) -> Value {
    json!({"event_id": value, "twin": {"temperature": {"actual": {"value": value}}}})
}

pub(crate) struct Client {
    stream: TcpStream,
    incoming: BytesMut,
    acknowledged: usize,
}

impl Client {
    async fn connect(broker: SocketAddr) -> Self {
        let stream = TcpStream::connect(broker).await.unwrap();
        let mut client = Self { stream, incoming: BytesMut::new(), acknowledged: 0 };
        client.send(Packet::Connect(Box::new(Connect { clean_session: true, ..Connect::default() }))).await;
        assert!(matches!(client.packet().await, Packet::ConnAck(_)));
        client
    }

    async fn subscribe(&mut self, filter: &str) {
        let filters = vec![(Filter::try_from(filter).unwrap(), QoS::AtMostOnce)];
        self.send(Packet::Subscribe(Subscribe { packet_id: 1, filters })).await;
        assert!(matches!(self.packet().await, Packet::SubAck(_)));
    }

    async fn send(&mut self, packet: Packet) {
        let mut out = BytesMut::new();
        encode(Version::V311, &packet, &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    async fn packet(&mut self) -> Packet {
        loop {
            if let Some(packet) = decode(Version::V311, &mut self.incoming, 1 << 20).unwrap() {
                return packet;
            }
            assert_ne!(self.stream.read_buf(&mut self.incoming).await.unwrap(), 0, "the broker hung up");
        }
    }

    /// Publishes with QoS 1 on `$hw/events/device/default/<what>`.
    pub(crate) async fn publish(&mut self, what: &str, payload: impl ToString) {
        let topic = Text::try_from(format!("$hw/events/device/default/{what}").as_str()).unwrap();
        let payload = payload.to_string().into();
        let publish = Publish { qos: QoS::AtLeastOnce, topic, packet_id: 7, payload, ..Publish::default() };
        self.send(Packet::Publish(publish)).await;
    }

    /// The next message for us: its topic below `$hw/events/device/default/`, its payload. Acknowledgements are counted.
    pub(crate) async fn next(&mut self) -> (String, Value) {
        loop {
            match self.packet().await {
                Packet::Publish(publish) => {
                    let topic = publish.topic.as_str().trim_start_matches("$hw/events/device/default/");
                    return (topic.to_owned(), serde_json::from_slice(&publish.payload).unwrap());
                }
                Packet::PubAck(_) => self.acknowledged += 1,
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Waits until the broker has acknowledged so many of our messages.
    pub(crate) async fn acknowledged(&mut self, count: usize) {
        while self.acknowledged < count {
            assert!(matches!(self.packet().await, Packet::PubAck(_)), "acknowledgement expected");
            self.acknowledged += 1;
        }
    }
}

//! A bare MQTT client.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use edgeward_broker::{ConnectCode, Filter, Handle, QoS, Text};
use edgeward_mqtt::{Ack, Connect, Packet, Publish, SubAckCode, Subscribe, Version, decode, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    input: BytesMut,
    /// Messages that overtook a SUBACK, as they may.
    early: VecDeque<Packet>,
}

pub(crate) fn connect(id: &str, clean_session: bool) -> Connect {
    Connect { client_id: id.try_into().unwrap(), clean_session, ..Connect::default() }
}

pub(crate) fn publish(topic: &str, payload: &str, qos: u8, packet_id: u16) -> Publish {
    Publish {
        topic: Text::try_from(topic).unwrap(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        qos: QoS::try_from(qos).unwrap(),
        packet_id,
        ..Publish::default()
    }
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Client {
        Client { stream: TcpStream::connect(address).await.unwrap(), input: BytesMut::new(), early: VecDeque::new() }
    }

    /// Connects and returns whether the session was present, or the refusal.
    pub(crate) async fn connect(broker: &Handle, packet: Connect) -> Result<(Client, bool), ConnectCode> {
        let mut client = Client::open(broker.addresses()[0]).await;
        client.send(&Packet::Connect(Box::new(packet))).await;
        match client.recv().await {
            Some(Packet::ConnAck(ack)) if ack.code == ConnectCode::Accepted => Ok((client, ack.session_present)),
            Some(Packet::ConnAck(ack)) => {
                assert_eq!(client.recv().await, None, "a refused connection is closed");
                Err(ack.code)
            }
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    /// Connects a client with a clean session.
    pub(crate) async fn clean(broker: &Handle, id: &str) -> Client {
        Client::connect(broker, connect(id, true)).await.unwrap().0
    }

    pub(crate) async fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        encode(Version::V311, packet, &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    pub(crate) async fn publish(&mut self, topic: &str, payload: &str, qos: u8, packet_id: u16) {
        self.send(&Packet::Publish(publish(topic, payload, qos, packet_id))).await;
    }

    /// The next packet; none when the connection is closed.
    pub(crate) async fn recv(&mut self) -> Option<Packet> {
        if let Some(packet) = self.early.pop_front() {
            return Some(packet);
        }
        self.recv_new().await
    }

    async fn recv_new(&mut self) -> Option<Packet> {
        tokio::time::timeout(Duration::from_secs(20), self.next()).await.expect("the broker should have answered")
    }

    async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = decode(Version::V311, &mut self.input, 1 << 24).unwrap() {
                return Some(packet);
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next packet, which must be a PUBLISH, as `topic=payload`, with `!` for retained and `*` for sent again.
    pub(crate) async fn message(&mut self) -> String {
        match self.recv().await {
            Some(Packet::Publish(publish)) => {
                if publish.qos == QoS::AtLeastOnce {
                    self.send(&Packet::PubAck(Ack { packet_id: publish.packet_id })).await;
                }
                describe(&publish)
            }
            other => panic!("expected PUBLISH, got {other:?}"),
        }
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: u8) -> SubAckCode {
        let filters = vec![(Filter::try_from(filter).unwrap(), QoS::try_from(qos).unwrap())];
        self.send(&Packet::Subscribe(Subscribe { packet_id: 99, filters })).await;
        loop {
            match self.recv_new().await {
                Some(Packet::SubAck(ack)) => return ack.codes[0],
                Some(message @ Packet::Publish(_)) => self.early.push_back(message),
                other => panic!("expected SUBACK, got {other:?}"),
            }
        }
    }

    /// Everything the broker has done for this client so far has been sent when this returns nothing.
    pub(crate) async fn expect_nothing(&mut self) {
        self.send(&Packet::PingReq).await;
        assert_eq!(self.recv().await, Some(Packet::PingResp));
    }
}

pub(crate) fn describe(publish: &Publish) -> String {
    let flag = |on: bool, mark: &'static str| if on { mark } else { "" };
    let payload = String::from_utf8_lossy(&publish.payload);
    format!("{}{}{}={payload}", flag(publish.retain, "!"), flag(publish.dup, "*"), publish.topic)
}

//! Publish, subscribe, quality of service, retained messages, wills.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_broker::{Access, Client as Who, ConnectCode, Options, QoS};
use edgeward_mqtt::{Ack, Packet, SubAckCode, Text, Unsubscribe, Will};

use crate::client::{Client, connect, publish};
use crate::start;

#[tokio::test]
async fn routes_by_filter_with_the_lower_quality_of_service() {
    let (broker, _tasks) = start(Options::default()).await;
    let mut publisher = Client::clean(&broker, "p").await;
    let cases = [
        ("a/b", 0, "a/b", 1, true, 0),
        ("a/+", 1, "a/c", 1, true, 1),
        ("a/+", 1, "a/c", 0, true, 0),
        ("b/#", 2, "b", 2, true, 1),
        ("+/x", 1, "$hw/x", 1, false, 0),
        ("$hw/#", 1, "$hw/x", 1, true, 1),
        ("c", 1, "C", 1, false, 0),
    ];
    for (filter, asked, topic, sent, arrives, expect) in cases {
        let mut subscriber = Client::clean(&broker, "s").await;
        let granted = QoS::try_from(asked.min(1)).unwrap();
        assert_eq!(subscriber.subscribe(filter, asked).await, SubAckCode::Granted(granted));
        publisher.publish(topic, "x", sent, if sent == 0 { 0 } else { 7 }).await;
        if sent == 0 {
            publisher.expect_nothing().await;
        } else {
            let ack = Ack { packet_id: 7 };
            assert_eq!(publisher.recv().await, Some(if sent == 1 { Packet::PubAck(ack) } else { Packet::PubRec(ack) }));
        }
        if sent == 2 {
            publisher.send(&Packet::PubRel(Ack { packet_id: 7 })).await;
            assert_eq!(publisher.recv().await, Some(Packet::PubComp(Ack { packet_id: 7 })));
        }
        if arrives {
            let Some(Packet::Publish(got)) = subscriber.recv().await else { panic!("{filter} {topic}") };
            assert_eq!((got.topic.as_str(), got.qos as u8, got.retain, got.dup), (topic, expect, false, false));
        } else {
            subscriber.expect_nothing().await;
        }
    }
}

#[tokio::test]
async fn overlapping_subscriptions_deliver_once_and_unsubscribe_ends_them() {
    let (broker, _tasks) = start(Options::default()).await;
    let mut client = Client::clean(&broker, "c").await;
    for filter in ["a/#", "a/+", "a/b", "a/b"] {
        client.subscribe(filter, 1).await;
    }
    client.publish("a/b", "1", 0, 0).await;
    assert_eq!(client.message().await, "a/b=1");
    client.expect_nothing().await;
    let filters = ["a/#", "a/+", "a/b", "never"].map(|filter| filter.try_into().unwrap()).to_vec();
    client.send(&Packet::Unsubscribe(Unsubscribe { packet_id: 5, filters })).await;
    assert_eq!(client.recv().await, Some(Packet::UnsubAck(Ack { packet_id: 5 })));
    client.publish("a/b", "2", 0, 0).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn qos_2_is_routed_once_however_often_it_is_sent() {
    let (broker, _tasks) = start(Options::default()).await;
    let mut client = Client::clean(&broker, "c").await;
    client.subscribe("a", 0).await;
    for _ in 0..3 {
        client.publish("a", "1", 2, 9).await;
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(match client.recv().await {
            Some(Packet::PubRec(_)) => "received",
            Some(Packet::Publish(_)) => "message",
            other => panic!("{other:?}"),
        });
    }
    seen.sort_unstable();
    assert_eq!(seen, ["message", "received", "received", "received"]);
    client.send(&Packet::PubRel(Ack { packet_id: 9 })).await;
    assert_eq!(client.recv().await, Some(Packet::PubComp(Ack { packet_id: 9 })));
    client.publish("a", "2", 2, 9).await;
    let got = [client.recv().await, client.recv().await];
    assert!(got.contains(&Some(Packet::Publish(publish("a", "2", 0, 0)))), "a released identifier is free: {got:?}");
}

#[tokio::test]
async fn retained_messages_greet_new_subscriptions() {
    let (broker, _tasks) = start(Options::default()).await;
    let mut client = Client::clean(&broker, "c").await;
    for (topic, payload) in [("r/1", "a"), ("r/2", "b"), ("r/1", "c"), ("r/3", "d"), ("r/3", "")] {
        let retained = edgeward_mqtt::Publish { retain: true, ..publish(topic, payload, 1, 1) };
        client.send(&Packet::Publish(retained)).await;
        assert_eq!(client.recv().await, Some(Packet::PubAck(Ack { packet_id: 1 })));
    }
    client.subscribe("r/+", 1).await;
    assert_eq!([client.message().await, client.message().await], ["!r/1=c", "!r/2=b"]);
    let live = edgeward_mqtt::Publish { retain: true, ..publish("r/2", "e", 0, 0) };
    client.send(&Packet::Publish(live)).await;
    assert_eq!(client.message().await, "r/2=e", "a live message is not marked");
}

#[tokio::test]
async fn a_will_is_published_unless_the_client_says_goodbye() {
    let (broker, _tasks) = start(Options::default()).await;
    let mut watcher = Client::clean(&broker, "w").await;
    watcher.subscribe("will", 0).await;
    let will = |text: &'static str| Will {
        topic: Text::from_static("will"),
        payload: Bytes::from_static(text.as_bytes()),
        qos: QoS::AtMostOnce,
        retain: false,
    };
    let with_will =
        |text, keep_alive| edgeward_mqtt::Connect { will: Some(will(text)), keep_alive, ..connect("c", true) };
    let (mut client, _) = Client::connect(&broker, with_will("polite", 0)).await.unwrap();
    client.send(&Packet::Disconnect).await;
    assert_eq!(client.recv().await, None);
    let (client, _) = Client::connect(&broker, with_will("lost", 0)).await.unwrap();
    drop(client);
    assert_eq!(watcher.message().await, "will=lost");
    let (mut client, _) = Client::connect(&broker, with_will("taken over", 0)).await.unwrap();
    let (mut silent, _) = Client::connect(&broker, with_will("silent", 1)).await.unwrap();
    assert_eq!(watcher.message().await, "will=taken over");
    assert_eq!(client.recv().await, None);
    assert_eq!(watcher.message().await, "will=silent");
    assert_eq!(silent.recv().await, None);
}

struct Rules;

impl Access for Rules {
    fn connect(&self, client: &Who, password: Option<&[u8]>) -> Result<(), ConnectCode> {
        match (client.username.as_deref(), password) {
            (Some("user"), Some(b"secret")) => Ok(()),
            (Some(_), _) => Err(ConnectCode::BadCredentials),
            _ => Err(ConnectCode::NotAuthorized),
        }
    }

    fn may_publish(&self, client: &Who, topic: &str) -> bool {
        topic.starts_with(&client.id)
    }

    fn may_subscribe(&self, _client: &Who, filter: &str) -> bool {
        filter != "#"
    }
}

#[tokio::test]
async fn the_access_hook_decides() {
    let (broker, _tasks) = start(Options { access: Some(Arc::new(Rules)), ..Options::default() }).await;
    let login = |name: Option<&'static str>, password: Option<&'static str>| edgeward_mqtt::Connect {
        username: name.map(Text::from_static),
        password: password.map(Bytes::from),
        ..connect("c", true)
    };
    for (name, password, code) in [
        (None, None, ConnectCode::NotAuthorized),
        (Some("user"), None, ConnectCode::BadCredentials),
        (Some("user"), Some("wrong"), ConnectCode::BadCredentials),
    ] {
        assert_eq!(Client::connect(&broker, login(name, password)).await.err(), Some(code));
    }
    let (mut client, _) = Client::connect(&broker, login(Some("user"), Some("secret"))).await.unwrap();
    assert_eq!(client.subscribe("#", 1).await, SubAckCode::Failure);
    assert_eq!(client.subscribe("+/x", 0).await, SubAckCode::Granted(QoS::AtMostOnce));
    client.publish("d/x", "refused", 1, 3).await;
    assert_eq!(client.recv().await, Some(Packet::PubAck(Ack { packet_id: 3 })));
    client.publish("c/x", "allowed", 0, 0).await;
    assert_eq!(client.message().await, "c/x=allowed");
}

//! Subscribers and publishers without a socket, and confirmations.

use std::time::Duration;

use edgeward_broker::{BrokerError, Limits, Message, OnFull, Options, QoS, SubscribeOptions, Subscription};
use edgeward_mqtt::{Ack, Packet};

use crate::client::Client;
use crate::start;

fn message(topic: &str, payload: &str, qos: QoS) -> Message {
    Message::new(topic, payload.to_owned()).unwrap().with_qos(qos)
}

fn drained(subscription: &mut Subscription) -> Vec<String> {
    let next = || subscription.try_recv().map(|got| String::from_utf8_lossy(&got.payload).into_owned());
    std::iter::from_fn(next).collect()
}

fn acknowledging() -> SubscribeOptions {
    SubscribeOptions { acknowledge: true, capacity: 10, ..SubscribeOptions::default() }
}

#[tokio::test]
async fn messages_pass_without_a_socket() {
    let (broker, _tasks) = start(Options::default()).await;
    broker.publish(message("a/kept", "0", QoS::AtMostOnce).retained()).await.unwrap();
    let mut subscription = broker.subscribe(&["a/+", "b"], SubscribeOptions::default()).unwrap();
    let mut client = Client::clean(&broker, "c").await;
    client.subscribe("a/#", 0).await;
    assert_eq!(client.message().await, "!a/kept=0");
    broker.publish(message("a/x", "1", QoS::AtMostOnce)).await.unwrap();
    broker.publish_now(&message("b", "2", QoS::AtMostOnce)).unwrap();
    broker.publish(message("c", "no", QoS::AtMostOnce)).await.unwrap();
    client.publish("b", "3", 0, 0).await;
    let first = subscription.recv().await;
    assert_eq!((first.topic.as_str(), first.retain), ("a/kept", true));
    let mut batch = Vec::new();
    while batch.len() < 3 {
        subscription.recv_batch(&mut batch, 10).await;
    }
    let payloads: Vec<&[u8]> = batch.iter().map(|got| &got.payload[..]).collect();
    assert_eq!(payloads, [b"1", b"2", b"3"]);
    assert_eq!(client.message().await, "a/x=1");
    drop(subscription);
    broker.publish(message("b", "nobody", QoS::AtMostOnce)).await.unwrap();
}

#[tokio::test]
async fn wrong_topics_filters_and_sizes_are_refused() {
    let limits = Limits { max_packet_bytes: 100, ..Limits::default() };
    let (broker, _tasks) = start(Options { limits, ..Options::default() }).await;
    assert!(Message::new("a/+", "").is_err() && Message::new("", "").is_err());
    assert!(matches!(broker.subscribe(&["a#"], SubscribeOptions::default()), Err(BrokerError::Topic { .. })));
    let big = message("a", &"x".repeat(100), QoS::AtMostOnce);
    assert!(matches!(broker.publish_now(&big), Err(BrokerError::TooLarge { size: 110, limit: 100 })));
}

#[tokio::test]
async fn a_full_queue_drops_the_oldest_or_holds_the_publisher() {
    let (broker, _tasks) = start(Options::default()).await;
    let with = |on_full| SubscribeOptions { capacity: 2, on_full, ..SubscribeOptions::default() };
    let mut dropping = broker.subscribe(&["a"], with(OnFull::DropOldest)).unwrap();
    let mut blocking = broker.subscribe(&["a"], with(OnFull::Block)).unwrap();
    broker.publish(message("a", "1", QoS::AtMostOnce)).await.unwrap();
    let publisher = broker.clone();
    let mut held = tokio::spawn(async move {
        for payload in ["2", "3", "4"] {
            publisher.publish(message("a", payload, QoS::AtMostOnce)).await.unwrap();
        }
    });
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut held).await.is_err(), "the publisher waits");
    let mut got = Vec::new();
    while got.len() < 4 {
        got.push(String::from_utf8_lossy(&blocking.recv().await.payload).into_owned());
    }
    held.await.unwrap();
    assert_eq!(got, ["1", "2", "3", "4"]);
    assert_eq!(drained(&mut dropping), ["3", "4"]);
}

#[tokio::test]
async fn puback_waits_for_every_subscriber_that_confirms() {
    let (broker, _tasks) = start(Options::default()).await;
    let mut first = broker.subscribe(&["t/#"], acknowledging()).unwrap();
    let mut second = broker.subscribe(&["t/+"], acknowledging()).unwrap();
    let mut client = Client::clean(&broker, "c").await;
    client.publish("t/1", "a", 1, 1).await;
    client.publish("u", "b", 1, 2).await;
    client.publish("t/2", "c", 2, 3).await;
    client.expect_nothing().await;
    for (id, reply) in [(1, Packet::PubAck(Ack { packet_id: 1 })), (3, Packet::PubRec(Ack { packet_id: 3 }))] {
        first.recv().await.confirm();
        client.expect_nothing().await;
        second.recv().await.confirm();
        assert_eq!(client.recv().await, Some(reply));
        if id == 1 {
            assert_eq!(client.recv().await, Some(Packet::PubAck(Ack { packet_id: 2 })), "replies keep their order");
        }
    }
}

#[tokio::test]
async fn an_unconfirmed_message_is_sent_again() {
    let (broker, _tasks) = start(Options::default()).await;
    let mut subscription = broker.subscribe(&["t"], acknowledging()).unwrap();
    for qos in [1, 2] {
        let mut client = Client::connect(&broker, crate::client::connect("c", false)).await.unwrap().0;
        client.publish("t", "a", qos, 1).await;
        drop(subscription.recv().await);
        assert_eq!(client.recv().await, None, "the connection is closed, there is no other way to say no");
        let mut client = Client::connect(&broker, crate::client::connect("c", false)).await.unwrap().0;
        client.publish("t", "a", qos, 1).await;
        subscription.recv().await.confirm();
        assert!(client.recv().await.is_some());
    }
}

#[tokio::test]
async fn a_subscriber_that_does_not_confirm_bounds_what_is_read() {
    let limits = Limits { max_unconfirmed: 3, ..Limits::default() };
    let (broker, _tasks) = start(Options { limits, ..Options::default() }).await;
    let mut subscription = broker.subscribe(&["t"], acknowledging()).unwrap();
    let mut client = Client::clean(&broker, "c").await;
    let mut held = Vec::new();
    for packet_id in 1..=9 {
        client.publish("t", "x", 1, packet_id).await;
        if packet_id <= 3 {
            held.push(subscription.recv().await);
        }
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(subscription.try_recv().is_none(), "no more is read than may be unconfirmed");
    held.drain(..).for_each(edgeward_broker::Delivery::confirm);
    for packet_id in 4..=9 {
        let delivery = subscription.recv().await;
        delivery.confirm();
        assert_eq!(client.recv().await, Some(Packet::PubAck(Ack { packet_id: packet_id - 3 })));
    }
}

#[tokio::test]
async fn an_in_process_publisher_can_wait_for_confirmation() {
    let (broker, _tasks) = start(Options::default()).await;
    assert!(broker.publish_confirmed(message("t", "1", QoS::AtLeastOnce)).await.is_ok(), "nobody has to confirm");
    let mut subscription = broker.subscribe(&["t"], acknowledging()).unwrap();
    for keep in [true, false] {
        let publish = broker.publish_confirmed(message("t", "2", QoS::AtLeastOnce));
        let answer = async {
            let delivery = subscription.recv().await;
            if keep {
                delivery.confirm();
            }
        };
        let (result, ()) = tokio::join!(publish, answer);
        assert_eq!(result.is_ok(), keep);
    }
}

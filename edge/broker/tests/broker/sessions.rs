//! Persistent sessions, restarts, takeover, bounds of queues.

use std::time::Duration;

use edgeward_broker::{BrokerError, ConnectCode, Limits, Message, Options, QoS};
use edgeward_mqtt::{Ack, Packet, Publish};

use crate::client::{Client, connect, publish};
use crate::{start, stop};

async fn publish_all(broker: &edgeward_broker::Handle, payloads: &[&str]) {
    let mut publisher = Client::clean(broker, "publisher").await;
    for (index, payload) in payloads.iter().enumerate() {
        publisher.publish("q", payload, 1, index as u16 + 1).await;
        assert_eq!(publisher.recv().await, Some(Packet::PubAck(Ack { packet_id: index as u16 + 1 })));
    }
}

#[tokio::test]
async fn a_persistent_session_gets_what_it_missed() {
    let (broker, _tasks) = start(Options::default()).await;
    let (mut client, present) = Client::connect(&broker, connect("c", false)).await.unwrap();
    assert!(!present);
    client.subscribe("q", 1).await;
    publish_all(&broker, &["seen, not acknowledged"]).await;
    assert!(matches!(client.recv().await, Some(Packet::Publish(_))));
    drop(client);
    publish_all(&broker, &["missed 1", "missed 2"]).await;
    let (mut client, present) = Client::connect(&broker, connect("c", false)).await.unwrap();
    assert!(present);
    let got = [client.message().await, client.message().await, client.message().await];
    assert_eq!(got, ["*q=seen, not acknowledged", "q=missed 1", "q=missed 2"]);
    client.expect_nothing().await;
    drop(client);
    let (mut client, present) = Client::connect(&broker, connect("c", false)).await.unwrap();
    assert!(present);
    client.expect_nothing().await;
    drop(client);
    let (_, present) = Client::connect(&broker, connect("c", true)).await.unwrap();
    assert!(!present, "a clean session forgets");
    let (mut client, present) = Client::connect(&broker, connect("c", false)).await.unwrap();
    assert!(!present);
    publish_all(&broker, &["not subscribed"]).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn sessions_queues_and_retained_messages_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { store: Some(folder.path().join("broker.db")), ..Options::default() };
    let (broker, tasks) = start(options()).await;
    let (mut client, _) = Client::connect(&broker, connect("c", false)).await.unwrap();
    client.subscribe("q", 1).await;
    client.subscribe("gone", 1).await;
    let filters = vec!["gone".try_into().unwrap()];
    client.send(&Packet::Unsubscribe(edgeward_mqtt::Unsubscribe { packet_id: 1, filters })).await;
    assert!(matches!(client.recv().await, Some(Packet::UnsubAck(_))));
    publish_all(&broker, &["acknowledged"]).await;
    assert_eq!(client.message().await, "q=acknowledged");
    client.expect_nothing().await;
    drop(client);
    publish_all(&broker, &["1", "2"]).await;
    let mut publisher = Client::clean(&broker, "r").await;
    for (topic, payload) in [("kept", "x"), ("deleted", "y"), ("deleted", "")] {
        publisher.send(&Packet::Publish(Publish { retain: true, ..publish(topic, payload, 1, 1) })).await;
        assert!(matches!(publisher.recv().await, Some(Packet::PubAck(_))));
    }
    stop(tasks).await;

    let (broker, tasks) = start(options()).await;
    publish_all(&broker, &["3"]).await;
    let (mut client, present) = Client::connect(&broker, connect("c", false)).await.unwrap();
    assert!(present);
    assert_eq!([client.message().await, client.message().await, client.message().await], ["q=1", "q=2", "q=3"]);
    client.subscribe("#", 1).await;
    assert_eq!(client.message().await, "!kept=x");
    client.expect_nothing().await;
    stop(tasks).await;

    let (broker, _tasks) = start(options()).await;
    let (mut client, present) = Client::connect(&broker, connect("c", false)).await.unwrap();
    assert!(present);
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |name: &str| {
        let tasks = edgeward_service::Tasks::root("test");
        let options = Options { listen: vec![], store: Some(folder.path().join(name)), ..Options::default() };
        edgeward_broker::Broker::start(options, &tasks).await
    };
    std::fs::write(folder.path().join("garbage"), "not a database, but long enough to look like one".repeat(30))
        .unwrap();
    assert!(matches!(open("garbage").await, Err(BrokerError::Store { .. })));
    assert!(matches!(open("no/such/folder").await, Err(BrokerError::Store { .. })));
    rusqlite::Connection::open(folder.path().join("newer")).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert!(matches!(open("newer").await, Err(BrokerError::NewerStore { found: 2, supported: 1, .. })));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options { listen: vec![taken.local_addr().unwrap()], ..Options::default() };
    let result = edgeward_broker::Broker::start(options, &edgeward_service::Tasks::root("test")).await;
    assert!(matches!(result, Err(BrokerError::Listen { .. })));
}

#[tokio::test]
async fn the_same_client_id_takes_the_session_over() {
    let (broker, _tasks) = start(Options::default()).await;
    for clean in [false, true] {
        let (mut old, _) = Client::connect(&broker, connect("c", clean)).await.unwrap();
        old.subscribe("q", 1).await;
        let (mut new, present) = Client::connect(&broker, connect("c", clean)).await.unwrap();
        assert_eq!(present, !clean);
        assert_eq!(old.recv().await, None);
        publish_all(&broker, &["x"]).await;
        if clean {
            new.expect_nothing().await;
        } else {
            assert_eq!(new.message().await, "q=x");
        }
    }
}

#[tokio::test]
async fn queues_are_bounded() {
    let limits = Limits { max_queued_messages: 3, max_inflight: 2, max_sessions: 2, ..Limits::default() };
    let (broker, _tasks) = start(Options { limits, ..Options::default() }).await;
    let (mut client, _) = Client::connect(&broker, connect("c", false)).await.unwrap();
    client.subscribe("q", 1).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(20)).await;
    for payload in ["0", "1", "2", "3", "4", "5"] {
        let qos = if payload == "0" { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        broker.publish_now(&Message::new("q", payload).unwrap().with_qos(qos)).unwrap();
    }
    let (mut client, _) = Client::connect(&broker, connect("c", false)).await.unwrap();
    let mut window = Vec::new();
    for _ in 0..2 {
        let Some(Packet::Publish(message)) = client.recv().await else { panic!("a message") };
        window.push(message);
    }
    client.expect_nothing().await;
    client.send(&Packet::PubAck(Ack { packet_id: window[0].packet_id })).await;
    assert_eq!(client.message().await, "q=3", "the window moved; 4 and 5 were beyond the queue, 0 was not kept");
    client.expect_nothing().await;
    let _second = Client::clean(&broker, "d").await;
    assert_eq!(Client::connect(&broker, connect("e", true)).await.err(), Some(ConnectCode::ServerUnavailable));
}

#[tokio::test]
async fn an_expired_session_makes_room() {
    let limits = Limits { max_sessions: 1, session_expiry: Duration::ZERO, ..Limits::default() };
    let (broker, _tasks) = start(Options { limits, ..Options::default() }).await;
    let (mut client, _) = Client::connect(&broker, connect("old", false)).await.unwrap();
    client.send(&Packet::Disconnect).await;
    assert_eq!(client.recv().await, None);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(Client::connect(&broker, connect("new", false)).await.is_ok());
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_old_messages_and_holds_nobody_up_for_long() {
    let limits = Limits { slow_client_grace: Duration::from_millis(20), max_queued_messages: 100, ..Limits::default() };
    let (broker, _tasks) = start(Options { limits, ..Options::default() }).await;
    let mut stuck = Client::clean(&broker, "stuck").await;
    stuck.subscribe("q", 0).await;
    let mut quick = Client::clean(&broker, "quick").await;
    quick.subscribe("q", 0).await;
    let mut publisher = Client::clean(&broker, "publisher").await;
    let payload = "x".repeat(100_000);
    for _ in 0..300 {
        publisher.publish("q", &payload, 0, 0).await;
        assert_eq!(quick.message().await.len(), 100_002);
    }
    publisher.publish("q", "last", 0, 0).await;
    assert_eq!(quick.message().await, "q=last");
    let mut count = 0;
    while stuck.message().await != "q=last" {
        count += 1;
    }
    assert!(count < 300, "the newest message arrives although old ones were dropped");
}

//! Twin conversations over a real broker, and what survives a restart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a failed unwrap is a failed test

mod common;

use std::sync::Arc;

use common::{Node, device, model, temperature};
use edgeward_twin::{DeviceId, DeviceState, Driver, Instance, Outgoing};
use parking_lot::Mutex;
use serde_json::{Value, json};

fn content(outgoing: &Outgoing) -> Value {
    let content: Value = serde_json::from_str(outgoing.content.get()).unwrap();
    match content {
        Value::String(text) => serde_json::from_str(&text).unwrap(),
        other => other,
    }
}

#[tokio::test]
async fn an_update_is_answered_stored_and_sent_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(folder.path()).await;
    node.twin.apply_device(&device("d", json!([{"name": "temperature"}]))).await.unwrap();
    let mut client = node.client().await;

    client.publish("d/twin/update", temperature("21.5")).await;
    let (topic, result) = client.next().await;
    assert_eq!((topic.as_str(), &result["event_id"]), ("d/twin/update/result", &json!("21.5")));
    assert_eq!(result["twin"]["temperature"]["actual"]["value"], "21.5");
    assert_eq!(client.next().await.0, "d/twin/update/document");
    client.acknowledged(1).await;

    // An equal value is answered and nothing else happens: the next messages are those of the next request.
    client.publish("d/twin/update", temperature("21.5")).await;
    assert_eq!(client.next().await.0, "d/twin/update/result");
    client.publish("d/state/update", json!({"state": "Online"})).await;
    let (topic, result) = client.next().await;
    assert_eq!((topic.as_str(), &result["device"]["state"]), ("d/state/update/result", &json!("online")));

    // Sent up, not confirmed: after a kill it is sent again.
    let first = node.uplink.next().await.unwrap();
    assert_eq!(first.resource, "device/default/d/state/update");
    node.stop().await;

    let mut node = Node::start(folder.path()).await;
    let mut client = node.client().await;
    client.publish("d/twin/get", json!({})).await;
    assert_eq!(client.next().await.1["twin"]["temperature"]["actual"]["value"], "21.5");
    let mut sent = Vec::new();
    for _ in 0..2 {
        let outgoing = node.uplink.next().await.unwrap();
        node.uplink.confirm(outgoing.id).await.unwrap();
        sent.push((outgoing.resource.clone(), content(&outgoing)));
    }
    sent.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(sent[0].1["device"]["state"], "online");
    assert_eq!(sent[1].1["twin"]["temperature"]["actual"]["value"], "21.5");
    assert_eq!(sent[1].1["twin"]["temperature"]["actual_version"], json!({"cloud": 0, "edge": 1}));
    node.stop().await;

    // Confirmed: nothing is sent again, so the first message is about the new value.
    let mut node = Node::start(folder.path()).await;
    let id = DeviceId::new("default", "d");
    node.twin.report_value(&id, "temperature", "22".to_owned()).await.unwrap();
    assert_eq!(content(&node.uplink.next().await.unwrap())["twin"]["temperature"]["actual"]["value"], "22");
    node.stop().await;
}

#[tokio::test]
async fn desired_values_reach_an_mqtt_device_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(folder.path()).await;
    let mut client = node.client().await;
    let wish = |value: &str| device("d", json!([{"name": "setpoint", "desired": {"value": value}}]));

    // The model is missing: the device waits. When it comes, the wish goes out.
    node.twin.apply_device(&wish("42")).await.unwrap();
    let view = node.twin.describe("default", "d").await.unwrap().unwrap();
    assert!(!view.model_found && view.twins.is_empty());
    node.twin.apply_model(&model()).await.unwrap();
    assert_eq!(client.next().await.0, "d/twin/update/document");
    let (topic, delta) = client.next().await;
    assert_eq!((topic.as_str(), &delta["delta"]), ("d/twin/update/delta", &json!({"setpoint": "42"})));
    assert_eq!(delta["twin"]["setpoint"]["metadata"]["type"], "int");

    // Applied again, nothing is said again; a wish out of bounds is not passed on.
    node.twin.apply_device(&wish("42")).await.unwrap();
    node.twin.apply_device(&wish("101")).await.unwrap();
    client.publish("d/twin/update", json!({"twin": {"setpoint": {"actual": {"value": "42"}}}})).await;
    assert_eq!(client.next().await.0, "d/twin/update/result");
    assert_eq!(client.next().await.0, "d/twin/update/document");
    client.acknowledged(1).await;

    let outgoing = node.uplink.next().await.unwrap();
    let setpoint = content(&outgoing)["twin"]["setpoint"].clone();
    assert_eq!((&setpoint["expected"]["value"], &setpoint["actual"]["value"]), (&json!("42"), &json!("42")));
    assert_eq!(setpoint["expected_version"], json!({"cloud": 1, "edge": 0}));

    // The wish is withdrawn.
    node.twin.apply_device(&device("d", json!([{"name": "setpoint"}]))).await.unwrap();
    let view = node.twin.describe("default", "d").await.unwrap().unwrap();
    assert_eq!(view.twins[0].expected, None);
    assert_eq!(view.status()["twins"][0]["reported"]["value"], "42");
    node.stop().await;
}

#[tokio::test]
async fn the_newest_value_crosses_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(folder.path()).await;
    node.twin.apply_device(&device("d", json!([{"name": "temperature"}]))).await.unwrap();
    let id = DeviceId::new("default", "d");
    let report = async |value: &str| node.twin.report_value(&id, "temperature", value.to_owned()).await.unwrap();
    report("1").await;
    let first = node.uplink.next().await.unwrap();
    for value in 2..100 {
        report(&value.to_string()).await;
    }
    // One message is in flight; whatever comes meanwhile is one more.
    node.uplink.confirm(first.id).await.unwrap();
    let second = node.uplink.next().await.unwrap();
    assert_eq!(content(&second)["twin"]["temperature"]["actual"]["value"], "99");
    // A new session: what was not confirmed comes again, with the value of now.
    report("100").await;
    node.uplink.rewind().await.unwrap();
    let again = node.uplink.next().await.unwrap();
    assert_eq!(content(&again)["twin"]["temperature"]["actual"]["value"], "100");
    // The late answer to the old session's message must not hide the new one.
    node.uplink.confirm(second.id).await.unwrap();
    node.uplink.rewind().await.unwrap();
    assert_eq!(content(&node.uplink.next().await.unwrap())["twin"]["temperature"]["actual"]["value"], "100");
    node.stop().await;
}

#[tokio::test]
async fn a_property_that_is_listed_later_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(folder.path()).await;
    node.twin.apply_device(&device("d", json!([]))).await.unwrap();
    node.twin.report_value(&DeviceId::new("default", "d"), "temperature", "5".to_owned()).await.unwrap();
    // The cloud confirms, though it knows no such property.
    let first = node.uplink.next().await.unwrap();
    node.uplink.confirm(first.id).await.unwrap();
    node.twin.apply_device(&device("d", json!([{"name": "temperature"}]))).await.unwrap();
    assert_eq!(content(&node.uplink.next().await.unwrap())["twin"]["temperature"]["actual"]["value"], "5");
    node.stop().await;
}

#[tokio::test]
async fn many_updates_share_transactions_and_none_is_lost() {
    const DEVICES: usize = 100;
    const ROUNDS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path()).await;
    for number in 0..DEVICES {
        node.twin.apply_device(&device(&format!("d{number}"), json!([{"name": "temperature"}]))).await.unwrap();
    }
    let before = commits();
    let mut client = node.client().await;
    for round in 0..ROUNDS {
        for number in 0..DEVICES {
            client.publish(&format!("d{number}/twin/update"), temperature(&round.to_string())).await;
        }
    }
    let mut results = 0;
    while results < DEVICES * ROUNDS {
        let (topic, payload) = client.next().await;
        assert!(payload.get("code").is_none(), "{payload}");
        results += usize::from(topic.ends_with("/result"));
    }
    client.acknowledged(DEVICES * ROUNDS).await;
    let spent = commits() - before;
    assert!(spent < (DEVICES * ROUNDS / 4) as u64, "{spent} transactions");
    node.stop().await;
    let node = Node::start(folder.path()).await;
    let views = node.twin.list().await.unwrap();
    let last = (ROUNDS - 1).to_string();
    assert!(views.iter().all(|view| view.twins[0].actual.as_ref().is_some_and(|(value, _)| **value == *last)));
    assert_eq!(views.len(), DEVICES);
    node.stop().await;
}

fn commits() -> u64 {
    let text = edgeward_service::metrics::render();
    let line = text.lines().find(|line| line.starts_with("edgeward_twin_commits_total "));
    line.and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn what_the_disk_refuses_is_refused_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path()).await;
    node.twin.apply_device(&device("d", json!([{"name": "temperature"}]))).await.unwrap();
    let id = DeviceId::new("default", "d");
    node.twin.report_value(&id, "temperature", "1".to_owned()).await.unwrap();
    let mut client = node.client().await;

    let other = rusqlite::Connection::open(folder.path().join("twins.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    client.publish("d/twin/update", temperature("2")).await;
    let (topic, refusal) = client.next().await;
    assert_eq!((topic.as_str(), &refusal["code"]), ("d/twin/update/result", &json!(500)));
    other.execute_batch("ROLLBACK").unwrap();

    let view = node.twin.describe("default", "d").await.unwrap().unwrap();
    assert_eq!(view.twins[0].actual.as_ref().map(|(value, _)| &**value), Some("1"));
    client.publish("d/twin/update", temperature("3")).await;
    assert_eq!(client.next().await.1["twin"]["temperature"]["actual"]["value"], "3");
    node.stop().await;
}

/// Notes what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Driver for Told {
    fn apply(&self, instance: Arc<Instance>) {
        let desired = instance.properties.iter().find_map(|property| property.desired.clone());
        self.0.lock().push(format!("{} {}", instance.id, desired.as_deref().unwrap_or("-")));
    }

    fn remove(&self, id: &DeviceId) {
        self.0.lock().push(format!("{id} gone"));
    }
}

#[tokio::test]
async fn drivers_hear_of_their_devices() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path()).await;
    let driver = Arc::new(Told::default());
    node.twin.register_driver(&["MQTT"], driver.clone()).await.unwrap();
    let told = || std::mem::take(&mut *driver.0.lock());
    let wish = |value: &str| device("d", json!([{"name": "setpoint", "desired": {"value": value}}]));

    node.twin.apply_device(&wish("1")).await.unwrap();
    assert_eq!(told(), Vec::<String>::new(), "its model is missing");
    node.twin.apply_model(&model()).await.unwrap();
    assert_eq!(told(), ["default/d 1"]);
    node.twin.apply_device(&wish("2")).await.unwrap();
    node.twin.apply_device(&wish("2")).await.unwrap();
    assert_eq!(told(), ["default/d 2"]);
    let mut client = node.client().await;
    client.publish("d/twin/update", json!({"twin": {"setpoint": {"expected": {"value": "3"}}}})).await;
    client.next().await;
    client.acknowledged(0).await;
    let view = node.twin.describe("default", "d").await.unwrap().unwrap();
    assert!(view.driven && view.model_found);
    assert_eq!(told(), ["default/d 3"], "an MQTT peer's wish is a wish");
    node.twin.remove_model("default", "model").await.unwrap();
    assert_eq!(told(), ["default/d gone"]);
    node.twin.apply_model(&model()).await.unwrap();
    node.twin.remove_device("default", "d").await.unwrap();
    assert_eq!(told(), ["default/d 3", "default/d gone"]);
    assert!(node.twin.set_state(&DeviceId::new("default", "d"), DeviceState::Online).await.is_err());
    node.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    Node::start(folder.path()).await.stop().await;
    let path = folder.path().join("twins.db");
    let sql = |text: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(text).unwrap();
    let tasks = edgeward_service::Tasks::root("test");
    let broker = edgeward_broker::Options { listen: vec![], ..Default::default() };
    let broker = edgeward_broker::Broker::start(broker, &tasks).await.unwrap();
    let start = async || {
        let options = edgeward_twin::Options::new(&path, "n1");
        edgeward_twin::Twin::start(options, broker.clone(), &tasks).await.unwrap_err().to_string()
    };
    sql("PRAGMA user_version = 99");
    assert!(start().await.contains("format 99"));
    sql("PRAGMA user_version = 1; DROP TABLE device_twin");
    assert!(start().await.contains("cannot be opened: no such table"));
    std::fs::write(&path, "this is no database, whatever its name says ".repeat(100)).unwrap();
    assert!(start().await.contains("cannot be opened: file is not a database"));
}

//! Simulated MQTT devices on a real broker and twin.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a failed unwrap is a failed test

mod common;

use std::collections::BTreeSet;

use common::Node;
use edgeward_broker::SubscribeOptions;
use edgeward_drivers::simulate::{MqttOptions, Options, Payload, Simulation, Source, Speed, run};
use edgeward_objects::Object;
use edgeward_twin::DeviceState;
use serde_json::{Value, json};

fn device(name: &str, desired: Option<&str>) -> Object {
    let mut setpoint = json!({"name": "setpoint"});
    if let Some(value) = desired {
        setpoint["desired"] = json!({ "value": value });
    }
    Object::from_value(json!({"apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"properties": [{"name": "temperature"}, setpoint]}}))
    .unwrap()
}

fn mqtt(node: &Node, devices: usize) -> MqttOptions {
    MqttOptions { broker: node.broker.addresses()[0].to_string(), devices, ..MqttOptions::default() }
}

#[tokio::test]
async fn devices_report_and_obey() {
    let mut node = Node::start().await;
    for number in 1..=20 {
        node.twin.apply_device(&device(&format!("sensor-{number}"), None)).await.unwrap();
    }
    let options = Options { mqtt: Some(mqtt(&node, 20)), speed: Speed::RowsPerSecond(20.0), ..Options::default() };
    let simulation = Simulation::start(options, &node.tasks).await.unwrap();
    for number in 1..=20 {
        let name = format!("sensor-{number}");
        node.until_state(&name, DeviceState::Online).await;
        node.until(&name, |view| common::actual(view, "temperature").is_some()).await;
    }
    node.twin.apply_device(&device("sensor-7", Some("auto"))).await.unwrap();
    node.until_value("sensor-7", "setpoint", "auto").await;
    let totals = simulation.counts().totals();
    assert!(totals.desired >= 1 && totals.connects == 20 && totals.acknowledged > 0, "{totals:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_wish_made_before_the_device_came_is_obeyed() {
    let mut node = Node::start().await;
    node.twin.apply_device(&device("sensor-1", Some("eco"))).await.unwrap();
    let payload = Payload::Telemetry { topic: "telemetry/{namespace}/{device}".to_owned() };
    let mqtt = MqttOptions { payload, ..mqtt(&node, 1) };
    let _simulation = Simulation::start(Options { mqtt: Some(mqtt), ..Options::default() }, &node.tasks).await.unwrap();
    node.until_value("sensor-1", "setpoint", "eco").await;
    node.stop().await;
}

#[tokio::test]
async fn a_device_that_came_before_its_document_is_online_all_the_same() {
    let mut node = Node::start().await;
    let options = Options { mqtt: Some(mqtt(&node, 1)), speed: Speed::RowsPerSecond(50.0), ..Options::default() };
    let simulation = Simulation::start(options, &node.tasks).await.unwrap();
    let mut refusals =
        node.broker.subscribe(&["$hw/events/device/default/sensor-1/twin/#"], Default::default()).unwrap();
    while !refusals.recv().await.payload.windows(10).any(|bytes| bytes == b"\"code\":404") {}
    node.twin.apply_device(&device("sensor-1", Some("eco"))).await.unwrap();
    node.until_state("sensor-1", DeviceState::Online).await;
    node.until_value("sensor-1", "setpoint", "eco").await;
    assert_eq!(simulation.counts().totals().connects, 1);
    node.stop().await;
}

#[tokio::test]
async fn a_file_is_sent_once_in_order_and_acknowledged() {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/machine_temperature_system_failure.csv");
    let folder = tempfile::tempdir().unwrap();
    let (path, rows) = if std::path::Path::new(shared).exists() {
        (shared.into(), 22_695)
    } else {
        println!("LEFT OUT: {shared} is not there; a generated file of 5,000 rows is replayed instead");
        let path = folder.path().join("rows.csv");
        let rows = (0..5_000).map(|row| format!("2024-01-01 00:{:02}:{:02},{row}.5\n", row / 60 % 60, row % 60));
        std::fs::write(&path, format!("timestamp,value\n{}", rows.collect::<String>())).unwrap();
        (path, 5_000)
    };
    let node = Node::start().await;
    let subscribe = SubscribeOptions { acknowledge: true, ..SubscribeOptions::default() };
    let mut readings = node.broker.subscribe(&["machine/sensor-1"], subscribe).unwrap();
    let payload = Payload::Telemetry { topic: "machine/{device}".to_owned() };
    let options = Options {
        mqtt: Some(MqttOptions { payload, ..mqtt(&node, 1) }),
        source: Source::Csv(path),
        speed: Speed::AsAcknowledged,
        ..Options::default()
    };
    let replay = run(options, &node.tasks);
    let read = async {
        let mut seen = BTreeSet::new();
        while seen.len() < rows {
            let delivery = readings.recv().await;
            let reading: Value = serde_json::from_slice(&delivery.payload).unwrap();
            assert!(
                reading["temperature"].is_f64() && reading["ts"].is_i64() && reading["deviceid"] == "sensor-1",
                "{reading}"
            );
            assert!(seen.insert(reading["seq"].as_u64().unwrap()), "a row came twice");
            assert_eq!(seen.len() as u64, reading["seq"].as_u64().unwrap(), "rows came out of order");
            delivery.confirm();
        }
    };
    let (totals, ()) = tokio::join!(replay, read);
    let totals = totals.unwrap();
    assert_eq!((totals.sent, totals.acknowledged, totals.resent), (rows as u64, rows as u64, 0));
    node.stop().await;
}

#[tokio::test]
async fn wrong_options_are_refused() {
    let tasks = edgeward_service::Tasks::root("test");
    let check = async |options: Options, expect: &str| {
        let error = run(options, &tasks).await.unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(Options { speed: Speed::RowsPerSecond(0.0), ..Options::default() }, "above 0").await;
    check(Options { speed: Speed::TimeFactor(f64::NAN), ..Options::default() }, "above 0").await;
    check(Options { source: Source::Csv("/nowhere.csv".into()), ..Options::default() }, "/nowhere.csv").await;
    let qos = Some(MqttOptions { qos: edgeward_mqtt::QoS::AtMostOnce, ..MqttOptions::default() });
    check(Options { mqtt: qos, speed: Speed::AsAcknowledged, ..Options::default() }, "QoS 1").await;
}

//! The Modbus driver against real sockets: simulated slaves, and servers that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a failed unwrap is a failed test

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Node, actual, model, property, slave};
use edgeward_drivers::simulate::{ModbusOptions, Options, Simulation};
use edgeward_service::Tasks;
use edgeward_twin::DeviceState;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn slaves(tasks: &Tasks) -> (Simulation, SocketAddr) {
    let modbus = ModbusOptions { listen: ([127, 0, 0, 1], 0).into(), units: 1..=20 };
    let options = Options { modbus: Some(modbus), ..Options::default() };
    let simulation = Simulation::start(options, tasks).await.unwrap();
    let address = simulation.modbus_address().unwrap();
    (simulation, address)
}

fn wish(mut property: Value, value: &str) -> Value {
    property["desired"] = json!({ "value": value });
    property
}

/// A server that answers each request with what `answer` makes of it; `None` hangs up.
async fn server(
    answer: impl Fn(usize, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let (answer, seen) = (Arc::new(answer), requests.clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, answer.clone(), seen.clone()));
        }
    });
    (address, requests)
}

async fn serve(mut stream: TcpStream, answer: Arc<impl Fn(usize, &[u8]) -> Option<Vec<u8>>>, seen: Arc<AtomicUsize>) {
    let mut request = [0; 260];
    while let Ok(length @ 1..) = stream.read(&mut request).await {
        let Some(answer) = answer(seen.fetch_add(1, Ordering::SeqCst), &request[..length]) else { return };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// A good answer to a request for one register.
fn register(request: &[u8], value: u16) -> Vec<u8> {
    let [high, low] = value.to_be_bytes();
    vec![request[0], request[1], 0, 0, 0, 5, request[6], request[7], 2, high, low]
}

#[tokio::test]
async fn twenty_slaves_of_one_port_report_and_obey() {
    let mut node = Node::start().await;
    let (simulation, address) = slaves(&node.tasks).await;
    node.twin.apply_model(&model()).await.unwrap();
    let mut readings = node.broker.subscribe(&["telemetry/default/+"], Default::default()).unwrap();
    let properties = || {
        [
            property("temperature", "InputRegister", 0, 2),
            wish(property("setpoint", "HoldingRegister", 0, 1), "42"),
            wish(property("enable", "CoilRegister", 3, 1), "true"),
        ]
    };
    for unit in 1..=20 {
        node.twin.apply_device(&slave(&format!("m{unit}"), address, unit, &properties())).await.unwrap();
    }
    for unit in 1..=20 {
        let name = format!("m{unit}");
        let good = |view: &edgeward_twin::DeviceView| {
            view.state == Some(DeviceState::Online)
                && actual(view, "setpoint") == Some("42")
                && actual(view, "enable") == Some("true")
                && actual(view, "temperature").is_some_and(|text| (14.0..26.0).contains(&text.parse().unwrap()))
        };
        node.until(&name, good).await;
    }
    let reading: Value = serde_json::from_slice(&readings.recv().await.payload).unwrap();
    assert!(
        reading["temperature"].is_f64() && reading["setpoint"].is_i64() && reading["enable"].is_boolean(),
        "{reading}"
    );
    assert!(reading["ts"].as_i64().unwrap() > 1_600_000_000_000 && reading["deviceid"].is_string(), "{reading}");
    assert!(simulation.counts().totals().answered >= 60);

    // A device that is taken away is no longer asked; the others go on.
    node.twin.remove_device("default", "m1").await.unwrap();
    node.twin
        .apply_device(&slave("m2", address, 2, &[wish(property("setpoint", "HoldingRegister", 0, 1), "43")]))
        .await
        .unwrap();
    node.until_value("m2", "setpoint", "43").await;
    node.stop().await;
}

#[tokio::test]
async fn a_wish_that_is_met_already_is_not_written_again() {
    let mut node = Node::start().await;
    let written = Arc::new(AtomicUsize::new(0));
    let writes = written.clone();
    let (address, _) = server(move |_, request| {
        if request[7] == 6 {
            writes.fetch_add(1, Ordering::SeqCst);
        }
        Some(register(request, 7))
    })
    .await;
    node.twin.apply_model(&model()).await.unwrap();
    let device = slave("m", address, 1, &[wish(property("setpoint", "HoldingRegister", 0, 1), "7")]);
    node.twin.apply_device(&device).await.unwrap();
    node.until_value("m", "setpoint", "7").await;
    assert_eq!(written.load(Ordering::SeqCst), 0);
    node.stop().await;
}

#[tokio::test]
async fn a_busy_slave_is_asked_again() {
    let mut node = Node::start().await;
    let writes = AtomicUsize::new(0);
    let value = AtomicUsize::new(0);
    let (address, _) = server(move |_, request| {
        if request[7] == 6 {
            if writes.fetch_add(1, Ordering::SeqCst) < 2 {
                return Some(vec![request[0], request[1], 0, 0, 0, 3, request[6], 0x86, 6]);
            }
            value.store(usize::from(request[11]), Ordering::SeqCst);
            return Some(request.to_vec());
        }
        Some(register(request, value.load(Ordering::SeqCst) as u16))
    })
    .await;
    node.twin.apply_model(&model()).await.unwrap();
    let device = slave("m", address, 1, &[wish(property("setpoint", "HoldingRegister", 0, 1), "9")]);
    node.twin.apply_device(&device).await.unwrap();
    node.until_value("m", "setpoint", "9").await;
    node.stop().await;
}

#[tokio::test]
async fn exceptions_are_told_and_harm_nobody_else() {
    let mut node = Node::start().await;
    let (_simulation, address) = slaves(&node.tasks).await;
    node.twin.apply_model(&model()).await.unwrap();
    let outside = slave(
        "outside",
        address,
        2,
        &[property("temperature", "InputRegister", 0, 2), property("setpoint", "InputRegister", 90, 1)],
    );
    let nobody = slave("nobody", address, 200, &[property("setpoint", "HoldingRegister", 0, 1)]);
    let read_only = slave("refused", address, 3, &[wish(property("setpoint", "HoldingRegister", 15, 2), "1")]);
    let good = slave("good", address, 1, &[property("setpoint", "HoldingRegister", 0, 1)]);
    for device in [&outside, &nobody, &read_only, &good] {
        node.twin.apply_device(device).await.unwrap();
    }
    node.until_state("outside", DeviceState::Unhealthy).await;
    // What can be read of it is reported all the same.
    node.until("outside", |view| actual(view, "temperature").is_some()).await;
    node.until_state("nobody", DeviceState::Offline).await;
    node.until_state("refused", DeviceState::Unhealthy).await;
    node.until_value("good", "setpoint", "20").await;
    node.until_state("good", DeviceState::Online).await;
    node.stop().await;
}

#[tokio::test]
async fn a_slave_that_misbehaves_is_offline_until_it_behaves() {
    type Answer = fn(usize, &[u8]) -> Option<Vec<u8>>;
    let cases: [(&str, Answer); 6] = [
        ("garbage", |_, _| Some(vec![0xff; 64])),
        ("hangup", |_, _| None),
        ("silent", |_, _| Some(vec![])),
        ("short", |_, request| Some(vec![request[0], request[1], 0, 0, 0, 3, request[6], request[7], 0])),
        ("other-transaction", |_, request| {
            let mut answer = register(request, 7);
            answer[0] = answer[0].wrapping_add(1);
            Some(answer)
        }),
        ("other-function", |_, request| {
            let mut answer = register(request, 7);
            answer[7] = 4;
            Some(answer)
        }),
    ];
    let mut node = Node::start().await;
    node.twin.apply_model(&model()).await.unwrap();
    for (name, misbehave) in cases {
        let (address, requests) =
            server(
                move |count, request| if count < 4 { misbehave(count, request) } else { Some(register(request, 7)) },
            )
            .await;
        node.twin
            .apply_device(&slave(name, address, 1, &[property("setpoint", "HoldingRegister", 0, 1)]))
            .await
            .unwrap();
        node.until_state(name, DeviceState::Offline).await;
        node.until_state(name, DeviceState::Online).await;
        node.until_value(name, "setpoint", "7").await;
        assert!(requests.load(Ordering::SeqCst) > 4, "{name}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_slave_that_is_not_there_comes_later() {
    let mut node = Node::start().await;
    node.twin.apply_model(&model()).await.unwrap();
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let device = slave("late", address, 1, &[wish(property("setpoint", "HoldingRegister", 0, 1), "33")]);
    node.twin.apply_device(&device).await.unwrap();
    node.until_state("late", DeviceState::Offline).await;
    let modbus = ModbusOptions { listen: address, units: 1..=1 };
    let _simulation =
        Simulation::start(Options { modbus: Some(modbus), ..Options::default() }, &node.tasks).await.unwrap();
    node.until_value("late", "setpoint", "33").await;
    node.until_state("late", DeviceState::Online).await;
    node.stop().await;
}

#[tokio::test]
async fn a_slave_that_lost_its_memory_gets_its_wish_again() {
    let mut node = Node::start().await;
    node.twin.apply_model(&model()).await.unwrap();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let modbus = ModbusOptions { listen: address, units: 1..=1 };
    let options = Options { modbus: Some(modbus), ..Options::default() };
    let power = node.tasks.child("first");
    let _first = Simulation::start(options.clone(), &power).await.unwrap();
    let device = slave("m", address, 1, &[wish(property("setpoint", "HoldingRegister", 0, 1), "33")]);
    node.twin.apply_device(&device).await.unwrap();
    node.until_value("m", "setpoint", "33").await;
    assert!(power.shutdown(std::time::Duration::from_secs(5)).await);
    node.until_state("m", DeviceState::Offline).await;
    // It begins with its own set point, 20.
    let again = Simulation::start(options, &node.tasks).await.unwrap();
    node.until_state("m", DeviceState::Online).await;
    let mut raw = tokio_modbus::client::tcp::connect_slave(address, tokio_modbus::Slave(1)).await.unwrap();
    let asked = again.counts().totals().answered;
    while tokio_modbus::prelude::Reader::read_holding_registers(&mut raw, 0, 1).await.unwrap().unwrap() != [33] {
        let now = again.counts().totals().answered;
        assert!(now < asked + 10_000, "the wish was not written again");
    }
    node.stop().await;
}

#[tokio::test]
async fn v1alpha2_devices_work_alike() {
    let mut node = Node::start().await;
    let (_simulation, address) = slaves(&node.tasks).await;
    let model = json!({"apiVersion": "devices.kubeedge.io/v1alpha2", "kind": "DeviceModel",
        "metadata": {"name": "model", "namespace": "default"}, "spec": {"properties": [
            {"name": "setpoint", "type": {"int": {"accessMode": "ReadWrite", "minimum": 0, "maximum": 100}}},
            {"name": "mode", "type": {"string": {"accessMode": "ReadWrite"}}}]}});
    let device = json!({"apiVersion": "devices.kubeedge.io/v1alpha2", "kind": "Device",
        "metadata": {"name": "m", "namespace": "default"},
        "spec": {"deviceModelRef": {"name": "model"},
            "protocol": {"modbus": {"slaveID": 4},
                "common": {"tcp": {"ip": address.ip().to_string(), "port": address.port()}}},
            "propertyVisitors": [{"propertyName": "setpoint", "collectCycle": 20_000_000,
                "modbus": {"register": "HoldingRegister", "offset": 0, "limit": 1, "scale": 1}}]},
        "status": {"twins": [{"propertyName": "setpoint", "desired": {"value": "77", "metadata": {}}},
            {"propertyName": "mode", "desired": {"value": "eco", "metadata": {}}}]}});
    let object = |value| edgeward_objects::Object::from_value(value).unwrap();
    // The device comes first: it waits for its model.
    node.twin.apply_device(&object(device)).await.unwrap();
    node.twin.apply_model(&object(model)).await.unwrap();
    node.until_value("m", "setpoint", "77").await;
    node.stop().await;
}

#[tokio::test]
async fn documents_nobody_can_drive_are_unhealthy() {
    let mut node = Node::start().await;
    node.twin.apply_model(&model()).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    node.twin.apply_device(&slave("wrong", address, 1, &[property("setpoint", "Register", 0, 1)])).await.unwrap();
    node.until_state("wrong", DeviceState::Unhealthy).await;
    node.stop().await;
}

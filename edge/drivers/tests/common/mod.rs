//! A node with broker, twin and Modbus driver.

#![allow(dead_code)] // each test program uses its own part

use std::net::SocketAddr;
use std::time::Duration;

use edgeward_broker::{Broker, Handle, SubscribeOptions, Subscription};
use edgeward_drivers::modbus::{ModbusDriver, Options};
use edgeward_objects::Object;
use edgeward_service::Tasks;
use edgeward_twin::{DeviceState, DeviceView, Twin, TwinHandle};
use serde_json::{Value, json};

pub(crate) struct Node {
    pub(crate) tasks: Tasks,
    pub(crate) broker: Handle,
    pub(crate) twin: TwinHandle,
    news: Subscription,
    _folder: tempfile::TempDir,
}

impl Node {
    pub(crate) async fn start() -> Self {
        let tasks = Tasks::root("test");
        let folder = tempfile::tempdir().unwrap();
        let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let options = edgeward_broker::Options { listen, ..Default::default() };
        let broker = Broker::start(options, &tasks).await.unwrap();
        let news = ["$hw/events/device/+/+/twin/update/document", "$hw/events/device/+/+/state/update/result"];
        let news = broker.subscribe(&news, SubscribeOptions { capacity: 100_000, ..Default::default() }).unwrap();
        let options = edgeward_twin::Options::new(folder.path().join("twins.db"), "n1");
        let (twin, _uplink) = Twin::start(options, broker.clone(), &tasks).await.unwrap();
        let options = Options {
            timeout: Duration::from_millis(300),
            min_backoff: Duration::from_millis(20),
            max_backoff: Duration::from_millis(100),
            ..Options::default()
        };
        ModbusDriver::start(options, &twin, broker.clone(), &tasks).await.unwrap();
        Self { tasks, broker, twin, news, _folder: folder }
    }

    pub(crate) async fn stop(self) {
        assert!(self.tasks.shutdown(Duration::from_secs(10)).await);
    }

    /// Waits until the device is as wanted. It is looked at after each change the twin publishes.
    pub(crate) async fn until(&mut self, name: &str, wanted: impl Fn(&DeviceView) -> bool) -> DeviceView {
        let waiting = async {
            loop {
                let view = self.twin.describe("default", name).await.unwrap();
                if let Some(view) = view.filter(|view| wanted(view)) {
                    return view;
                }
                self.news.recv().await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        match seen {
            Ok(view) => view,
            Err(_) => panic!("{name} never came; it is {:?}", self.twin.describe("default", name).await),
        }
    }

    pub(crate) async fn until_state(&mut self, name: &str, state: DeviceState) {
        self.until(name, |view| view.state == Some(state)).await;
    }

    pub(crate) async fn until_value(&mut self, name: &str, property: &str, value: &str) -> DeviceView {
        self.until(name, |view| actual(view, property) == Some(value)).await
    }
}

pub(crate) fn actual<'a>(view: &'a DeviceView, property: &str) -> Option<&'a str> {
    view.twins.iter().find(|twin| &*twin.name == property)?.actual.as_ref().map(|(value, _)| &**value)
}

/// `{name, register, offset, limit, type, desired}` in a short form.
pub(crate) fn property(name: &str, register: &str, offset: u16, limit: u16) -> Value {
    json!({"name": name, "collectCycle": 20,
        "visitors": {"protocolName": "modbus", "configData": {"register": register, "offset": offset, "limit": limit}}})
}

pub(crate) fn slave(name: &str, address: SocketAddr, unit: u8, properties: &[Value]) -> Object {
    Object::from_value(json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"deviceModelRef": {"name": "model"}, "nodeName": "n1", "properties": properties,
            "protocol": {"protocolName": "modbus",
                "configData": {"ip": address.ip().to_string(), "port": address.port(), "slaveID": unit}}}
    }))
    .unwrap()
}

pub(crate) fn model() -> Object {
    let property = |name: &str, value_type: &str| json!({"name": name, "type": value_type, "accessMode": "ReadWrite"});
    Object::from_value(json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "DeviceModel",
        "metadata": {"name": "model", "namespace": "default"},
        "spec": {"properties": [property("temperature", "FLOAT"), property("setpoint", "INT"),
            property("enable", "BOOLEAN"), property("label", "STRING")]}
    }))
    .unwrap()
}

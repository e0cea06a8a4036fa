//! The bus and a real server.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::Connection;
use edgeward_mqtt::Text;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;

use crate::testing::{emission, request, start, start_rule, until};
use crate::{BusDelivery, BusMessage, BusMessages, BusOptions, Hosts, LocalBus, registry};

/// A bus with one subscriber, and a log of what was confirmed.
#[derive(Default)]
struct TestBus {
    subscriber: Mutex<Option<(mpsc::Sender<BusDelivery>, bool)>>,
    confirmed: Arc<Mutex<Vec<Bytes>>>,
}

struct TestMessages(mpsc::Receiver<BusDelivery>);

impl BusMessages for TestMessages {
    fn recv<'a>(&'a mut self, batch: &'a mut Vec<BusDelivery>, max: usize) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.0.recv_many(batch, max).await == 0 {
                std::future::pending().await
            }
        })
    }
}

impl LocalBus for TestBus {
    fn subscribe(&self, filter: &str, options: BusOptions) -> Result<Box<dyn BusMessages>, String> {
        assert_eq!(filter, "lab/#");
        let (sender, receiver) = mpsc::channel(options.capacity);
        *self.subscriber.lock() = Some((sender, options.acknowledge));
        Ok(Box::new(TestMessages(receiver)))
    }

    fn publish(&self, message: BusMessage) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let Some((sender, acknowledge)) = self.subscriber.lock().clone() else { return Ok(()) };
            let (log, payload) = (self.confirmed.clone(), message.payload.clone());
            let confirm: Box<dyn FnOnce() + Send> = Box::new(move || log.lock().push(payload));
            let confirm = (acknowledge && message.qos > 0).then_some(confirm);
            sender.send(BusDelivery { message, confirm }).await.map_err(|_| "gone".to_owned())
        })
    }
}

const CREATE: &str = "CREATE STREAM s () WITH (DATASOURCE=\"lab/#\")";

#[tokio::test]
async fn the_bus_is_used_when_no_server_is_named() {
    let bus = Arc::new(TestBus::default());
    let hosts = Hosts { bus: Some(bus.clone()), ..Hosts::default() };
    let mut running = start("mqtt", CREATE, &json!({}), &hosts).unwrap();
    until(|| bus.subscriber.lock().is_some()).await;
    for qos in [0, 1] {
        let properties = json!({"topic": "lab/x", "qos": qos, "sendSingle": true});
        let mut sink = registry::sink("mqtt", &request(&properties), &hosts).unwrap().sink;
        sink.send(&emission(r#"[{"a":1},{"a":2}]"#)).await.unwrap();
        assert_eq!(sink.connection(), Some(Connection::Connected));
        assert_eq!([running.row().await, running.row().await], [r#"{"a":1}"#, r#"{"a":2}"#]);
    }
    until(|| bus.confirmed.lock().len() == 2).await;
    running.stop().await;
}

#[tokio::test]
async fn what_a_stopped_rule_leaves_behind_is_not_confirmed() {
    let bus = Arc::new(TestBus::default());
    let hosts = Hosts { bus: Some(bus.clone()), ..Hosts::default() };
    let running = start("mqtt", CREATE, &json!({}), &hosts).unwrap();
    until(|| bus.subscriber.lock().is_some()).await;
    running.tasks.token().cancel();
    let message = BusMessage { topic: Text::from_static("lab/x"), payload: "{}".into(), qos: 1, retain: false };
    // The source may be gone already.
    let _ = bus.publish(message).await;
    running.stop().await;
    assert!(bus.confirmed.lock().is_empty());
}

pub(crate) struct Mosquitto(Child);

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn mosquitto() -> Option<(Mosquitto, String)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process =
        Command::new("mosquitto").args(["-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match process {
        Ok(process) => Some((Mosquitto(process), format!("tcp://127.0.0.1:{port}"))),
        Err(_) => {
            eprintln!("SKIPPED: mosquitto is not installed; the mqtt connector is not tested against a server");
            None
        }
    }
}

#[tokio::test]
async fn a_named_server_is_used_over_the_network() {
    let Some((_mosquitto, server)) = mosquitto() else { return };
    let hosts = Hosts { bus: Some(Arc::new(TestBus::default())), ..Hosts::default() };
    let mut running = start("mqtt", CREATE, &json!({"server": server}), &hosts).unwrap();
    until(|| running.rule.metrics()[0].connection == Some(Connection::Connected)).await;
    let properties = json!({"topic": "lab/x", "qos": 1, "retained": true, "server": server, "clientId": "sink"});
    let mut sink = registry::sink("mqtt", &request(&properties), &hosts).unwrap().sink;
    sink.send(&emission(r#"[{"a":1}]"#)).await.unwrap();
    assert_eq!(running.row().await, r#"{"a":1}"#);
    running.stop().await;
    let mut later = start("mqtt", CREATE, &json!({"server": server}), &hosts).unwrap();
    assert_eq!(later.row().await, r#"{"a":1}"#, "the message was retained");
    assert_eq!(sink.connection(), Some(Connection::Connected));
    sink.close().await;
    later.stop().await;
}

#[tokio::test]
async fn mqtt_5_carries_properties_from_a_sink_to_a_source() {
    let Some((_mosquitto, server)) = mosquitto() else { return };
    let hosts = Hosts::default();
    for (version, expect) in
        [("5", r#"{"a":1,"k":"id 1","t":"lab/x"}"#), ("4", r#"{"a":1,"t":"lab/x"}"#), ("3.1", r#"{"a":1,"t":"lab/x"}"#)]
    {
        let properties = json!({"server": server, "protocolVersion": version, "qos": 1});
        let select = "SELECT a, meta(properties->k) AS k, mqtt(topic) AS t FROM s";
        let create = "CREATE STREAM s () WITH (DATASOURCE=\"$share/g/lab/#\")";
        let create = if version == "5" { create } else { CREATE };
        let mut running = start_rule(select, ("mqtt", create, &properties), &[], &hosts).unwrap();
        until(|| running.rule.metrics()[0].connection == Some(Connection::Connected)).await;
        let more = json!({"topic": "lab/x", "sendSingle": true, "properties": {"k": "id {{.a}}", "none": "x"}});
        let all = crate::testing::props(&properties).overlaid(more.as_object().unwrap().clone());
        let mut sink =
            registry::sink("mqtt", &request(&serde_json::Value::Object(all.all().clone())), &hosts).unwrap().sink;
        // Until the server has the subscription, which nobody reports.
        let row = loop {
            sink.send(&emission(r#"[{"a":1}]"#)).await.unwrap();
            if let Ok(row) = tokio::time::timeout(std::time::Duration::from_millis(200), running.row()).await {
                break row;
            }
        };
        assert_eq!(row, expect, "version {version}");
        sink.close().await;
        running.stop().await;
    }
}

#[test]
fn reads_the_properties_of_every_version() {
    let sink = |properties: serde_json::Value| {
        let error = registry::sink("mqtt", &request(&properties), &Hosts::default()).err();
        error.map(|error| error.to_string())
    };
    for (properties, expect) in [
        (
            json!({"topic": "t", "protocolVersion": "5", "sessionExpiryIntervalSeconds": 60, "clientStatePath": "x"}),
            None,
        ),
        (json!({"topic": "t", "protocolVersion": "3"}), None),
        (json!({"topic": "t", "protocolVersion": "6"}), Some("unsupported protocol version 6")),
        (json!({"topic": "t", "properties": {"a": 1}}), Some("'properties' expected type 'string'")),
        (json!({"topic": "t", "properties": "a"}), Some("'properties' expected type 'map[string]string'")),
        (json!({"topic": "t", "properties": {"a": "{{.b"}}), Some("invalid value for properties")),
        (json!({"topic": "t", "qos": 3}), Some("qos")),
    ] {
        let got = sink(properties.clone());
        let fits = expect.map_or(got.is_none(), |part| got.as_ref().is_some_and(|got| got.contains(part)));
        assert!(fits, "{properties}: {got:?}");
    }
}

#[tokio::test]
async fn a_stopped_rule_gives_up_a_server_that_is_not_there() {
    let request = request(&json!({"topic": "t", "server": "tcp://127.0.0.1:1", "qos": 1}));
    let mut sink = registry::sink("mqtt", &request, &Hosts::default()).unwrap().sink;
    request.tasks.token().cancel();
    assert!(sink.send(&emission(r#"[{"a":1}]"#)).await.is_err());
    sink.close().await;
}

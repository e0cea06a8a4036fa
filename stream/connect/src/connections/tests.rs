//! Connections that are shared, and what cannot be done to them.

use edgeward_engine::Connection;
use serde_json::json;

use crate::mqtt::tests::mosquitto;
use crate::peer::{Peer, free_port};
use crate::testing::{emission, props, request, start, until, until_some};
use crate::{Connections, Hosts, ping, registry};

#[tokio::test]
async fn refuses_in_ekuipers_words() {
    let connections = Connections::default();
    let none = || props(&json!({}));
    connections.create("a", "sql", none()).unwrap();
    for (got, expect) in [
        (connections.create("", "mqtt", none()), "connection id and type should be defined"),
        (connections.create("a", "mqtt", none()), "connection a already been created"),
        (connections.create("b", "pigeon", none()), "unknown connection type pigeon"),
        (connections.create("b", "mqtt", props(&json!({"server": "http://h"}))), "invalid value for server"),
        (connections.update("b", "mqtt", none()), "connection b not existed"),
        (connections.delete("b"), "connection b not existed"),
        (connections.lease(&props(&json!({"connectionSelector": "b"})), "r").map(drop), "connection b not existed"),
        (connections.mqtt(&props(&json!({"connectionSelector": "a"}))).map(drop), "is of type sql, not mqtt"),
    ] {
        let error = got.expect_err(expect).to_string();
        assert!(error.contains(expect), "{error}");
    }
    let lease = connections.lease(&props(&json!({"connectionSelector": "sql.a"})), "r").unwrap().unwrap();
    assert_eq!(connections.get("a").unwrap().users, ["r"]);
    let error = connections.delete("a").unwrap_err().to_string();
    assert_eq!(error, "connection a can't be dropped due to rule references [r]");
    assert!(connections.update("a", "sql", none()).is_err());
    drop(lease);
    connections.update("a", "sql", props(&json!({"url": "sqlite://x"}))).unwrap();
    connections.delete("a").unwrap();
    assert!(connections.list().is_empty());
}

#[tokio::test]
async fn says_whether_a_peer_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap().to_string();
    let gone = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string() };
    for (kind, properties, expect) in [
        ("rest", json!({"url": format!("http://{here}/x")}), ""),
        ("rest", json!({"url": format!("http://{gone}/x")}), "cannot reach"),
        ("memory", json!({"topic": "t"}), ""),
        ("mqtt", json!({"server": format!("tcp://{gone}")}), "found error when connecting"),
        ("mqtt", json!({"server": "x://"}), "invalid value for server"),
        ("kafka", json!({"brokers": gone}), "cannot connect to"),
        ("kafka", json!({"brokers": here, "saslAuthType": "plain"}), "saslUserName is required"),
        ("nats", json!({"server": format!("nats://{gone}")}), "cannot connect to"),
        ("neuron", json!({"url": format!("tcp://{gone}")}), "cannot connect to"),
        ("neuron", json!({"url": "ipc:///no/such/socket"}), "cannot connect to /no/such/socket"),
        ("redis", json!({"addr": gone}), "cannot connect to"),
        ("redisPub", json!({"address": gone}), "cannot connect to"),
        ("sql", json!({"url": format!("postgres://{gone}/d")}), "cannot connect to"),
        ("sql", json!({"url": format!("mysql://{gone}/d")}), "cannot connect to"),
        ("sql", json!({"url": "sqlite:///no/such/file"}), ""),
        ("sql", json!({}), "url is required"),
        ("websocket", json!({"addr": gone, "path": "/x"}), "cannot connect to"),
        ("websocket", json!({"addr": gone}), "cannot reach"),
        ("websocket", json!({"path": "/x"}), ""),
        // Somebody listens, but says nothing: that is no server of this kind.
        ("redis", json!({"addr": here}), "no answer"),
    ] {
        let got = ping(kind, &props(&properties)).await.map_or_else(|error| error.to_string(), |()| String::new());
        assert!(got.contains(expect) && got.is_empty() == expect.is_empty(), "{kind} {properties}: {got}");
    }
    let connections = Connections::default();
    connections.create("up", "rest", props(&json!({"url": format!("http://{here}")}))).unwrap();
    connections.create("down", "rest", props(&json!({"url": format!("http://{gone}")}))).unwrap();
    until(|| connections.get("up").unwrap().status == Connection::Connected).await;
    until(|| matches!(connections.get("down").unwrap().status, Connection::Disconnected(_))).await;
}

#[tokio::test]
async fn real_servers_are_asked_to_let_the_client_in() {
    let port = free_port().to_string();
    let Some(_peer) = Peer::start("redis-server", &["--port", &port, "--save", "", "--requirepass", "geheim"]) else {
        return;
    };
    let mut properties = json!({"addr": format!("127.0.0.1:{port}"), "password": "geheim"});
    until_some(async || ping("redis", &props(&properties)).await.ok()).await;
    let open = json!({"addr": properties["addr"]});
    assert!(ping("redis", &props(&open)).await.unwrap_err().to_string().contains("NOAUTH"));
    properties["password"] = json!("wrong");
    assert!(ping("redis", &props(&properties)).await.unwrap_err().to_string().contains("invalid username-password"));
    let Some((_mosquitto, server)) = mosquitto() else { return };
    until_some(async || ping("mqtt", &props(&json!({"server": server}))).await.ok()).await;
}

#[tokio::test]
async fn sources_and_sinks_share_one_client() {
    let Some((_mosquitto, server)) = mosquitto() else { return };
    let hosts = Hosts::default();
    hosts.connections.create("lab", "mqtt", props(&json!({"server": server, "clientid": "one"}))).unwrap();
    let stream = |name: &str| format!("CREATE STREAM {name} () WITH (DATASOURCE=\"lab/#\")");
    let selector = json!({"connectionSelector": "lab"});
    let mut first = start("mqtt", &stream("first"), &selector, &hosts).unwrap();
    let mut second = start("mqtt", &stream("second"), &selector, &hosts).unwrap();
    let properties = json!({"connectionSelector": "lab", "topic": "lab/x", "qos": 1});
    let mut sink = registry::sink("mqtt", &request(&properties), &hosts).unwrap().sink;
    // One client identifier: with a client each they would end one another's connections.
    first.connected().await;
    second.connected().await;
    let mut sent = 0;
    // A subscription may take effect after the first messages.
    while first.is_quiet() || second.is_quiet() {
        sink.send(&emission(r#"[{"a":1}]"#)).await.unwrap();
        sent += 1;
        assert!(sent < 1_000, "nothing arrives");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(hosts.connections.get("lab").unwrap().users, ["first", "r", "second"]);
    assert!(hosts.connections.delete("lab").is_err());
    sink.close().await;
    drop(sink);
    first.stop().await;
    second.stop().await;
    until(|| hosts.connections.delete("lab").is_ok()).await;
}

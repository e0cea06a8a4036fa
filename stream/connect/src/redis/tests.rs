//! Keys, channels and lookups of a real Redis.

use edgeward_engine::{Connection, SinkError, Value};
use serde_json::json;

use super::config::Server;
use super::resp::{Client, Reply, command};
use crate::peer::{Peer, certificate, free_port};
use crate::testing::{emission, look, props, request, start, until_some};
use crate::{Hosts, LookupRequest, registry};

const STREAM: &str = "CREATE STREAM s () WITH (DATASOURCE=\"\")";

struct Redis {
    address: String,
    client: Client,
    _peer: Peer,
    _folder: tempfile::TempDir,
}

impl Redis {
    async fn start(arguments: &[&str]) -> Option<Redis> {
        let (port, folder) = (free_port().to_string(), tempfile::tempdir().unwrap());
        let all = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", folder.path().to_str().unwrap()];
        let peer = Peer::start("redis-server", &[&all[..], arguments].concat())?;
        let address = format!("127.0.0.1:{port}");
        let server = Server::read(&props(&json!({"addr": address, "password": "geheim"})), None).unwrap();
        let open = Server { password: None, ..server.clone() };
        let server = if arguments.is_empty() { open } else { server };
        let client = until_some(async || Client::connect(&server).await.ok()).await;
        Some(Redis { address, client, _peer: peer, _folder: folder })
    }

    async fn ask(&mut self, words: &[&str]) -> Reply {
        let (mut out, words) = (Vec::new(), words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        command(&words, &mut out);
        self.client.calls(&out, 1).await.unwrap().remove(0)
    }

    async fn text(&mut self, words: &[&str]) -> String {
        match self.ask(words).await {
            Reply::Bulk(text) => String::from_utf8(text.to_vec()).unwrap(),
            Reply::Array(items) => {
                let text = |item: &Reply| match item {
                    Reply::Bulk(text) => String::from_utf8(text.to_vec()).unwrap(),
                    other => panic!("{other:?}"),
                };
                items.iter().map(text).collect::<Vec<_>>().join("|")
            }
            other => format!("{other:?}"),
        }
    }

    async fn send(&self, mut properties: serde_json::Value, rows: &str) -> Result<(), SinkError> {
        properties["addr"] = json!(self.address);
        let made = registry::sink("redis", &request(&properties), &Hosts::default()).unwrap();
        let mut sink = made.sink;
        sink.send(&emission(rows)).await
    }
}

#[tokio::test]
async fn rows_are_stored_under_keys() {
    let Some(mut redis) = Redis::start(&[]).await else { return };
    let rows = r#"[{"id":"a","n":1},{"id":"b","n":2.5}]"#;
    redis.send(json!({"field": "id"}), rows).await.unwrap();
    assert_eq!(redis.text(&["GET", "a"]).await, r#"{"id":"a","n":1}"#);
    assert_eq!(redis.text(&["GET", "b"]).await, r#"{"id":"b","n":2.5}"#);
    redis.send(json!({"key": "k-{{.id}}", "fields": ["n"], "expiration": 1000}), rows).await.unwrap();
    assert_eq!(redis.text(&["GET", "k-b"]).await, r#"{"n":2.5}"#);
    assert!(matches!(redis.ask(&["PTTL", "k-b"]).await, Reply::Int(ms) if (1..=1_000_000).contains(&ms)));
    redis.send(json!({"keyType": "multiple", "db": 3}), r#"[{"x":1,"y":"t","z":null}]"#).await.unwrap();
    assert_eq!(redis.ask(&["GET", "x"]).await, Reply::Nil);
    redis.ask(&["SELECT", "3"]).await;
    assert_eq!(redis.text(&["MGET", "x", "y", "z"]).await, "1|t|");
}

#[tokio::test]
async fn rows_say_what_to_do() {
    let Some(mut redis) = Redis::start(&[]).await else { return };
    let properties = json!({"field": "id", "rowkindField": "do", "fields": ["n"]});
    let rows = r#"[{"id":1,"n":1,"do":"insert"},{"id":2,"n":2},{"id":1,"do":"delete"},{"id":2,"n":3,"do":"update"}]"#;
    redis.send(properties.clone(), rows).await.unwrap();
    assert_eq!(redis.ask(&["GET", "1"]).await, Reply::Nil);
    assert_eq!(redis.text(&["GET", "2"]).await, r#"{"n":3}"#);
    let list = json!({"key": "l", "dataType": "list", "rowkindField": "do", "fields": ["n"]});
    redis.send(list, r#"[{"n":1},{"n":2},{"n":3},{"do":"delete"}]"#).await.unwrap();
    assert_eq!(redis.text(&["LRANGE", "l", "0", "-1"]).await, r#"{"n":2}|{"n":1}"#);
    for (rows, expect) in [
        (r#"[{"id":1,"do":"undo"}]"#, "invalid rowkind undo"),
        (r#"[{"n":1}]"#, "field id does not exist in data map[n:1]"),
    ] {
        let error = redis.send(properties.clone(), rows).await.unwrap_err();
        assert!(matches!(&error, SinkError::Rejected(text) if text == expect), "{error:?}");
    }
    // A text where the sink wants a list: the server refuses, and the connection goes on.
    let error = redis.send(json!({"key": "2", "dataType": "list"}), r#"[{"n":1}]"#).await.unwrap_err();
    assert!(matches!(&error, SinkError::Rejected(text) if text.starts_with("WRONGTYPE")), "{error:?}");
}

#[tokio::test]
async fn keys_are_looked_up() {
    let Some(mut redis) = Redis::start(&[]).await else { return };
    redis.ask(&["SELECT", "2"]).await;
    redis.ask(&["SET", "1", r#"{"name":"one"}"#]).await;
    redis.ask(&["SET", "bad", "text"]).await;
    redis.ask(&["RPUSH", "l", r#"{"n":1}"#, r#"{"n":2}"#]).await;
    let table = |data_type: &str| {
        let props = props(&json!({"addr": redis.address, "datatype": data_type}));
        let request = LookupRequest { table: "t".into(), datasource: "2".into(), key: None, props };
        registry::lookup("redis", &request, &Hosts::default()).unwrap()
    };
    let texts = table("string");
    for (values, expect) in [
        (&[Value::Float(1.0)][..], Ok(r#"[{"name":"one"}]"#)),
        (&[Value::str("none")], Ok("[]")),
        (&[Value::str("bad")], Err("redis lookup: ")),
        (&[Value::Int(1), Value::Int(2)], Err("redis lookup only support one key, but got [id id]")),
        (&[Value::str("l")], Err("WRONGTYPE")),
        (&[Value::Int(1)], Ok(r#"[{"name":"one"}]"#)),
    ] {
        match (look(&*texts, values).await, expect) {
            (Ok(rows), Ok(expect)) => assert_eq!(rows, expect),
            (Err(error), Err(expect)) => assert!(error.starts_with(expect), "{error}"),
            (got, expect) => panic!("{values:?}: {got:?}, expected {expect:?}"),
        }
    }
    assert_eq!(texts.connection(), Some(Connection::Connected));
    assert_eq!(look(&*table("list"), &[Value::str("l")]).await.unwrap(), r#"[{"n":1},{"n":2}]"#);
}

#[tokio::test]
async fn messages_pass_through_channels() {
    let Some(redis) = Redis::start(&["--requirepass", "geheim"]).await else { return };
    let common = json!({"address": redis.address, "password": "geheim"});
    let mut source = common.clone();
    source["channels"] = json!(["a", "b"]);
    let mut running = start("redisSub", STREAM, &source, &Hosts::default()).unwrap();
    running.connected().await;
    let mut sink = common.clone();
    sink["channel"] = json!("{{.to}}");
    sink["sendSingle"] = json!(true);
    let mut sink = registry::sink("redisPub", &request(&sink), &Hosts::default()).unwrap().sink;
    sink.send(&emission(r#"[{"to":"c"},{"to":"b"},{"to":"a"}]"#)).await.unwrap();
    // The subscriptions stand one after another: the source counts as connected with the first.
    let rows = [running.row().await, running.row().await];
    assert_eq!(rows, [r#"{"to":"b"}"#, r#"{"to":"a"}"#]);
    running.stop().await;
}

#[tokio::test]
async fn a_lost_server_is_found_again() {
    let Some(mut redis) = Redis::start(&[]).await else { return };
    let properties = json!({"address": redis.address, "channels": ["a"]});
    let mut running = start("redisSub", STREAM, &properties, &Hosts::default()).unwrap();
    running.connected().await;
    let properties = json!({"addr": redis.address, "key": "k"});
    let mut sink = registry::sink("redis", &request(&properties), &Hosts::default()).unwrap().sink;
    sink.send(&emission(r#"[{"n":1}]"#)).await.unwrap();
    for kind in ["normal", "pubsub"] {
        redis.ask(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await;
    }
    sink.send(&emission(r#"[{"n":2}]"#)).await.unwrap();
    assert_eq!(redis.text(&["GET", "k"]).await, r#"{"n":2}"#);
    while redis.ask(&["PUBLISH", "a", r#"{"x":1}"#]).await == Reply::Int(0) {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.row().await, r#"{"x":1}"#);
    running.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    let Some(redis) = Redis::start(&["--requirepass", "geheim"]).await else { return };
    let error = redis.send(json!({"key": "k"}), r#"[{"n":1}]"#).await.unwrap_err();
    assert!(matches!(&error, SinkError::Recoverable(text) if text.contains("NOAUTH")), "{error:?}");
}

#[tokio::test]
async fn rows_pass_with_tls() {
    let folder = tempfile::tempdir().unwrap();
    let Some((certificate, key)) = certificate(folder.path()) else { return };
    let (certificate, port) = (certificate.to_str().unwrap(), free_port().to_string());
    let tls = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no", "--tls-ca-cert-file", certificate];
    let pair = ["--tls-cert-file", certificate, "--tls-key-file", key.to_str().unwrap()];
    let rest = ["--bind", "127.0.0.1", "--save", "", "--dir", folder.path().to_str().unwrap()];
    let Some(_peer) = Peer::start("redis-server", &[&tls[..], &pair, &rest].concat()) else { return };
    let properties = json!({"addr": format!("127.0.0.1:{port}"), "key": "k", "rootCaPath": certificate});
    let server = Server::read(&props(&properties), None).unwrap();
    let mut client = until_some(async || Client::connect(&server).await.ok()).await;
    let mut sink = registry::sink("redis", &request(&properties), &Hosts::default()).unwrap().sink;
    sink.send(&emission(r#"[{"n":1}]"#)).await.unwrap();
    let mut ask = Vec::new();
    command(&[b"GET", b"k"], &mut ask);
    assert_eq!(client.calls(&ask, 1).await, Ok(vec![Reply::Bulk(r#"{"n":1}"#.into())]));
}

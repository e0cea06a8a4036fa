//! Answers of a real web server.

use edgeward_engine::Connection;
use serde_json::{Value, json};

use crate::peer::{Peer, WEB};
use crate::testing::{look, props, start};
use crate::{Hosts, LookupRequest, registry};

const STREAM: &str = "CREATE STREAM s () WITH (DATASOURCE=\"\")";

#[tokio::test]
async fn answers_become_rows_and_states() {
    let Some(mut peer) = Peer::python("http.server", WEB, &[]) else { return };
    let url = format!("http://127.0.0.1:{}", peer.line().await);
    let properties = json!({"url": format!("{url}/{{{{.n}}}}/count"), "interval": "10ms", "states": {"n": 0}});
    let mut running = start("httppull", STREAM, &properties, &Hosts::default()).unwrap();
    assert_eq!([running.row().await, running.row().await], [r#"{"n":1}"#, r#"{"n":2}"#]);
    running.stop().await;
    for expect in ["/0/count", "/1/count"] {
        let got: Value = serde_json::from_str(&peer.line().await).unwrap();
        assert_eq!(got["path"], expect);
    }
}

#[tokio::test]
async fn an_unchanged_answer_is_left_out() {
    let Some(mut peer) = Peer::python("http.server", WEB, &[]) else { return };
    let url = format!("http://127.0.0.1:{}/same", peer.line().await);
    let properties = json!({"url": url, "interval": "5ms", "incremental": true});
    let mut running = start("httppull", STREAM, &properties, &Hosts::default()).unwrap();
    for _ in 0..4 {
        peer.line().await;
    }
    assert_eq!(running.row().await, r#"{"a":1}"#);
    assert!(running.is_quiet());
    running.stop().await;
}

#[tokio::test]
async fn failures_become_error_rows() {
    let properties = json!({"url": "http://127.0.0.1:1", "interval": "1h"});
    let mut running = start("httppull", STREAM, &properties, &Hosts::default()).unwrap();
    assert!(running.row().await.starts_with(r#"{"error":""#));
    running.stop().await;
}

#[tokio::test]
async fn answers_are_looked_up() {
    let Some(mut peer) = Peer::python("http.server", WEB, &[]) else { return };
    let url = format!("http://127.0.0.1:{}", peer.line().await);
    let table = |path: &str| {
        let props = props(
            &json!({"url": format!("{url}/{{{{.id}}}}"), "method": "post", "body": "{{.id}}", "bodyType": "text"}),
        );
        let request = LookupRequest { table: "t".into(), datasource: path.into(), key: None, props };
        registry::lookup("httppull", &request, &Hosts::default()).unwrap()
    };
    let rows = table("/rows");
    for (id, expect) in [
        (edgeward_engine::Value::Float(2.0), r#"[{"id":2,"v":"b"},{"id":2,"v":"c"}]"#),
        (edgeward_engine::Value::Int(1), r#"[{"id":1,"v":"a"}]"#),
        (edgeward_engine::Value::str("1"), "[]"),
    ] {
        assert_eq!(look(&*rows, &[id]).await.as_deref(), Ok(expect));
    }
    let got: Value = serde_json::from_str(&peer.line().await).unwrap();
    assert_eq!((&got["path"], &got["body"]), (&json!("/2/rows"), &json!("2")));
    assert_eq!(rows.connection(), Some(Connection::Connected));
    assert_eq!(look(&*table("/503"), &[edgeward_engine::Value::Int(1)]).await.unwrap_err(), "response code error: 503");
}

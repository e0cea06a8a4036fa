//! Messages from and to nanomsg's own command line program.

use edgeward_engine::SinkError;
use serde_json::{Value, json};

use crate::peer::{Peer, free_port};
use crate::testing::{emission, request, start};
use crate::{Hosts, registry};

const STREAM: &str = "CREATE STREAM s () WITH (DATASOURCE=\"\")";

async fn both_ways(url: &str) {
    let data = r#"{"node_name":"n","values":{"t":1.5}}"#;
    let arguments = ["--pair", "--bind", url, "--ascii", "--data", data, "--interval", "0.1"];
    let Some(mut neuron) = Peer::start("nanocat", &arguments) else { return };
    let hosts = Hosts::default();
    let mut running = start("neuron", STREAM, &json!({"url": url}), &hosts).unwrap();
    assert_eq!(running.row().await, data);
    // The same connection: nanomsg lets nobody else in.
    let send = async |properties: &Value, rows: &str| {
        let mut all = properties.clone();
        all["url"] = json!(url);
        registry::sink("neuron", &request(&all), &hosts).unwrap().sink.send(&emission(rows)).await.unwrap();
    };
    send(
        &json!({"nodeName": "{{.n}}", "groupName": "g", "tags": ["a", "none"]}),
        r#"[{"n":"x","a":1},{"n":"y","a":"z"}]"#,
    )
    .await;
    send(&json!({"nodeName": "n", "groupName": "g"}), r#"[{"a":true}]"#).await;
    send(&json!({"raw": true}), r#"[{"a":1}]"#).await;
    for expect in [
        r#"{"group_name":"g","node_name":"x","tag_name":"a","value":1}"#,
        r#"{"group_name":"g","node_name":"y","tag_name":"a","value":"z"}"#,
        r#"{"group_name":"g","node_name":"n","tag_name":"a","value":true}"#,
        r#"[{"a":1}]"#,
    ] {
        assert_eq!(neuron.line().await, expect);
    }
    running.stop().await;
}

#[tokio::test]
async fn over_tcp() {
    both_ways(&format!("tcp://127.0.0.1:{}", free_port())).await;
}

#[tokio::test]
async fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    both_ways(&format!("ipc://{}", folder.path().join("neuron.ipc").display())).await;
}

#[tokio::test]
async fn nobody_there() {
    let properties = json!({"url": "ipc:///no/such/socket", "raw": true});
    let mut sink = registry::sink("neuron", &request(&properties), &Hosts::default()).unwrap().sink;
    let sent = sink.send(&emission(r#"[{"a":1}]"#)).await;
    assert!(matches!(&sent, Err(SinkError::Recoverable(text)) if text.contains("cannot connect")), "{sent:?}");
}

//! Rows and tokens from a sink to a stream.

use edgeward_engine::Ack;
use serde_json::json;

use crate::testing::{emission, request, start, until};
use crate::{Hosts, registry};

#[tokio::test]
async fn rows_pass_with_their_tokens() {
    let hosts = Hosts::default();
    let mut running = start("memory", "CREATE STREAM s () WITH (DATASOURCE=\"lab/+\")", &json!({}), &hosts).unwrap();
    until(|| !hosts.memory.listeners("lab/x").is_empty()).await;
    let mut sink = registry::sink("memory", &request(&json!({"topic": "lab/x"})), &hosts).unwrap().sink;
    let (told, safe) = tokio::sync::oneshot::channel();
    let mut sent = emission(r#"[{"a":1},{"a":2}]"#);
    sent.acks.push(Ack::new(move |ok| told.send(ok).unwrap()));
    sink.send(&sent).await.unwrap();
    drop(sent);
    assert_eq!([running.row().await, running.row().await], [r#"{"a":1}"#, r#"{"a":2}"#]);
    assert_eq!(safe.await, Ok(true));
    assert!(hosts.memory.listeners("other/x").is_empty());
    running.stop().await;
    assert!(hosts.memory.listeners("lab/x").is_empty());
    sink.send(&emission(r#"[{"a":3}]"#)).await.unwrap();
}

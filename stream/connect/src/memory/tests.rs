//! Rows and tokens from a sink to a stream.

use edgeward_engine::{Ack, Value};
use serde_json::json;

use crate::testing::{emission, look_by, props, request, start, until};
use crate::{Hosts, LookupRequest, registry};

#[tokio::test]
async fn a_table_keeps_rows_by_key() {
    let hosts = Hosts::default();
    let request =
        LookupRequest { table: "t".into(), datasource: "t/+".into(), key: Some("id".into()), props: props(&json!({})) };
    let table = registry::lookup("memory", &request, &hosts).unwrap();
    let plain = json!({"topic": "t/a"});
    let kinds = json!({"topic": "t/a", "rowkindField": "do", "keyField": "id"});
    for (sink, rows, key, expect) in [
        (&plain, r#"[{"id":1,"v":"x"},{"id":2,"v":"y"}]"#, 1, r#"[{"id":1,"v":"x"}]"#),
        (&plain, r#"[{"id":1,"v":"z"}]"#, 1, r#"[{"id":1,"v":"z"}]"#),
        (&kinds, r#"[{"id":2,"do":"delete"}]"#, 2, "[]"),
        (&kinds, r#"[{"id":3,"do":"insert"}]"#, 3, r#"[{"do":"insert","id":3}]"#),
    ] {
        let mut sink = registry::sink("memory", &crate::testing::request(sink), &hosts).unwrap().sink;
        sink.send(&emission(rows)).await.unwrap();
        assert_eq!(look_by(&*table, &["id".into()], &[Value::Int(key)]).await.as_deref(), Ok(expect), "{rows}");
    }
    let mut sink = registry::sink("memory", &crate::testing::request(&kinds), &hosts).unwrap().sink;
    assert!(sink.send(&emission(r#"[{"v":1}]"#)).await.is_err(), "a row without key");
    drop(table);
    assert!(hosts.memory.listeners("t/a").is_empty());
}

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

//! Rows come in order, once or for ever.

use edgeward_engine::Value;
use serde_json::json;

use crate::testing::{look_by, props, start};
use crate::{Hosts, LookupRequest, registry};

const STREAM: &str = "CREATE STREAM s () WITH (DATASOURCE=\"\")";

#[tokio::test]
async fn rows_come_once() {
    let properties = json!({"data": [{"a": 1}, {"a": 2.5}], "interval": 1, "loop": false});
    let (rows, ended) = start("simulator", STREAM, &properties, &Hosts::default()).unwrap().all().await;
    assert_eq!((rows, ended), (vec![r#"{"a":1}"#.to_owned(), r#"{"a":2.5}"#.to_owned()], Ok(())));
}

#[tokio::test]
async fn rows_come_again() {
    let properties = json!({"data": [{"a": 1}, {"a": 2}], "interval": "1ms"});
    let mut running = start("simulator", STREAM, &properties, &Hosts::default()).unwrap();
    let rows = [running.row().await, running.row().await, running.row().await];
    assert_eq!(rows, [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":1}"#]);
    running.stop().await;
}

#[tokio::test]
async fn rows_are_looked_up() {
    let props = props(&json!({"data": [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 2}]}));
    let request = LookupRequest { table: "t".into(), datasource: String::new(), key: None, props };
    let table = registry::lookup("simulator", &request, &Hosts::default()).unwrap();
    for (keys, values, expect) in [
        (vec!["a".into()], vec![Value::Int(2)], r#"[{"a":2,"b":"x"},{"a":2}]"#),
        (vec!["a".into(), "b".into()], vec![Value::Float(1.0), Value::str("x")], r#"[{"a":1,"b":"x"}]"#),
        (vec!["c".into()], vec![Value::Int(1)], "[]"),
    ] {
        assert_eq!(look_by(&*table, &keys, &values).await.as_deref(), Ok(expect));
    }
}

//! Rows come in order, once or for ever.

use serde_json::json;

use crate::Hosts;
use crate::testing::start;

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

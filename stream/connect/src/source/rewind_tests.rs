//! Sources that rewind: a rule that counts their rows goes on from a checkpoint as if nothing had happened.

use std::path::Path;

use serde_json::{Value, json};

use crate::testing::{Running, start_saved};

const STREAM: &str = "CREATE STREAM s (a BIGINT) WITH (DATASOURCE=\"input\")";

/// Rows 1, 2, 3, … as JSON in whatever form a source reads them.
type Write = fn(folder: &Path, rows: std::ops::RangeInclusive<i64>);

fn lines(folder: &Path, rows: std::ops::RangeInclusive<i64>) {
    let text: String = rows.map(|a| format!("{{\"a\":{a}}}\n")).collect();
    std::fs::write(folder.join("input"), text).unwrap();
}

fn array(folder: &Path, rows: std::ops::RangeInclusive<i64>) {
    let rows: Vec<Value> = rows.map(|a| json!({"a": a})).collect();
    std::fs::write(folder.join("input"), Value::from(rows).to_string()).unwrap();
}

/// Reads some rows, each of which must carry its own number.
async fn read(running: &mut Running, count: i64) -> i64 {
    let mut last = 0;
    for _ in 0..count {
        let row: Value = serde_json::from_str(&running.row().await).unwrap();
        assert_eq!(row["a"], row["n"], "a row was lost or came twice");
        last = row["n"].as_i64().unwrap();
    }
    last
}

#[tokio::test]
async fn a_rule_goes_on_where_its_checkpoint_was() {
    let file = json!({"sendInterval": "1ms", "interval": "1h"});
    let of = |base: &Value, more: Value| {
        let mut all = base.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let cases: [(&str, &str, Write, Value); 2] = [
        ("lines", "file", lines, of(&file, json!({"fileType": "lines"}))),
        ("json", "file", array, of(&file, json!({"fileType": "json"}))),
    ];
    for (name, kind, write, mut properties) in cases {
        let folder = tempfile::tempdir().unwrap();
        properties["path"] = folder.path().display().to_string().into();
        // What the first run leaves unread may be nothing on a busy machine; the second one finds more.
        write(folder.path(), 1..=60);
        let select = "SELECT a, acc_count(a) AS n FROM s";
        let mut first = start_saved(select, (kind, STREAM, &properties), None).unwrap();
        read(&mut first, 10).await;
        let saved = first.rule.checkpoint().await.expect(name);
        first.stop().await;
        write(folder.path(), 1..=80);
        let mut second = start_saved(select, (kind, STREAM, &properties), Some(&saved)).unwrap();
        let last = read(&mut second, 20).await;
        assert!(last >= 30, "{name}: {last}");
        second.stop().await;
    }
}

#[tokio::test]
async fn a_position_that_makes_no_sense_is_as_good_as_none() {
    let folder = tempfile::tempdir().unwrap();
    lines(folder.path(), 1..=3);
    let simulator = json!({"data": [{"a": 1}, {"a": 2}, {"a": 3}], "interval": "1ms", "loop": false});
    let file = json!({"path": folder.path(), "fileType": "lines"});
    let properties = json!({"data": (1..=500).map(|a| json!({"a": a})).collect::<Vec<_>>(), "interval": "1ms"});
    let mut other = start_saved("SELECT a FROM s", ("simulator", STREAM, &properties), None).unwrap();
    for _ in 0..10 {
        other.row().await;
    }
    let saved = other.rule.checkpoint().await.unwrap();
    other.stop().await;
    for (kind, properties) in [("simulator", simulator), ("file", file)] {
        let again = start_saved("SELECT a FROM s", (kind, STREAM, &properties), Some(&saved)).unwrap();
        let (rows, ended) = again.all().await;
        assert_eq!((rows.len(), ended), (3, Ok(())), "{kind}");
    }
}

#[tokio::test]
async fn a_checkpoint_of_a_rule_that_ended_is_none() {
    let properties = json!({"data": [{"a": 1}], "interval": "1ms", "loop": false});
    let running = start_saved("SELECT a FROM s", ("simulator", STREAM, &properties), None).unwrap();
    running.rule.ended().await;
    assert_eq!(running.rule.checkpoint().await, None);
}

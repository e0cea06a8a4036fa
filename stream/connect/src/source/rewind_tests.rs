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

fn csv(folder: &Path, rows: std::ops::RangeInclusive<i64>) {
    let text: String = rows.map(|a| format!("{a}\n")).collect();
    std::fs::write(folder.join("input"), format!("a\n{text}")).unwrap();
}

/// Five rows in a file; names sort as the rows do.
fn files(folder: &Path, rows: std::ops::RangeInclusive<i64>) {
    std::fs::create_dir_all(folder.join("input")).unwrap();
    for first in rows.clone().step_by(5) {
        let last = (first + 4).min(*rows.end());
        let text: String = (first..=last).map(|a| format!("{{\"a\":{a}}}\n")).collect();
        let path = folder.join(format!("input/{first:05}"));
        // One that is written again would be another file.
        if !path.exists() {
            std::fs::write(path, text).unwrap();
        }
    }
}

/// Rows whose column `b` is the same in four at a time.
fn table(folder: &Path, rows: std::ops::RangeInclusive<i64>) {
    let database = rusqlite::Connection::open(folder.join("db")).unwrap();
    database.execute_batch("CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b INTEGER)").unwrap();
    for a in rows {
        database.execute("INSERT OR IGNORE INTO t VALUES (?1, ?1 / 4)", [a]).unwrap();
    }
}

fn nothing(_: &Path, _: std::ops::RangeInclusive<i64>) {}

/// Reads some rows, each of which must carry its own number.
async fn read(running: &mut Running, count: i64) -> i64 {
    let mut last = 0;
    for _ in 0..count {
        let row: Value = serde_json::from_str(&running.row().await).unwrap();
        // The values of csv are texts.
        assert_eq!(row["a"].to_string().trim_matches('"'), row["n"].to_string(), "a row was lost or came twice");
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
    let data: Vec<Value> = (1..=20_000).map(|a| json!({"a": a})).collect();
    let by = |field: &str, limit: i64| json!({"interval": "5ms", "internalSqlQueryCfg": {"table": "t", "indexField": field, "limit": limit}});
    let cases: [(&str, &str, Write, Value); 7] = [
        ("lines", "file", lines, of(&file, json!({"fileType": "lines"}))),
        ("json", "file", array, of(&file, json!({"fileType": "json"}))),
        ("csv", "file", csv, of(&file, json!({"fileType": "csv", "hasHeader": true}))),
        ("folder", "file", files, of(&file, json!({"fileType": "lines", "parallel": true}))),
        ("simulator", "simulator", nothing, json!({"data": data, "interval": "1ms"})),
        ("sql", "sql", table, by("a", 7)),
        ("sql with equal indexes", "sql", table, by("b", 0)),
    ];
    for (name, kind, write, mut properties) in cases {
        let folder = tempfile::tempdir().unwrap();
        match kind {
            "sql" => properties["url"] = format!("sqlite://{}/db", folder.path().display()).into(),
            "file" => properties["path"] = folder.path().display().to_string().into(),
            _ => {}
        }
        // What the first run leaves unread may be nothing on a busy machine; the second one finds more.
        // Four rows of the table share an index, the last ones too: a later one beside them would not be asked for.
        write(folder.path(), 1..=63);
        let select = "SELECT a, acc_count(a) AS n FROM s";
        let mut first = start_saved(select, (kind, STREAM, &properties), None).unwrap();
        read(&mut first, 10).await;
        let saved = first.rule.checkpoint().await.expect(name);
        first.stop().await;
        write(folder.path(), 1..=100);
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

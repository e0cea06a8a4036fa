//! Statements, and an answer that refuses one. There is no TDengine to be had as a package.

use edgeward_engine::json::{Numbers, parse};
use serde_json::json;

use super::{config::Config, sink::insert};
use crate::peer::{Peer, WEB};
use crate::sink::SentRow;
use crate::testing::{emission, props, request};
use crate::{Hosts, registry};

fn check(properties: serde_json::Value, row: &str, expect: Result<&str, &str>) {
    let mut all = json!({"database": "d", "table": "t", "tsFieldName": "ts"});
    all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    let row = parse(row.as_bytes(), Numbers::Float).unwrap();
    let row = row.as_map().unwrap();
    let sent = SentRow { row: row.clone(), fields: row.clone() };
    let got = insert(&Config::read(&props(&all)).unwrap(), &sent);
    assert_eq!(got.as_deref().map_err(String::as_str), expect, "{all}");
}

#[test]
fn writes_statements() {
    check(
        json!({}),
        r#"{"a":1.5,"b":"it's \\","c":null}"#,
        Ok(r"INSERT INTO `t` (`ts`,`a`,`b`) VALUES (now,1.5,'it\'s \\')"),
    );
    check(json!({"provideTs": true}), r#"{"a":true,"ts":1000}"#, Ok("INSERT INTO `t` (`ts`,`a`) VALUES (1000,true)"));
    check(json!({"provideTs": true}), r#"{"a":1}"#, Err("time field ts not found"));
    check(
        json!({"table": "d_{{.id}}", "sTable": "s", "tagFields": ["id"]}),
        r#"{"a":1,"id":"x"}"#,
        Ok("INSERT INTO `d_x` USING `s` (`id`) TAGS ('x') (`ts`,`a`) VALUES (now,1)"),
    );
    check(json!({"table": "{{.id}}"}), r#"{"id":"a`b"}"#, Err("\"a`b\" is no name for a table or column"));
}

#[tokio::test]
async fn a_refused_statement_is_an_error() {
    let Some(mut peer) = Peer::python("http.server", WEB, &[]) else { return };
    let port: u16 = peer.line().await.parse().unwrap();
    let properties = json!({"host": "127.0.0.1", "port": port, "database": "d", "table": "t", "tsFieldName": "ts"});
    let mut sink = registry::sink("tdengine3", &request(&properties), &Hosts::default()).unwrap().sink;
    let error = sink.send(&emission(r#"[{"a":1}]"#)).await.unwrap_err().to_string();
    assert_eq!(error, "tdengine refuses INSERT INTO `t` (`ts`,`a`) VALUES (now,1): no reason");
    let got: serde_json::Value = serde_json::from_str(&peer.line().await).unwrap();
    assert_eq!((&got["path"], &got["auth"]), (&json!("/rest/sql/d"), &json!("Basic cm9vdDp0YW9zZGF0YQ==")));
}

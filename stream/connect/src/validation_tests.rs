//! One suite over all connectors: which properties they accept, and how they refuse the others.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::json;

use crate::testing::{props, request};
use crate::{
    BusMessage, BusMessages, BusOptions, CloudOutbox, CloudRecord, Hosts, LocalBus, LookupRequest, SourceRequest,
    registry,
};

struct Nowhere;

impl LocalBus for Nowhere {
    fn subscribe(&self, _: &str, _: BusOptions) -> Result<Box<dyn BusMessages>, String> {
        Err("nowhere".into())
    }

    fn publish(&self, _: BusMessage) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("nowhere".into()) })
    }
}

impl CloudOutbox for Nowhere {
    fn append<'a>(&'a self, _: &'a [CloudRecord]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Err("nowhere".into()) })
    }
}

fn on_a_node() -> Hosts {
    Hosts {
        bus: Some(Arc::new(Nowhere)),
        outbox: Some(Arc::new(Nowhere)),
        http: crate::testing::any_port(),
        ..Hosts::default()
    }
}

/// Expects the error to contain a text; empty means that there is none.
fn expect(what: &str, result: Result<(), crate::ConnectError>, text: &str) {
    match result {
        Ok(()) => assert!(text.is_empty(), "{what}: accepted, expected {text:?}"),
        Err(error) => assert!(!text.is_empty() && error.to_string().contains(text), "{what}: {error}"),
    }
}

#[tokio::test]
async fn sources_check_their_properties() {
    let cases = [
        ("zmq", "t", json!({}), "source zmq not found"),
        ("mqtt", "a/+", json!({}), ""),
        ("mqtt", "a/#", json!({"qos": 2, "server": "tcp://h:1", "clientid": "c", "protocolVersion": "3.1"}), ""),
        ("mqtt", "a", json!({"unknown": true}), ""),
        ("mqtt", "", json!({}), "DATASOURCE"),
        ("mqtt", "a#", json!({}), "DATASOURCE"),
        ("mqtt", "a", json!({"qos": 3}), "3 is not 0, 1 or 2"),
        ("mqtt", "a", json!({"qos": "1"}), "'qos' expected type 'int', got unconvertible type 'string', value: '1'"),
        ("mqtt", "a", json!({"server": "http://h"}), "is not the address of an MQTT server"),
        ("mqtt", "a", json!({"server": 5}), "'server' expected type 'string'"),
        ("mqtt", "a", json!({"server": "tcp://h", "protocolVersion": "5"}), ""),
        ("mqtt", "a", json!({"server": "tcp://h", "protocolVersion": "6"}), "unsupported protocol version 6"),
        ("mqtt", "a", json!({"server": "tcp://h", "password": "x"}), "needs a username"),
        ("mqtt", "a", json!({"server": "ssl://h"}), ""),
        ("mqtt", "a", json!({"server": "ssl://h", "insecureSkipVerify": true}), ""),
        ("mqtt", "a", json!({"server": "ssl://h", "rootCARaw": "?"}), "rootCARaw"),
        ("mqtt", "a", json!({"server": "ssl://h", "tlsMinVersion": "ssl3"}), "use tls1.2 or tls1.3"),
        ("mqtt", "a", json!({"server": "ssl://h", "renegotiationSupport": "once"}), "renegotiationSupport once"),
        ("mqtt", "a", json!({"server": "ssl://h", "rootCaPath": "/no/such"}), "/no/such"),
        ("mqtt", "a", json!({"decompression": "gzip", "interval": "1s", "mergeField": "id"}), ""),
        ("mqtt", "a", json!({"decompression": "rar"}), "unsupported decompressor: rar"),
        ("mqtt", "a", json!({"mergeField": "x"}), "it needs an interval"),
        ("mqtt", "a", json!({"interval": "x"}), "invalid duration"),
        ("mqtt", "a", json!({"merger": "x"}), "merger is not supported"),
        ("mqtt", "a", json!({"sendInterval": "1s"}), "sendInterval is not supported"),
        ("mqtt", "a", json!({"connectionSelector": "x"}), "connection x not existed"),
        ("httppull", "", json!({"url": "http://h/a?t={{.PullTime}}", "interval": "1h", "incremental": true}), ""),
        ("httppull", "/a", json!({"url": "http://h", "states": {"n": 1}, "body": "{{.n}}", "method": "post"}), ""),
        ("httppull", "", json!({"url": "h"}), "Invalid"),
        ("httppull", "", json!({"interval": 0}), "0 is not allowed"),
        ("httppush", "/a", json!({"method": "PUT"}), ""),
        ("httppush", "a", json!({}), "must start with /"),
        ("httppush", "/a", json!({"method": "GET"}), "method GET is not supported, must be POST or PUT"),
        ("kafka", "t", json!({"brokers": "a:1,b:2", "groupID": "g", "maxBytes": 1000}), ""),
        ("kafka", "t", json!({"saslAuthType": "plain", "saslUserName": "u", "saslPassword": "p", "partition": 3}), ""),
        ("kafka", "a b", json!({}), "is no name of a topic"),
        ("kafka", "t", json!({"brokers": "a:x"}), "no address"),
        ("kafka", "t", json!({"saslAuthType": "gssapi"}), "use none, plain or scram"),
        ("kafka", "t", json!({"saslAuthType": "plain"}), "saslUserName is required"),
        ("kafka", "t", json!({"maxBytes": 1e9}), "is more than"),
        ("nats", "lab.*.>", json!({"server": "nats://h", "queueGroup": "g", "username": "u", "password": "p"}), ""),
        ("nats", "", json!({}), "is no subject"),
        ("nats", "a", json!({"server": "http://h"}), "scheme http is unknown; use nats or tls"),
        ("nats", "a", json!({"token": "t", "username": "u"}), "either username and password or token"),
        ("neuron", "", json!({"url": "ipc:///tmp/x.ipc"}), ""),
        ("neuron", "", json!({}), ""),
        ("neuron", "", json!({"url": "ws://h"}), "scheme ws is unknown; use tcp"),
        ("neuron", "", json!({"url": "ipc://"}), "names no file"),
        ("nexmark", "", json!({"qps": 1000, "bufferSize": 10, "excludeBid": true}), ""),
        ("nexmark", "", json!({"qps": 0}), "0 is not in 1..=10000000"),
        (
            "nexmark",
            "",
            json!({"excludeBid": true, "excludePerson": true, "excludeAuction": true}),
            "nothing is left to make",
        ),
        ("redisSub", "", json!({"address": "h:6379", "channels": ["a"], "db": 15}), ""),
        ("redisSub", "", json!({}), "channels is required"),
        ("redisSub", "", json!({"channels": ["a"], "db": 16}), "16 is not in 0..=15"),
        ("redisSub", "", json!({"channels": ["a"], "addr": "ftp://h"}), "scheme ftp is unknown; use redis or tcp"),
        ("simulator", "", json!({"data": [{"a": 1}], "interval": "10ms", "loop": false}), ""),
        ("simulator", "", json!({}), "data is required"),
        ("simulator", "", json!({"data": [1]}), "not a list of objects"),
        (
            "sql",
            "",
            json!({"url": "sqlite:x", "interval": "1s", "internalSqlQueryCfg": {"table": "t", "limit": 5}}),
            "",
        ),
        ("sql", "", json!({"url": "pg://u:p%40@h/db", "templateSqlQueryCfg": {"templateSql": "select {{.a}}"}}), ""),
        ("sql", "", json!({"url": "sqlite:x"}), "internalSqlQueryCfg or templateSqlQueryCfg is required"),
        ("sql", "", json!({"url": "sqlite:x", "internalSqlQueryCfg": {}}), "internalSqlQueryCfg.table is required"),
        ("sql", "", json!({"internalSqlQueryCfg": {"table": "t"}}), "url is required"),
        ("sql", "", json!({"url": "oracle://h", "internalSqlQueryCfg": {"table": "t"}}), "oracle are not supported"),
        (
            "sql",
            "",
            json!({"url": "pg://h?sslmode=maybe", "internalSqlQueryCfg": {"table": "t"}}),
            "sslmode is unknown",
        ),
        ("sql", "", json!({"url": "pg://h%4", "internalSqlQueryCfg": {"table": "t"}}), "invalid value for url"),
        ("sql", "", json!({"url": "sqlite:", "internalSqlQueryCfg": {"table": "t"}}), "names no file"),
        ("sse", "/e", json!({"url": "http://h"}), ""),
        ("sse", "/e", json!({}), "Invalid"),
        ("websocket", "/in", json!({}), ""),
        ("websocket", "/in", json!({"addr": "wss://h:8443"}), ""),
        ("websocket", "in", json!({}), "must start with /"),
        ("websocket", "", json!({"addr": "tcp://h"}), "scheme tcp is unknown"),
        ("memory", "a/+", json!({}), ""),
        ("memory", "a+", json!({}), "DATASOURCE"),
        ("file", "x.json", json!({}), ""),
        (
            "file",
            "x.csv",
            json!({"fileType": "csv", "interval": "1s", "sendInterval": 10, "hasHeader": true, "delimiter": "\t"}),
            "",
        ),
        ("file", "x", json!({"fileType": "parquet"}), "parquet is not supported"),
        ("file", "x", json!({"interval": "soon"}), "invalid duration \"soon\""),
        ("file", "x", json!({"interval": -1}), "'interval' expected type 'int'"),
        ("file", "x", json!({"actionAfterRead": 2}), "moveTo is required"),
        ("file", "x", json!({"actionAfterRead": 3}), "3 is not 0, 1 or 2"),
        ("file", "x", json!({"decompression": "zstd", "parallel": true, "fileType": "raw"}), ""),
        ("file", "x", json!({"decompression": "zlib"}), "a file can be gzip or zstd"),
        ("file", "x", json!({"delimiter": "ab"}), "one character"),
        ("file", "x", json!({"columns": "a"}), "'columns' expected type '[]string'"),
        ("file", "x", json!({"path": "{{.x}}"}), "path with a template"),
        ("file", "x", json!({"ignoreEndLines": 1e6}), "at most 10000"),
    ];
    for (kind, datasource, properties, text) in cases {
        let request = SourceRequest {
            stream: "s".into(),
            datasource: datasource.into(),
            props: props(&properties),
            acknowledge: false,
        };
        expect(&format!("{kind} {properties}"), registry::source(kind, &request, &on_a_node()).map(drop), text);
    }
}

#[tokio::test]
async fn sinks_check_their_properties() {
    let cases = [
        ("zmq", json!({}), "sink zmq not found"),
        ("rest", json!({"url": "http://h/{{.id}}", "sendSingle": true}), ""),
        ("rest", json!({"url": "https://h", "method": "post", "bodyType": "form", "headers": {"a": "{{.b}}"}}), ""),
        ("rest", json!({"url": "http://h", "oAuth": {"access": {"url": "http://h/t", "expire": "{{.e}}"}}}), ""),
        ("rest", json!({}), "url is required"),
        ("rest", json!({"url": "ftp://h"}), "Invalid scheme"),
        ("rest", json!({"url": "http://h", "method": "BREW"}), "BREW is not supported"),
        ("rest", json!({"url": "http://h", "bodyType": "yaml"}), "invalid body type value: yaml"),
        ("rest", json!({"url": "http://h", "responseType": "x"}), "invalid response type value: x"),
        ("rest", json!({"url": "http://h", "headers": 5}), "not a map of names to texts"),
        ("rest", json!({"url": "http://h/{{range .}}"}), "unexpected EOF"),
        ("rest", json!({"url": "http://h", "oAuth": {}}), "oAuth.access is required"),
        ("rest", json!({"url": "http://h", "timeout": "x"}), "invalid duration"),
        ("influx", json!({"addr": "http://h:8086", "database": "d", "measurement": "m", "precision": "us"}), ""),
        ("influx", json!({"database": "d"}), "measurement is required"),
        ("influx", json!({"measurement": "m"}), "database is required"),
        ("influx", json!({"database": "d", "measurement": "m", "precision": "h"}), "precision h is not supported"),
        ("influx", json!({"database": "d", "measurement": "m", "addr": "h"}), "Invalid"),
        ("influx2", json!({"org": "o", "bucket": "b", "measurement": "{{.m}}", "tags": {"a": "{{.b}}"}}), ""),
        ("influx2", json!({"org": "o", "measurement": "m"}), "bucket is required"),
        ("tdengine3", json!({"database": "d", "table": "t", "tsFieldName": "ts"}), ""),
        ("tdengine3", json!({"database": "d", "table": "t"}), "tsFieldName is required"),
        (
            "tdengine3",
            json!({"database": "d", "table": "t", "tsFieldName": "ts", "sTable": "s"}),
            "tagFields is required",
        ),
        ("tdengine", json!({"database": "d"}), "table is required"),
        ("sql", json!({"url": "mysql://h", "table": "{{.t}}", "fields": ["a"], "tableDataField": "d"}), ""),
        ("sql", json!({"dburl": "sqlite:x", "table": "t", "rowkindField": "k", "keyField": "id"}), ""),
        ("sql", json!({"url": "sqlite:x"}), "table is required"),
        ("sql", json!({"table": "t"}), "url is required"),
        ("sql", json!({"url": "sqlite:x", "table": "t", "rowkindField": "k"}), "keyField is required"),
        ("sql", json!({"url": "here", "table": "t"}), "no scheme"),
        ("sse", json!({"endpoint": "/events"}), ""),
        ("sse", json!({}), "endpoint is required"),
        ("sse", json!({"endpoint": "events"}), "must start with /"),
        ("websocket", json!({"path": "/out"}), ""),
        ("websocket", json!({"addr": "127.0.0.1:1", "path": "/out"}), ""),
        ("websocket", json!({}), "path is required"),
        ("websocket", json!({"addr": "http://h"}), "scheme http is unknown"),
        ("mqtt", json!({"topic": "a"}), ""),
        ("mqtt", json!({"topic": "a", "server": "tcp://127.0.0.1:1", "qos": 1, "retained": true}), ""),
        ("mqtt", json!({}), "topic is required"),
        ("mqtt", json!({"topic": "a/+"}), "topic"),
        ("mqtt", json!({"topic": "{{.t}}"}), ""),
        ("mqtt", json!({"topic": "{{.t"}), "invalid value for topic: template: topic:1"),
        ("mqtt", json!({"topic": "a", "retained": "yes"}), "'retained' expected type 'bool'"),
        ("mqtt", json!({"topic": "a", "server": "tcp://h", "protocolVersion": "5", "properties": {"a": "{{.b}}"}}), ""),
        ("mqtt", json!({"topic": "a", "properties": {"a": 1}}), "'properties' expected type 'string'"),
        ("mqtt", json!({"topic": "a", "dataTemplate": "{{json .}}"}), ""),
        ("mqtt", json!({"topic": "a", "dataTemplate": "{{json ."}), "invalid value for dataTemplate: template: sink:1"),
        (
            "kafka",
            json!({"topic": "{{.t}}", "key": "k", "headers": {"a": "b"}, "requiredACKs": 1, "maxAttempts": 3}),
            "",
        ),
        ("kafka", json!({}), "topic is required"),
        ("kafka", json!({"topic": "t", "requiredACKs": 2}), "not -1, 0 or 1"),
        ("nats", json!({"subject": "{{.to}}", "server": "tls://h:4222"}), ""),
        ("nats", json!({}), "subject is required"),
        ("nats", json!({"subject": "a.*"}), "wildcards are for listening"),
        ("neuron", json!({"nodeName": "{{.n}}", "groupName": "g", "tags": ["a", "{{.b}}"]}), ""),
        ("neuron", json!({"raw": true}), ""),
        ("neuron", json!({"groupName": "g"}), "nodeName is required"),
        ("neuron", json!({"nodeName": "n"}), "groupName is required"),
        ("redis", json!({"key": "a", "addr": "h", "expiration": -1}), ""),
        ("redis", json!({"field": "a", "dataType": "list", "rowkindField": "k", "expiration": "1h"}), ""),
        ("redis", json!({}), "key or field is required"),
        ("redis", json!({"key": "a", "keyType": "x"}), "use single or multiple"),
        ("redis", json!({"key": "a", "dataType": "hash"}), "use string or list"),
        ("redis", json!({"key": "a", "db": 16}), "16 is not in 0..=15"),
        ("redis", json!({"key": "a", "addr": "h:x"}), "no address"),
        ("redis", json!({"key": "a", "expiration": 0.5}), "'expiration' expected type 'int'"),
        ("redisPub", json!({"channel": "a", "address": "[::1]:6379"}), ""),
        ("redisPub", json!({}), "channel is required"),
        ("log", json!({}), ""),
        ("log", json!({"sendSingle": 1}), "'sendSingle' expected type 'bool'"),
        ("log", json!({"format": "xml"}), "format xml cannot be written"),
        ("log", json!({"enableCache": true, "batchSize": 10, "lingerInterval": "1s"}), ""),
        ("log", json!({"enableCache": true, "bufferPageSize": 0}), "bufferPageSize must be positive"),
        ("log", json!({"enableCache": true, "resendAlterQueue": true, "resendDestination": "x"}), "of a log sink"),
        ("mqtt", json!({"topic": "a", "enableCache": true, "resendAlterQueue": true, "resendDestination": "b"}), ""),
        (
            "mqtt",
            json!({"topic": "a", "enableCache": true, "resendAlterQueue": true, "resendDestination": "#"}),
            "topic",
        ),
        ("log", json!({"batchSize": "x"}), "'batchSize' expected type 'int'"),
        ("log", json!({"concurrency": 0}), "0 is not in 1..=1024"),
        ("log", json!({"compression": "rar"}), "unsupported compressor: rar"),
        ("log", json!({"encryption": "aes"}), "set basic.aesKey"),
        ("log", json!({"format": "protobuf"}), "schemaId is required"),
        ("log", json!({"format": "protobuf", "schemaId": "a.B"}), "schema protobuf.a not found"),
        ("nop", json!({"log": true}), ""),
        ("nop", json!({"log": "x"}), "'log' expected type 'bool'"),
        ("nop", json!({"bufferLength": 0}), "not in 1..=1000000"),
        ("memory", json!({"topic": "a/b"}), ""),
        ("memory", json!({}), "topic is required"),
        ("memory", json!({"topic": "a/#"}), "topic"),
        ("memory", json!({"topic": "a", "fields": ["x"]}), ""),
        ("memory", json!({"topic": "{{.a}}"}), ""),
        ("memory", json!({"topic": "a", "rowkindField": "x", "keyField": "id"}), ""),
        ("file", json!({"path": "x"}), ""),
        ("file", json!({"path": "{{.a}}.txt", "compression": "gzip"}), ""),
        ("file", json!({"path": "x", "compression": "zlib"}), "a file can be gzip or zstd"),
        ("file", json!({"path": "x", "compression": "gzip", "fileType": "json"}), "use lines or csv"),
        ("file", json!({"path": "x", "fileType": "raw"}), "raw is for sources"),
        ("file", json!({}), "path is required"),
        ("file", json!({"path": "/"}), "names no file"),
        ("file", json!({"path": "x", "rollingNamePattern": "y"}), "not prefix, suffix or none"),
        ("cloud", json!({"stream": "s", "identity": ["a"]}), ""),
        ("cloud", json!({"stream": "x".repeat(300)}), "300 bytes are too long"),
    ];
    for (kind, properties, text) in cases {
        let result = registry::sink(kind, &request(&properties), &on_a_node()).map(drop);
        expect(&format!("{kind} {properties}"), result, text);
    }
}

#[test]
fn lookups_check_their_properties() {
    let cases = [
        ("mqtt", "", json!({}), "lookup source mqtt not found"),
        ("httppull", "/a", json!({"url": "http://h"}), ""),
        ("httppull", "", json!({"url": "h"}), "Invalid"),
        ("httppull", "", json!({"connectionSelector": "x"}), "connection x not existed"),
        ("memory", "a/+", json!({}), "KEY is required"),
        ("simulator", "", json!({"data": [{"a": 1}]}), ""),
        ("simulator", "", json!({}), "data is required"),
        ("redis", "0", json!({"addr": "h", "datatype": "string"}), ""),
        ("redis", "x", json!({}), "no database"),
        ("redis", "16", json!({}), "16 is not in 0..=15"),
        ("redis", "0", json!({"datatype": "set"}), "use string or list"),
        ("sql", "t", json!({"url": "postgres://h"}), ""),
        ("sql", "", json!({"url": "postgres://h"}), "DATASOURCE is required"),
        ("sql", "t", json!({}), "url is required"),
    ];
    for (kind, datasource, properties, text) in cases {
        let request =
            LookupRequest { table: "t".into(), datasource: datasource.into(), key: None, props: props(&properties) };
        expect(&format!("{kind} {properties}"), registry::lookup(kind, &request, &on_a_node()).map(drop), text);
    }
}

#[test]
fn every_connector_is_covered_here() {
    let text = include_str!("validation_tests.rs");
    for kind in registry::source_kinds()
        .chain(registry::sink_kinds())
        .chain(registry::lookup_kinds())
        .filter(|kind| *kind != "logToMemory")
    {
        assert!(text.contains(&format!("(\"{kind}\", ")), "{kind} has no case");
    }
}

//! Payloads through the pipeline into a stream.

use std::io::Write;
use std::sync::Arc;

use edgeward_engine::{Message, Sink, Source, SourceContext, SourceError, Step};
use futures::future::BoxFuture;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::unpack::Unpack;
use super::*;
use crate::testing::{props, start, start_source};
use crate::{Encode, Hosts, SinkRequest, SourceRequest, UserConnectors};

/// Emits what the test sends it.
struct Feed(mpsc::Receiver<Vec<u8>>);

impl Source for Feed {
    fn run(mut self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            while let Some(payload) = self.0.recv().await {
                context.emitter.emit(Message::payload(payload)).await;
            }
            Ok(())
        })
    }
}

fn packed(kind: &str, text: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    let mut flate = flate2::write::DeflateEncoder::new(Vec::new(), level);
    let writers: [&mut dyn Write; 3] = [&mut gzip, &mut zlib, &mut flate];
    writers.into_iter().for_each(|writer| writer.write_all(text).unwrap());
    match kind {
        "gzip" => gzip.finish().unwrap(),
        "zlib" => zlib.finish().unwrap(),
        "flate" => flate.finish().unwrap(),
        _ => zstd::encode_all(text, 1).unwrap(),
    }
}

async fn rows(properties: Value, payloads: Vec<Vec<u8>>) -> Vec<String> {
    let (sender, feed) = mpsc::channel(100);
    let source = piped("mqtt", &props(&properties), Box::new(Feed(feed))).unwrap();
    let running = start_source("CREATE STREAM s () WITH (DATASOURCE=\"x\")", source);
    for payload in payloads {
        sender.send(payload).await.unwrap();
    }
    drop(sender);
    let (rows, ended) = running.all().await;
    assert_eq!(ended, Ok(()));
    rows
}

#[tokio::test]
async fn payloads_are_decompressed() {
    for kind in ["gzip", "zlib", "flate", "zstd"] {
        let payloads = vec![packed(kind, br#"{"a":1}"#), b"nothing compressed".to_vec(), packed(kind, br#"[{"a":2}]"#)];
        let got = rows(json!({"decompression": kind}), payloads).await;
        assert!(got[1].starts_with(r#"{"error":"decompress error: "#), "{kind}: {got:?}");
        assert_eq!([&got[0], &got[2]], [r#"{"a":1}"#, r#"{"a":2}"#]);
    }
}

#[test]
fn a_bomb_does_not_go_off() {
    let bomb = packed("gzip", &[0; 1_001]);
    assert!(Unpack::Gzip.unpack(&bomb, 1_000).unwrap_err().contains("larger than 1000 bytes"));
    assert_eq!(Unpack::Gzip.unpack(&bomb, 1_001).map(|out| out.len()), Ok(1_001));
}

#[tokio::test]
async fn the_latest_message_of_an_interval_is_kept() {
    let payloads: Vec<Vec<u8>> = (0..5).map(|n| format!(r#"{{"id":{},"n":{n}}}"#, n % 2).into_bytes()).collect();
    // An interval that does not end: what waits goes at the end of the input.
    let hour = json!({"interval": "1h"});
    assert_eq!(rows(hour, payloads.clone()).await, [r#"{"id":0,"n":4}"#]);
    let merged = rows(json!({"interval": "1h", "mergeField": "id"}), payloads.clone()).await;
    assert_eq!(merged, [r#"{"id":0,"n":4}"#, r#"{"id":1,"n":3}"#]);
    let without = rows(json!({"interval": "1h", "mergeField": "no"}), payloads[..1].to_vec()).await;
    assert_eq!(without, [r#"{"error":"mergeField no not found in the message"}"#]);
}

/// A plugin with one source, which sends two packed payloads and ends.
struct Plugin;

impl UserConnectors for Plugin {
    fn source(&self, kind: &str, request: &SourceRequest) -> Option<Result<Box<dyn Source>, ConnectError>> {
        let (sender, feed) = mpsc::channel(2);
        for row in [r#"{"a":1}"#, r#"{"a":2}"#] {
            sender.try_send(packed("gzip", row.as_bytes())).unwrap();
        }
        // What the pipeline reads reaches the plugin too: the names are its own as well.
        assert!(request.props.get("decompression").is_some());
        (kind == "mine").then(|| Ok(Box::new(Feed(feed)) as Box<dyn Source>))
    }

    fn sink(&self, _: &str, _: &SinkRequest, _: Encode) -> Option<Result<Box<dyn Sink>, ConnectError>> {
        None
    }
}

#[tokio::test]
async fn sources_of_plugins_pass_the_pipeline() {
    let hosts = Hosts { users: Some(Arc::new(Plugin)), ..Hosts::default() };
    let create = "CREATE STREAM s () WITH (DATASOURCE=\"x\")";
    for (properties, expect) in [
        (json!({"decompression": "gzip"}), vec![r#"{"a":1}"#, r#"{"a":2}"#]),
        (json!({"decompression": "gzip", "interval": "1h"}), vec![r#"{"a":2}"#]),
    ] {
        let (rows, ended) = start("mine", create, &properties, &hosts).unwrap().all().await;
        assert_eq!((rows, ended), (expect.into_iter().map(str::to_owned).collect(), Ok(())), "{properties}");
    }
    assert!(start("mine", create, &json!({"decompression": "rar"}), &hosts).is_err());
    assert!(start("yours", create, &json!({"decompression": "gzip"}), &hosts).is_err());
}

#[tokio::test]
async fn a_message_ends_the_input() {
    let (sender, feed) = mpsc::channel(100);
    let source = piped("mqtt", &props(&json!({"eofMessage": "EOF"})), Box::new(Feed(feed))).unwrap();
    let running = start_source("CREATE STREAM s () WITH (DATASOURCE=\"x\")", source);
    for payload in [&br#"{"a":1}"#[..], b"EOF"] {
        sender.send(payload.to_vec()).await.unwrap();
    }
    assert_eq!(running.all().await, (vec![r#"{"a":1}"#.to_owned()], Ok(())));
}

#[tokio::test]
async fn intervals_end() {
    let (sender, feed) = mpsc::channel(100);
    let source = piped("mqtt", &props(&json!({"interval": "5ms"})), Box::new(Feed(feed))).unwrap();
    let mut running = start_source("CREATE STREAM s () WITH (DATASOURCE=\"x\")", source);
    for n in 0..3 {
        let row = format!(r#"{{"n":{n}}}"#);
        sender.send(row.clone().into_bytes()).await.unwrap();
        assert_eq!(running.row().await, row);
    }
    drop(sender);
    assert_eq!(running.all().await, (Vec::new(), Ok(())));
}

proptest! {
    #[test]
    fn any_bytes_are_unpacked_or_refused(payload in prop::collection::vec(any::<u8>(), 0..80)) {
        for step in [Unpack::Gzip, Unpack::Zlib, Unpack::Flate, Unpack::Zstd] {
            let mut out = Vec::new();
            let passed = Arc::new(step).pass(Message::payload(payload.clone()), &mut out);
            prop_assert_eq!(passed.is_ok(), out.len() == 1);
        }
    }
}

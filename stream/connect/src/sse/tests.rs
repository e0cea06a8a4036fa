//! The sink's events read by a real client and by the source.

use serde_json::json;

use crate::peer::Peer;
use crate::testing::{any_port, emission, request, start};
use crate::{Hosts, registry};

/// Says when it is connected, then writes the lines it gets.
const CLIENT: &str = r#"
import sys, urllib.request
answer = urllib.request.urlopen("http://" + sys.argv[1] + "/events")
print(answer.headers["content-type"])
for line in answer: print(line.decode().rstrip("\n"))
"#;

#[tokio::test]
async fn a_client_reads_events() {
    let hosts = Hosts { http: any_port(), ..Hosts::default() };
    let address = hosts.http.start().await.unwrap().to_string();
    let mut sink = registry::sink("sse", &request(&json!({"endpoint": "/events"})), &hosts).unwrap().sink;
    let Some(mut peer) = Peer::python("urllib.request", CLIENT, &[&address]) else { return };
    assert_eq!(peer.line().await, "text/event-stream");
    sink.send(&emission(r#"[{"a":1}]"#)).await.unwrap();
    assert_eq!([peer.line().await, peer.line().await], [r#"data: [{"a":1}]"#, ""]);
}

#[tokio::test]
async fn the_source_reads_what_the_sink_writes() {
    let hosts = Hosts { http: any_port(), ..Hosts::default() };
    let address = hosts.http.start().await.unwrap();
    let properties = json!({"endpoint": "/events", "sendSingle": true});
    let mut sink = registry::sink("sse", &request(&properties), &hosts).unwrap().sink;
    let create = "CREATE STREAM s () WITH (DATASOURCE=\"/events\")";
    let mut running = start("sse", create, &json!({"url": format!("http://{address}")}), &hosts).unwrap();
    running.connected().await;
    sink.send(&emission(r#"[{"a":1},{"a":2}]"#)).await.unwrap();
    assert_eq!([running.row().await, running.row().await], [r#"{"a":1}"#, r#"{"a":2}"#]);
    running.stop().await;
}

//! Bodies of a real client.

use serde_json::json;

use crate::Hosts;
use crate::peer::Peer;
use crate::testing::{any_port, start, until};

/// Sends requests one after another and writes the status of each answer.
const CLIENT: &str = r#"
import sys, urllib.request, urllib.error
for request in sys.argv[2:]:
    method, path, body = request.split(" ", 2)
    try:
        data = b"x" * int(body[1:]) if body.startswith("*") else body.encode()
        answer = urllib.request.urlopen(urllib.request.Request("http://" + sys.argv[1] + path, data=data, method=method))
        print(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        print(error.code)
    except OSError as error:
        print("reset")
"#;

#[tokio::test]
async fn bodies_become_rows() {
    let hosts = Hosts { http: any_port(), ..Hosts::default() };
    let address = hosts.http.start().await.unwrap().to_string();
    let create = "CREATE STREAM s () WITH (DATASOURCE=\"/in\")";
    let mut running = start("httppush", create, &json!({}), &hosts).unwrap();
    until(|| hosts.http.knows("/in")).await;
    let requests = [r#"POST /in {"a":1}"#, "PUT /in {}", "POST /out {}", "POST /in *5000000", r#"POST /in {"a":2}"#];
    let Some(mut peer) = Peer::python("urllib.request", CLIENT, &[&[address.as_str()], &requests[..]].concat()) else {
        return;
    };
    assert_eq!([peer.line().await, peer.line().await, peer.line().await], ["200 ok", "405", "404"]);
    // Too large: answered, or cut off while the client still writes.
    assert!(["413", "reset"].contains(&peer.line().await.as_str()));
    assert_eq!(peer.line().await, "200 ok");
    assert_eq!([running.row().await, running.row().await], [r#"{"a":1}"#, r#"{"a":2}"#]);
    running.stop().await;
    assert!(!hosts.http.knows("/in"));
}

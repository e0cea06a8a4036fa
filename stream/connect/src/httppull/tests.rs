//! Answers of a real web server.

use serde_json::{Value, json};

use crate::Hosts;
use crate::peer::{Peer, WEB};
use crate::testing::start;

const STREAM: &str = "CREATE STREAM s () WITH (DATASOURCE=\"\")";

#[tokio::test]
async fn answers_become_rows_and_states() {
    let Some(mut peer) = Peer::python("http.server", WEB, &[]) else { return };
    let url = format!("http://127.0.0.1:{}", peer.line().await);
    let properties = json!({"url": format!("{url}/{{{{.n}}}}/count"), "interval": "10ms", "states": {"n": 0}});
    let mut running = start("httppull", STREAM, &properties, &Hosts::default()).unwrap();
    assert_eq!([running.row().await, running.row().await], [r#"{"n":1}"#, r#"{"n":2}"#]);
    running.stop().await;
    for expect in ["/0/count", "/1/count"] {
        let got: Value = serde_json::from_str(&peer.line().await).unwrap();
        assert_eq!(got["path"], expect);
    }
}

#[tokio::test]
async fn an_unchanged_answer_is_left_out() {
    let Some(mut peer) = Peer::python("http.server", WEB, &[]) else { return };
    let url = format!("http://127.0.0.1:{}/same", peer.line().await);
    let properties = json!({"url": url, "interval": "5ms", "incremental": true});
    let mut running = start("httppull", STREAM, &properties, &Hosts::default()).unwrap();
    for _ in 0..4 {
        peer.line().await;
    }
    assert_eq!(running.row().await, r#"{"a":1}"#);
    assert!(running.is_quiet());
    running.stop().await;
}

#[tokio::test]
async fn failures_become_error_rows() {
    let properties = json!({"url": "http://127.0.0.1:1", "interval": "1h"});
    let mut running = start("httppull", STREAM, &properties, &Hosts::default()).unwrap();
    assert!(running.row().await.starts_with(r#"{"error":""#));
    running.stop().await;
}

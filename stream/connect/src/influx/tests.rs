//! Points in a real InfluxDB 1.6, and what is sent to one of version 2.

use serde_json::{Value, json};

use crate::http::HttpConfig;
use crate::peer::{Peer, WEB, free_port};
use crate::testing::{emission, props, request};
use crate::{Hosts, registry};

const ROWS: &str = r#"[{"id":"a b","t":1.5,"on":true,"s":"q\"\\","at":1000},{"id":"c","t":2,"m":{"x":1},"at":2000}]"#;

#[tokio::test]
async fn lines_are_escaped() {
    let Some(mut peer) = Peer::python("http.server", WEB, &[]) else { return };
    let url = format!("http://127.0.0.1:{}", peer.line().await);
    let properties = json!({
        "addr": url, "org": "o", "bucket": "b c", "token": "secret", "measurement": "m x", "precision": "s",
        "tags": {"where": "a,b", "id": "{{.id}}"}, "fields": ["t", "on", "s", "m"], "tsFieldName": "at",
    });
    registry::sink("influx2", &request(&properties), &Hosts::default())
        .unwrap()
        .sink
        .send(&emission(ROWS))
        .await
        .unwrap();
    let got: Value = serde_json::from_str(&peer.line().await).unwrap();
    assert_eq!(got["path"], "/api/v2/write?org=o&bucket=b+c&precision=s");
    assert_eq!(got["auth"], "Token secret");
    let expect = "m\\ x,id=a\\ b,where=a\\,b on=true,s=\"q\\\"\\\\\",t=1.5 1000\n\
                  m\\ x,id=c,where=a\\,b m=\"{\\\"x\\\":1}\",t=2 2000\n";
    assert_eq!(got["body"], expect);
}

#[tokio::test]
async fn points_arrive() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let conf = folder.path().join("influx.conf");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let text = format!(
        "reporting-disabled = true\nbind-address = \"127.0.0.1:{}\"\n[meta]\ndir = {:?}\n[data]\ndir = {:?}\nwal-dir = \
         {:?}\n[http]\nbind-address = \"127.0.0.1:{port}\"\n",
        free_port(),
        place("meta"),
        place("data"),
        place("wal")
    );
    std::fs::write(&conf, text).unwrap();
    let Some(_peer) = Peer::start("/usr/bin/influxd", &["-config", conf.to_str().unwrap()]) else { return };
    let url = format!("http://127.0.0.1:{port}");
    let ask = |sql: &str| format!("{url}/query?db=lab&q={}", crate::http::escape(sql));
    answer(&ask("CREATE DATABASE lab")).await;
    let properties = json!({"addr": url, "database": "lab", "measurement": "m", "tags": {"id": "{{.id}}"},
        "fields": ["t", "s"], "tsFieldName": "at"});
    let mut sink = registry::sink("influx", &request(&properties), &Hosts::default()).unwrap().sink;
    sink.send(&emission(ROWS)).await.unwrap();
    let got: Value = serde_json::from_slice(&answer(&ask("SELECT id, t, s FROM m")).await).unwrap();
    let expect = json!([["1970-01-01T00:00:01Z", "a b", 1.5, "q\"\\"], ["1970-01-01T00:00:02Z", "c", 2, null]]);
    assert_eq!(got["results"][0]["series"][0]["values"], expect, "{got}");
}

/// Asks until the server is up.
async fn answer(url: &str) -> bytes::Bytes {
    let mut asking = HttpConfig::post(&props(&json!({})), ("url", url), None).unwrap();
    for _ in 0..400 {
        if let Ok(reply) = asking.request(b"", &edgeward_engine::Value::Nil).await {
            return reply.body;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no answer from {url}");
}

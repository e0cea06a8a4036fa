//! Messages through a real server.

use edgeward_engine::SinkError;
use serde_json::{Value, json};

use super::client::Client;
use super::config::{Server, check_subject};
use crate::peer::{Peer, certificate, free_port};
use crate::testing::{emission, props, request, start, until_some};
use crate::{Hosts, registry};

const STREAM: &str = "CREATE STREAM s () WITH (DATASOURCE=\"lab.>\")";

#[test]
fn checks_subjects() {
    for (subject, wildcards, good) in [
        ("a", false, true),
        ("a.b-c.ä", false, true),
        ("a.*.b", true, true),
        ("a.>", true, true),
        (">", true, true),
        ("a.>.b", true, false),
        ("a.*", false, false),
        ("", true, false),
        ("a..b", true, false),
        ("a b", true, false),
        ("a\r\nPUB x 0", false, false),
    ] {
        assert_eq!(check_subject(subject, wildcards).is_ok(), good, "{subject}");
    }
}

/// A server with these arguments, and the properties that reach it.
async fn server(arguments: &[&str], mut properties: Value) -> Option<(Peer, Value)> {
    let port = free_port();
    // Debian keeps servers where not everybody looks.
    let program =
        ["/usr/sbin/nats-server", "/usr/bin/nats-server"].into_iter().find(|path| std::path::Path::new(path).exists());
    let port_text = port.to_string();
    let all = [&["-a", "127.0.0.1", "-p", &port_text][..], arguments].concat();
    let peer = Peer::start(program.unwrap_or("nats-server"), &all)?;
    properties["server"] = json!(format!("nats://127.0.0.1:{port}"));
    let server = Server::read(&props(&properties)).unwrap();
    until_some(async || Client::connect(&server).await.ok()).await;
    Some((peer, properties))
}

async fn through(properties: &Value) {
    let mut running = start("nats", STREAM, properties, &Hosts::default()).unwrap();
    running.connected().await;
    let mut to = properties.clone();
    to["subject"] = json!("{{.to}}");
    to["sendSingle"] = json!(true);
    let mut sink = registry::sink("nats", &request(&to), &Hosts::default()).unwrap().sink;
    sink.send(&emission(r#"[{"to":"lab.a"},{"to":"other"},{"to":"lab.b.c"}]"#)).await.unwrap();
    assert_eq!([running.row().await, running.row().await], [r#"{"to":"lab.a"}"#, r#"{"to":"lab.b.c"}"#]);
    let refused = sink.send(&emission(r#"[{"to":"lab.a\r\nPUB"}]"#)).await;
    assert!(matches!(refused, Err(SinkError::Rejected(_))), "{refused:?}");
    let large = sink.send(&emission(&format!(r#"[{{"to":"lab.a","x":"{}"}}]"#, "x".repeat(2 << 20)))).await;
    assert!(matches!(&large, Err(SinkError::Rejected(text)) if text.contains("larger than")), "{large:?}");
    sink.send(&emission(r#"[{"to":"lab.d"}]"#)).await.unwrap();
    assert_eq!(running.row().await, r#"{"to":"lab.d"}"#);
    running.stop().await;
}

#[tokio::test]
async fn messages_pass() {
    let Some((_peer, properties)) = server(&[], json!({})).await else { return };
    through(&properties).await;
}

#[tokio::test]
async fn messages_pass_with_a_password() {
    let login = json!({"username": "u", "password": "p'\" w"});
    let Some((_peer, properties)) = server(&["--user", "u", "--pass", "p'\" w"], login).await else { return };
    through(&properties).await;
    let mut wrong = properties.clone();
    wrong["password"] = json!("x");
    wrong["subject"] = json!("a");
    let mut sink = registry::sink("nats", &request(&wrong), &Hosts::default()).unwrap().sink;
    let refused = sink.send(&emission(r#"[{"a":1}]"#)).await;
    assert!(
        matches!(&refused, Err(SinkError::Recoverable(text)) if text.contains("Authorization Violation")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn messages_pass_with_tls() {
    let folder = tempfile::tempdir().unwrap();
    let Some((certificate, key)) = certificate(folder.path()) else { return };
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let root = json!({"rootCaPath": certificate, "token": "secret"});
    let arguments = ["--tls", "--tlscert", certificate, "--tlskey", key, "--auth", "secret"];
    let Some((_peer, properties)) = server(&arguments, root).await else { return };
    through(&properties).await;
}

#[tokio::test]
async fn a_lost_server_is_found_again() {
    let Some((peer, properties)) = server(&[], json!({})).await else { return };
    let mut running = start("nats", STREAM, &properties, &Hosts::default()).unwrap();
    running.connected().await;
    let mut to = properties.clone();
    to["subject"] = json!("lab.x");
    let mut sink = registry::sink("nats", &request(&to), &Hosts::default()).unwrap().sink;
    sink.send(&emission(r#"[{"n":1}]"#)).await.unwrap();
    assert_eq!(running.row().await, r#"{"n":1}"#);
    drop(peer);
    until_some(async || sink.send(&emission(r#"[{"n":2}]"#)).await.err()).await;
    let port = properties["server"].as_str().unwrap().rsplit_once(':').unwrap().1;
    let _peer = Peer::start("/usr/sbin/nats-server", &["-a", "127.0.0.1", "-p", port]).unwrap();
    // Messages are lost until the source listens again.
    let row = until_some(async || {
        let _ = sink.send(&emission(r#"[{"n":3}]"#)).await;
        running.row_soon()
    });
    assert_eq!(row.await, r#"{"n":3}"#);
    running.stop().await;
}

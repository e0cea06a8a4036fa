//! The client against a real mosquitto broker.

// A failed unwrap is a failed test; a test that is left out says so.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use edgeward_mqtt_client::{Client, Handle, Messages, Options, QoS, Reason, Server, Status, Text};
use edgeward_service::Tasks;

struct Mosquitto {
    process: Child,
    port: u16,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts mosquitto on `port`, or on a free one; none if it is not installed.
fn mosquitto(folder: &Path, port: Option<u16>) -> Option<Mosquitto> {
    let port = port.unwrap_or_else(|| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let store = folder.display();
    let settings = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {store}/\nuser root\n"
    );
    let file = folder.join("mosquitto.conf");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new("mosquitto");
    let process = command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match process {
        Ok(process) => Some(Mosquitto { process, port }),
        Err(_) => {
            eprintln!("SKIPPED: mosquitto is not installed; the client is not tested against it");
            None
        }
    }
}

fn client(port: u16, id: &str, tasks: &Tasks) -> (Handle, Messages) {
    let options = Options {
        client_id: Text::try_from(id).unwrap(),
        clean_session: false,
        backoff: (Duration::from_millis(20), Duration::from_millis(200)),
        ..Options::new(Server::parse(&format!("tcp://127.0.0.1:{port}")).unwrap())
    };
    Client::start(options, tasks).unwrap()
}

async fn until(handle: &Handle, expect: impl Fn(&Status) -> bool) {
    let mut status = handle.status();
    let changed = status.wait_for(|status| expect(status));
    tokio::time::timeout(Duration::from_secs(20), changed).await.unwrap().unwrap();
}

async fn next(messages: &mut Messages) -> edgeward_mqtt_client::Incoming {
    tokio::time::timeout(Duration::from_secs(20), messages.recv()).await.unwrap().unwrap()
}

async fn publish(handle: &Handle, payload: &'static str, qos: QoS) {
    let published = handle.publish(Text::from_static("t/x"), Bytes::from_static(payload.as_bytes()), qos, false).await;
    tokio::time::timeout(Duration::from_secs(20), published.unwrap()).await.unwrap().unwrap();
}

#[tokio::test]
async fn publishes_and_receives_with_every_quality_of_service() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = mosquitto(folder.path(), None) else { return };
    let tasks = Tasks::root("test");
    let (handle, mut messages) = client(server.port, "c", &tasks);
    let all = vec![("t/+".try_into().unwrap(), QoS::ExactlyOnce)];
    assert_eq!(handle.subscribe(all).await, Ok(vec![Reason(2)]));
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for payload in ["1", "2", "3"] {
            publish(&handle, payload, qos).await;
            let got = next(&mut messages).await;
            assert_eq!((got.topic.as_str(), &got.payload[..], got.qos), ("t/x", payload.as_bytes(), qos));
            got.confirm();
        }
    }
    let refused = handle.publish(Text::from_static("t/+"), Bytes::new(), QoS::AtMostOnce, false).await;
    assert!(refused.is_err());
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
    assert!(messages.recv().await.is_none());
    assert!(handle.publish(Text::from_static("t"), Bytes::new(), QoS::AtMostOnce, false).await.is_err());
}

#[tokio::test]
async fn carries_on_after_the_server_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = mosquitto(folder.path(), None) else { return };
    let port = server.port;
    let tasks = Tasks::root("test");
    let (handle, mut messages) = client(port, "c", &tasks);
    handle.subscribe(vec![("t/#".try_into().unwrap(), QoS::AtLeastOnce)]).await.unwrap();
    publish(&handle, "before", QoS::AtLeastOnce).await;
    next(&mut messages).await.confirm();
    drop(server);
    until(&handle, |status| matches!(status, Status::Disconnected(_))).await;
    let waiting = handle.publish(Text::from_static("t/x"), Bytes::from_static(b"while away"), QoS::AtLeastOnce, false);
    let waiting = waiting.await.unwrap();
    // A fresh folder: the server has forgotten the session, so the client must subscribe again.
    let fresh = tempfile::tempdir().unwrap();
    let _server = mosquitto(fresh.path(), Some(port)).unwrap();
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
    publish(&handle, "after", QoS::AtLeastOnce).await;
    for expect in ["while away", "after"] {
        let message = next(&mut messages).await;
        assert_eq!(message.payload, expect);
        message.confirm();
    }
}

#[tokio::test]
async fn an_unconfirmed_message_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = mosquitto(folder.path(), None) else { return };
    let tasks = Tasks::root("test");
    let (handle, mut messages) = client(server.port, "c", &tasks);
    for (payload, qos) in [("one", QoS::AtLeastOnce), ("two", QoS::ExactlyOnce)] {
        handle.subscribe(vec![("t/#".try_into().unwrap(), qos)]).await.unwrap();
        publish(&handle, payload, qos).await;
        drop(next(&mut messages).await);
        let again = next(&mut messages).await;
        assert_eq!((&again.payload[..], again.dup), (payload.as_bytes(), true));
        again.confirm();
    }
}

#[tokio::test]
async fn says_why_it_is_not_connected() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tasks = Tasks::root("test");
    let (handle, _messages) = client(port, "c", &tasks);
    until(&handle, |status| matches!(status, Status::Disconnected(reason) if reason.contains("refused"))).await;
}

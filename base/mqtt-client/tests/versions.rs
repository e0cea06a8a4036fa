//! The client against a real mosquitto broker in each version of the protocol: what differs, and what must not.

// A failed unwrap is a failed test; a test that is left out says so.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use edgeward_mqtt_client::{
    Client, ClientError, Filter, Handle, Incoming, Messages, Options, Properties, Property, Publish, QoS, Reason,
    RetainHandling, Server, Status, Subscription, Text, Version,
};
use edgeward_service::Tasks;

const ALL: [Version; 3] = [Version::V31, Version::V311, Version::V5];
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Starts mosquitto on a free port with more settings; none if it is not installed.
fn mosquitto(folder: &Path, settings: &str) -> Option<Mosquitto> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = folder.join("mosquitto.conf");
    std::fs::write(&file, format!("listener {port} 127.0.0.1\nuser root\n{settings}\n")).unwrap();
    let mut command = Command::new("mosquitto");
    match command.arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(process) => Some(Mosquitto { process, port }),
        Err(_) => {
            eprintln!("SKIPPED: mosquitto is not installed; the versions of the protocol are not tested against it");
            None
        }
    }
}

fn options(port: u16, version: Version) -> Options {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let backoff = (Duration::from_millis(20), Duration::from_millis(200));
    // Before 3.1.1 a server chooses no identifier.
    let client_id = match version {
        Version::V31 => Text::try_from(format!("c{}", NEXT.fetch_add(1, Ordering::Relaxed))).unwrap(),
        _ => Text::default(),
    };
    Options { version, client_id, backoff, ..Options::new(Server::parse(&format!("tcp://127.0.0.1:{port}")).unwrap()) }
}

fn client(port: u16, version: Version, tasks: &Tasks) -> (Handle, Messages) {
    Client::start(options(port, version), tasks).unwrap()
}

fn filters(filter: &str, options: impl Into<Subscription>) -> Vec<(Filter, Subscription)> {
    vec![(filter.try_into().unwrap(), options.into())]
}

async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

async fn next(messages: &mut Messages) -> Incoming {
    patiently(messages.recv()).await.unwrap()
}

/// Payload of the next message, which is confirmed.
async fn payload(messages: &mut Messages) -> Bytes {
    let message = next(messages).await;
    let payload = message.payload.clone();
    message.confirm();
    payload
}

async fn publish(handle: &Handle, topic: &str, payload: &'static str, qos: QoS, retain: bool) {
    let (topic, payload) = (topic.try_into().unwrap(), Bytes::from_static(payload.as_bytes()));
    patiently(handle.publish(topic, payload, qos, retain).await.unwrap()).await.unwrap();
}

/// Why a server that is there does not let the client in; it may still be starting.
async fn why_disconnected(handle: &Handle) -> String {
    let told = |status: &Status| match status {
        Status::Disconnected(why) if !why.contains("cannot connect") => Some(why.clone()),
        _ => None,
    };
    let mut status = handle.status();
    let seen = patiently(status.wait_for(|status| told(status).is_some())).await.unwrap();
    told(&seen).unwrap()
}

#[tokio::test]
async fn every_quality_of_service_and_retained_messages_in_every_version() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = mosquitto(folder.path(), "allow_anonymous true") else { return };
    for version in ALL {
        let tasks = Tasks::root("test");
        let (handle, mut messages) = client(server.port, version, &tasks);
        let reasons = patiently(handle.subscribe(filters("t/+", QoS::ExactlyOnce))).await;
        assert_eq!(reasons, Ok(vec![Reason(2)]), "{version:?}");
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            publish(&handle, "t/x", "1", qos, false).await;
            let got = next(&mut messages).await;
            assert_eq!((got.topic.as_str(), &got.payload[..], got.qos), ("t/x", &b"1"[..], qos), "{version:?}");
            got.confirm();
        }
        publish(&handle, "kept", "k", QoS::AtLeastOnce, true).await;
        patiently(handle.subscribe(filters("kept", QoS::AtLeastOnce))).await.unwrap();
        let kept = next(&mut messages).await;
        assert!(kept.retain && kept.payload == "k", "{version:?}");
        kept.confirm();
        publish(&handle, "kept", "", QoS::AtLeastOnce, true).await;
        assert_eq!(payload(&mut messages).await, "", "{version:?}");
        handle.unsubscribe("t/+".try_into().unwrap());
        for (topic, payload) in [("t/x", "unheard"), ("kept", "last")] {
            publish(&handle, topic, payload, QoS::AtLeastOnce, false).await;
        }
        assert_eq!(payload(&mut messages).await, "last", "{version:?}");
        assert!(tasks.shutdown(PATIENCE).await);
    }
}

#[tokio::test]
async fn says_why_the_server_refuses_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    let made = Command::new("mosquitto_passwd").arg("-b").arg("-c").arg(&passwords).args(["user", "right"]).output();
    if made.is_err() {
        eprintln!("SKIPPED: mosquitto_passwd is not installed; passwords are not tested");
        return;
    }
    std::fs::set_permissions(&passwords, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let settings = format!("allow_anonymous false\npassword_file {}", passwords.display());
    let Some(server) = mosquitto(folder.path(), &settings) else { return };
    for version in ALL {
        let tasks = Tasks::root("test");
        let login = |password: &'static str| Options {
            username: Some(Text::from_static("user")),
            password: Some(Bytes::from_static(password.as_bytes())),
            ..options(server.port, version)
        };
        let (handle, _messages) = Client::start(login("wrong"), &tasks).unwrap();
        assert_eq!(why_disconnected(&handle).await, "the server refuses the client: not authorized", "{version:?}");
        let (handle, mut messages) = Client::start(login("right"), &tasks).unwrap();
        patiently(handle.subscribe(filters("t", QoS::AtMostOnce))).await.unwrap();
        publish(&handle, "t", "in", QoS::AtLeastOnce, false).await;
        assert_eq!(payload(&mut messages).await, "in");
    }
}

#[tokio::test]
async fn messages_carry_their_properties() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = mosquitto(folder.path(), "allow_anonymous true") else { return };
    let tasks = Tasks::root("test");
    let (handle, mut messages) = client(server.port, Version::V5, &tasks);
    let (old, mut seen_by_old) = client(server.port, Version::V311, &tasks);
    for handle in [&handle, &old] {
        patiently(handle.subscribe(filters("t", QoS::AtLeastOnce))).await.unwrap();
    }
    let text = |text: &'static str| Text::from_static(text);
    let properties: Properties = [
        Property::ContentType(text("application/json")),
        Property::ResponseTopic(text("answers")),
        Property::CorrelationData(Bytes::from_static(b"\x00\x01")),
        Property::User(text("k"), text("1")),
        Property::User(text("k"), text("2")),
    ]
    .into_iter()
    .collect();
    let message = Publish {
        topic: text("t"),
        qos: QoS::AtLeastOnce,
        payload: Bytes::from_static(b"{}"),
        properties: properties.clone(),
        ..Publish::default()
    };
    patiently(handle.send(message.clone()).await.unwrap()).await.unwrap();
    let got = next(&mut messages).await;
    let sorted = |properties: &Properties| {
        let mut all: Vec<String> = properties.iter().map(|property| format!("{property:?}")).collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&got.properties), sorted(&properties));
    got.confirm();
    let got = next(&mut seen_by_old).await;
    assert!(got.properties.is_empty() && got.payload == "{}");
    got.confirm();
    let stray = Publish { properties: [Property::ServerKeepAlive(1)].into_iter().collect(), ..message };
    assert!(matches!(handle.send(stray).await, Err(ClientError::BadMessage(_))));
}

#[tokio::test]
async fn subscriptions_have_options_and_can_be_shared() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = mosquitto(folder.path(), "allow_anonymous true") else { return };
    let tasks = Tasks::root("test");
    let (one, mut to_one) = client(server.port, Version::V5, &tasks);
    let (two, mut to_two) = client(server.port, Version::V5, &tasks);
    publish(&one, "kept", "old", QoS::AtLeastOnce, true).await;
    let quiet = Subscription {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_handling: RetainHandling::Never,
        ..Subscription::default()
    };
    patiently(one.subscribe(filters("kept", quiet))).await.unwrap();
    publish(&one, "kept", "own", QoS::AtLeastOnce, false).await;
    publish(&two, "kept", "foreign", QoS::AtLeastOnce, false).await;
    assert_eq!(payload(&mut to_one).await, "foreign");
    for handle in [&one, &two] {
        patiently(handle.subscribe(filters("$share/g/jobs/#", QoS::AtLeastOnce))).await.unwrap();
    }
    let jobs = ["1", "2", "3", "4"];
    for job in jobs {
        publish(&one, "jobs/x", job, QoS::AtLeastOnce, false).await;
    }
    let mut done = Vec::new();
    while done.len() < jobs.len() {
        done.push(tokio::select! {
            job = payload(&mut to_one) => job,
            job = payload(&mut to_two) => job,
        });
    }
    done.sort();
    assert_eq!(done, jobs, "each job is done once");
}

#[tokio::test]
async fn a_server_may_take_less() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "allow_anonymous true\nmax_packet_size 200\nretain_available false\nmax_inflight_messages 1";
    let Some(server) = mosquitto(folder.path(), settings) else { return };
    let tasks = Tasks::root("test");
    let (handle, mut messages) = client(server.port, Version::V5, &tasks);
    patiently(handle.subscribe(filters("t", QoS::AtLeastOnce))).await.unwrap();
    let large = Bytes::from(vec![b'x'; 300]);
    let refused = handle.publish(Text::from_static("t"), large, QoS::AtLeastOnce, false).await.unwrap();
    assert!(matches!(patiently(refused).await, Err(ClientError::Refused(why)) if why.contains("takes 200")));
    // A server that retains nothing ends the connection of whoever asks for it.
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let retained = handle.publish(Text::from_static("t"), Bytes::from_static(b"y"), QoS::AtLeastOnce, true).await;
        waiting.push(retained.unwrap());
    }
    for published in waiting {
        patiently(published).await.unwrap();
        assert_eq!(payload(&mut messages).await, "y");
    }
}

#[tokio::test]
async fn a_session_outlives_the_connection_in_every_version() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = mosquitto(folder.path(), "allow_anonymous true") else { return };
    for (version, id) in ALL.into_iter().zip(["v31", "v311", "v5"]) {
        let kept = Options {
            client_id: Text::from_static(id),
            clean_session: false,
            session_expiry: Some(Duration::from_secs(600)),
            ..options(server.port, version)
        };
        let before = Tasks::root("before");
        let (handle, messages) = Client::start(kept.clone(), &before).unwrap();
        patiently(handle.subscribe(filters("t", QoS::AtLeastOnce))).await.unwrap();
        assert!(before.shutdown(PATIENCE).await);
        drop((handle, messages));
        let tasks = Tasks::root("after");
        let (other, _messages) = client(server.port, version, &tasks);
        publish(&other, "t", "while away", QoS::AtLeastOnce, false).await;
        let (_handle, mut messages) = Client::start(kept, &tasks).unwrap();
        assert_eq!(payload(&mut messages).await, "while away", "{version:?}");
    }
}

#[tokio::test]
async fn tls_with_every_version() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .output();
    if made.is_err() {
        eprintln!("SKIPPED: openssl is not installed; TLS is not tested");
        return;
    }
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    for file in [folder.path(), &cert, &key] {
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let settings = format!("allow_anonymous true\ncertfile {}\nkeyfile {}", cert.display(), key.display());
    let Some(server) = mosquitto(folder.path(), &settings) else { return };
    let tls = Arc::new(trusting(&cert));
    for version in ALL {
        let tasks = Tasks::root("test");
        let server = Server::parse(&format!("ssl://localhost:{}", server.port)).unwrap();
        let secure = Options { server, tls: Some(tls.clone()), ..options(1, version) };
        let (handle, mut messages) = Client::start(secure, &tasks).unwrap();
        patiently(handle.subscribe(filters("t", QoS::AtLeastOnce))).await.unwrap();
        publish(&handle, "t", "secret", QoS::ExactlyOnce, false).await;
        assert_eq!(payload(&mut messages).await, "secret", "{version:?}");
    }
}

/// TLS settings that trust one certificate.
fn trusting(cert: &Path) -> tokio_rustls::rustls::ClientConfig {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(cert).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let versions = tokio_rustls::rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    versions.with_root_certificates(roots).with_no_client_auth()
}

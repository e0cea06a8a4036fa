//! A real cloud in one process: SQLite store, API server, hub on loopback ports; and nodes that speak real TLS and
//! WebSocket to it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use edgeward_hub::{DeviceUplink, Handle, HandlerError, Handlers, Options, Service, TelemetrySink};
use edgeward_pki::tls::{Versions, client_config};
use edgeward_pki::{Authority, Identity, JoinToken, NodeRequest};
use edgeward_server::{ApiServer, Identity as ApiIdentity};
use edgeward_service::Tasks;
use edgeward_store::SqliteStore;
use edgeward_wire::{Envelope, Frame, LINK_HEADER, Limits, Telemetry, content, operation};
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// Nothing here takes this long; a test that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Cloud {
    pub handle: Handle,
    pub client: Client,
    pub authority: Arc<Authority>,
    pub reports: Arc<Reports>,
    pub tasks: Tasks,
    hub_tasks: Tasks,
    folder: tempfile::TempDir,
}

/// Keeps what devices and outboxes report.
pub struct Reports {
    pub devices: Mutex<Vec<String>>,
    pub readings: Mutex<Vec<(u64, String)>>,
    /// Reports of the device `slow` wait for a permit.
    pub gate: Semaphore,
}

impl DeviceUplink for Reports {
    fn twin_update<'a>(
        &'a self,
        node: &'a str,
        namespace: &'a str,
        device: &'a str,
        content: &'a str,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        async move {
            if device == "slow" {
                self.gate.acquire().await?.forget();
            }
            if content.contains("refuse") {
                return Err("refused on purpose".into());
            }
            self.devices.lock().push(format!("{node} {namespace}/{device} twin {content}"));
            Ok(())
        }
        .boxed()
    }

    fn state_update<'a>(
        &'a self,
        node: &'a str,
        namespace: &'a str,
        device: &'a str,
        content: &'a str,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        async move {
            self.devices.lock().push(format!("{node} {namespace}/{device} state {content}"));
            Ok(())
        }
        .boxed()
    }
}

impl TelemetrySink for Reports {
    fn store<'a>(&'a self, _: &'a str, batch: Telemetry) -> BoxFuture<'a, Result<u64, HandlerError>> {
        async move {
            let mut readings = self.readings.lock();
            readings.extend(batch.records().map(|(seq, record)| (seq, record.id.to_owned())));
            Ok(batch.last_seq())
        }
        .boxed()
    }
}

impl Cloud {
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub async fn start_with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tasks = Tasks::root("test");
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let api = ApiServer::start(edgeward_server::Options::default(), store, &tasks).await.unwrap();
        let client = Client::new(api.local_service(ApiIdentity::admin()), "default");
        install_crds(&client).await;
        let authority = Arc::new(Authority::open(folder.path()).unwrap());
        Self::run(client, authority, folder, tasks, options).await
    }

    /// Starts a hub over an API and a CA that are there.
    async fn run(
        client: Client,
        authority: Arc<Authority>,
        folder: tempfile::TempDir,
        tasks: Tasks,
        options: Options,
    ) -> Self {
        let reports =
            Arc::new(Reports { devices: Mutex::default(), readings: Mutex::default(), gate: Semaphore::new(0) });
        let handlers = Handlers { devices: reports.clone(), telemetry: reports.clone() };
        let loopback = (Ipv4Addr::LOCALHOST, 0).into();
        let options = Options { enroll_listen: loopback, link_listen: loopback, ..options };
        let hub_tasks = tasks.child("cloud");
        let handle = Service::start(options, &hub_tasks, client.clone(), authority.clone(), handlers).await.unwrap();
        Self { handle, client, authority, reports, tasks, hub_tasks, folder }
    }

    /// The same cloud with its hub stopped and another one started.
    pub async fn again(self) -> Self {
        assert!(self.hub_tasks.shutdown(PATIENCE).await);
        let authority = Arc::new(Authority::open(self.folder.path()).unwrap());
        Self::run(self.client, authority, self.folder, self.tasks, Options::default()).await
    }

    pub fn token(&self) -> JoinToken {
        JoinToken::parse(&self.authority.create_token(Duration::from_secs(3600))).unwrap()
    }

    /// One request to the enrolment port.
    pub async fn ask(
        &self,
        identity: Option<&Identity>,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (StatusCode, Vec<u8>) {
        let stream = self.connect(identity, self.handle.enroll_address().port()).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.tasks.spawn_until_cancelled("client", async move { drop(connection.await) });
        let mut request = http::Request::get(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(bytes::Bytes::copy_from_slice(body))).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        (answer.status(), answer.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    /// Asks for a certificate with a join token.
    pub async fn certify(&self, node: &str, request: &NodeRequest) -> (StatusCode, Vec<u8>) {
        let bearer = format!("Bearer {}", self.token().bearer());
        self.ask(None, "/edge.crt", &[("NodeName", node), ("Authorization", &bearer)], request.der()).await
    }

    /// A node that has joined.
    pub async fn join(&self, node: &str) -> Identity {
        let request = NodeRequest::new(node).unwrap();
        let (status, certificate) = self.certify(node, &request).await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&certificate));
        request.complete(certificate).unwrap()
    }

    pub async fn connect(&self, identity: Option<&Identity>, port: u16) -> std::io::Result<TlsStream<TcpStream>> {
        let config = client_config(self.authority.certificate(), identity, Versions::Own).unwrap();
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), stream).await
    }

    /// Opens a session with these headers, or gives status and text of the refusal.
    pub async fn open(&self, identity: &Identity, headers: &[(&str, &str)]) -> Result<Node, (StatusCode, String)> {
        let stream = self.connect(Some(identity), self.handle.link_address().port()).await.unwrap();
        let mut request = "wss://localhost/project/node/events".into_client_request().unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, answer)) => {
                Ok(Node { socket, own: answer.headers().contains_key(LINK_HEADER), waiting: VecDeque::new() })
            }
            Err(WsError::Http(answer)) => {
                let text = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
                Err((answer.status(), text))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A KubeEdge edge.
    pub async fn edge(&self, node: &str, identity: &Identity) -> Node {
        let headers = [("Node_id", node), ("Project_id", "p"), ("Connectionuse", "msg"), ("Connectionuse", "msg")];
        let node = self.open(identity, &headers).await.unwrap();
        assert!(!node.own);
        node
    }

    /// Our own agent.
    pub async fn agent(&self, node: &str, identity: &Identity) -> Node {
        let headers = [("node_id", node), ("ConnectionUse", "msg"), (LINK_HEADER, "1")];
        let node = self.open(identity, &headers).await.unwrap();
        assert!(node.own);
        node
    }

    pub fn api(&self, api_version: &str, kind: &str, plural: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    pub fn api_of(&self, object: &Value) -> Api<DynamicObject> {
        let kind = object["kind"].as_str().unwrap();
        let plural = format!("{}s", kind.to_lowercase());
        self.api(object["apiVersion"].as_str().unwrap(), kind, &plural, object["metadata"]["namespace"].as_str())
    }

    pub async fn create(&self, object: Value) -> DynamicObject {
        let typed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        self.api_of(&object).create(&Default::default(), &typed).await.unwrap()
    }

    pub async fn merge(&self, object: &Value, patch: Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.api_of(object).patch(name, &Default::default(), &kube::api::Patch::Merge(patch)).await.unwrap();
    }

    pub async fn delete(&self, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.api_of(object).delete(name, &kube::api::DeleteParams::default().grace_period(0)).await.unwrap();
    }

    pub async fn stop(self) {
        assert!(self.tasks.shutdown(PATIENCE).await, "everything ends when it is told to");
    }
}

/// KubeEdge's own kinds, as far as the server does not bring them along.
async fn install_crds(client: &Client) {
    let kinds = [
        ("devices.kubeedge.io", "v1beta1", "Device", true),
        ("devices.kubeedge.io", "v1beta1", "DeviceModel", true),
        ("reliablesyncs.kubeedge.io", "v1alpha1", "ObjectSync", true),
        ("reliablesyncs.kubeedge.io", "v1alpha1", "ClusterObjectSync", false),
    ];
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let crds: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&gvk));
    for (group, version, kind, namespaced) in kinds {
        let singular = kind.to_lowercase();
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let subresources = if group.starts_with("reliable") { json!({"status": {}}) } else { json!({}) };
        let crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{singular}s.{group}")},
            "spec": {
                "group": group, "scope": if namespaced { "Namespaced" } else { "Cluster" },
                "names": {"kind": kind, "plural": format!("{singular}s"), "singular": singular, "listKind": format!("{kind}List")},
                "versions": [{"name": version, "served": true, "storage": true, "schema": schema, "subresources": subresources}],
            },
        });
        match crds.create(&Default::default(), &serde_json::from_value(crd).unwrap()).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            created => drop(created.unwrap()),
        }
    }
}

/// A node's end of a session.
pub struct Node {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    pub own: bool,
    waiting: VecDeque<Envelope>,
}

impl Node {
    pub async fn send(&mut self, envelope: &Envelope) {
        self.socket.send(Message::text(envelope.encode())).await.unwrap();
    }

    pub async fn send_frame(&mut self, frame: &Frame) {
        self.socket.send(Message::Binary(frame.encode().unwrap())).await.unwrap();
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The next message as it came.
    pub async fn raw(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("the hub said nothing");
        next.and_then(Result::ok)
    }

    /// The next envelope; `None` when the session ended.
    pub async fn next(&mut self) -> Option<Envelope> {
        loop {
            if let Some(envelope) = self.waiting.pop_front() {
                return Some(envelope);
            }
            match self.raw().await? {
                Message::Text(text) => return Some(Envelope::decode(&text).unwrap()),
                Message::Binary(bytes) => match Frame::decode(&bytes, &Limits::default()).unwrap() {
                    Frame::Batch(envelopes) => self.waiting.extend(envelopes),
                    other => panic!("{other:?}"),
                },
                _ => {}
            }
        }
    }

    /// The next delivery, acknowledged: operation and resource.
    pub async fn delivery(&mut self) -> String {
        let envelope = self.next().await.unwrap();
        if edgeward_wire::needs_ack(&envelope) {
            self.send(&envelope.ack(1)).await;
        }
        format!("{} {}", envelope.route.operation, envelope.route.resource)
    }

    /// Deliveries until one of these was seen; sorted.
    pub async fn deliveries(&mut self, count: usize) -> Vec<String> {
        let mut seen = Vec::new();
        for _ in 0..count {
            seen.push(self.delivery().await);
        }
        seen.sort();
        seen
    }

    /// Sends a request and gives its answer; deliveries that come between are acknowledged.
    pub async fn request(&mut self, operation: &str, resource: &str, body: Value) -> Envelope {
        let source = if resource.starts_with("device/") { "twin" } else { "edged" };
        let message = Envelope::new(1, source, "meta", operation, resource.into(), content(&body).unwrap());
        self.ask(&message).await
    }

    pub async fn ask(&mut self, message: &Envelope) -> Envelope {
        self.send(message).await;
        loop {
            let envelope = self.next().await.expect("the session ended before the answer came");
            if envelope.header.parent_id == message.header.id {
                return envelope;
            }
            if edgeward_wire::needs_ack(&envelope) {
                self.send(&envelope.ack(1)).await;
            }
        }
    }
}

/// An answer in one line: operation and what its content amounts to.
pub fn outcome(answer: &Envelope) -> String {
    let body: Value = answer.read().unwrap();
    let status = |value: &Value| value["ErrStatus"]["code"].to_string();
    let what = match &body {
        Value::String(text) => text.clone(),
        Value::Object(map) if map.contains_key("Err") && map["Err"].is_null() => "object".into(),
        Value::Object(map) if map.contains_key("Err") => format!("err {}", status(&map["Err"])),
        Value::Object(map) if map.contains_key("ErrStatus") => format!("failure {}", status(&body)),
        Value::Object(_) => "plain".into(),
        other => other.to_string(),
    };
    let operation = if answer.route.operation == operation::RESPONSE { "" } else { "error: " };
    format!("{operation}{what}")
}

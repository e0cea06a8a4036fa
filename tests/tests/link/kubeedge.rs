//! A hub that knows nothing of us: plain KubeEdge habits, and the order of commit and acknowledgement.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use edgeward_agent::link::LinkState;
use edgeward_pki::tls::{ClientAuth, Versions, server_config};
use edgeward_pki::{Authority, NodeRequest};
use edgeward_wire::{Envelope, content, group, operation, source};
use futures::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::lab::{Node, PATIENCE, agent_options, get};

/// The cloud's end of a session, message by message.
struct Hub {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    headers: http::HeaderMap,
    path: String,
}

impl Hub {
    async fn accept(listener: &TcpListener, tls: &TlsAcceptor) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = tls.accept(stream).await.unwrap();
        let seen = Arc::new(Mutex::new(None));
        let note = seen.clone();
        // A Go server answers no header it does not know.
        #[allow(clippy::result_large_err)]
        let callback = move |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            *note.lock() = Some((request.headers().clone(), request.uri().path().to_owned()));
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, callback).await.unwrap();
        let (headers, path) = seen.lock().take().unwrap();
        Self { socket, headers, path }
    }

    /// The next envelope; binary frames are no KubeEdge.
    async fn next(&mut self) -> Envelope {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Text(text) => {
                    assert!(text.ends_with('\n'));
                    return Envelope::decode(&text).unwrap();
                }
                Message::Binary(_) => panic!("a KubeEdge cloud knows no binary frames"),
                _ => {}
            }
        }
    }

    async fn until(&mut self, wanted: impl Fn(&Envelope) -> bool) -> Envelope {
        loop {
            let message = self.next().await;
            if wanted(&message) {
                return message;
            }
        }
    }

    async fn send(&mut self, message: &Envelope) {
        // As the Go hub does with longer messages: two frames, the second one empty.
        self.socket.send(Message::text(message.encode())).await.unwrap();
    }

    /// The next message of this route, as `operation resource`.
    async fn route(&mut self, wanted: &str) -> Envelope {
        self.until(|message| format!("{} {}", message.route.operation, message.route.resource) == wanted).await
    }

    async fn answer(&mut self, request: &Envelope, body: Value) {
        let content = content(&body).unwrap();
        self.send(&request.answer(1, source::EDGE_CONTROLLER, group::RESOURCE, content)).await;
    }
}

fn not_found() -> Value {
    json!({"Object": null, "Err": {"ErrStatus": {"metadata": {}, "status": "Failure", "reason": "NotFound", "code": 404}}})
}

fn down(operation: &str, resource: &str, version: &str, body: Value) -> Envelope {
    let content = content(&body).unwrap();
    let route = (source::EDGE_CONTROLLER, group::RESOURCE);
    Envelope::new(1, route.0, route.1, operation, resource.to_owned(), content).with_version(version)
}

fn pod(version: &str, message: &str) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": "p", "namespace": "default", "uid": "u1", "resourceVersion": version},
        "spec": {"nodeName": "edge-1", "containers": [{"name": "main", "image": message}]},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeedge_cloud_gets_kubeedge_habits_and_acks_after_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(&folder.path().join("ca")).unwrap();
    let identity = authority.server_identity("hub", &["127.0.0.1".into()]).unwrap();
    let tls = server_config(&identity, authority.certificate(), ClientAuth::Required, Versions::Kubeedge).unwrap();
    let tls = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();

    // The node has joined before.
    let data = folder.path().join("edge-1");
    let request = NodeRequest::new("edge-1").unwrap();
    let signed = authority.sign_node(request.der(), "edge-1", Duration::from_secs(3600)).unwrap();
    let node = request.complete(signed.certificate.to_vec()).unwrap();
    std::fs::create_dir_all(data.join("pki")).unwrap();
    std::fs::write(data.join("pki/ca.der"), authority.certificate()).unwrap();
    node.save(&data.join("pki/node.crt"), &data.join("pki/node.key")).unwrap();
    let mut options = agent_options("edge-1", &data);
    options.link.server = listener.local_addr().unwrap().to_string();
    options.link.keepalive = Duration::from_millis(100);
    let node = Node::start(options).await;

    let mut hub = Hub::accept(&listener, &tls).await;
    assert_eq!(hub.path, "/e632aba927ea4ac2b575ec1603d56f10/edge-1/events");
    for (name, value) in [("node_id", "edge-1"), ("connectionuse", "msg"), ("edgeward-link", "1")] {
        assert_eq!(hub.headers[name], value);
    }
    node.link(|state| *state == LinkState::Online { own: false }).await;
    let keepalive = hub.route("keepalive node").await;
    assert_eq!((keepalive.route.source.as_str(), keepalive.content.get()), ("websocket", "\"ping\""));

    // Registration of a node the cloud does not know, then its Lease and status.
    let query = hub.route("query null/node/edge-1").await;
    hub.answer(&query, not_found()).await;
    let insert = hub.route("insert null/node/edge-1").await;
    assert_eq!((insert.route.source.as_str(), insert.route.group.as_str()), ("edged", "meta"));
    let mut object: Value = insert.read().unwrap();
    assert_eq!(object["metadata"]["labels"]["kubernetes.io/hostname"], "edge-1");
    object["metadata"]["uid"] = "n1".into();
    object["metadata"]["resourceVersion"] = "5".into();
    hub.answer(&insert, json!({"Object": object, "Err": null})).await;
    let query = hub.route("query kube-node-lease/lease/edge-1").await;
    hub.answer(&query, not_found()).await;
    let lease = hub.route("insert kube-node-lease/lease/edge-1").await;
    let body: Value = lease.read().unwrap();
    assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "n1");
    hub.answer(&lease, json!({"Object": body, "Err": null})).await;
    let patch = hub.route("patch null/nodepatch/edge-1").await;
    let status: Value = serde_json::from_str(&patch.document().unwrap()).unwrap();
    assert_eq!(status["status"]["nodeInfo"]["operatingSystem"], "linux");

    // When the acknowledgement is here, the object is there; an older version changes nothing and is acknowledged too.
    let local = node.handle.local_api().unwrap();
    for (operation, version, image, expect) in
        [("insert", "10", "a", "a"), ("update", "12", "b", "b"), ("update", "11", "c", "b"), ("update", "12", "b", "b")]
    {
        let message = down(operation, "default/pod/p", version, pod(version, image));
        hub.send(&message).await;
        let ack = hub.until(|answer| answer.header.parent_id == message.header.id).await;
        assert_eq!((ack.route.operation.as_str(), ack.content.get()), (operation::RESPONSE, "\"OK\""));
        assert_eq!((ack.route.source.as_str(), ack.route.resource.as_str()), ("edgecontroller", "default/pod/p"));
        let (status, stored) = get(local, "/api/v1/namespaces/default/pods/p").await;
        assert_eq!((status, stored["spec"]["containers"][0]["image"].as_str()), (200, Some(expect)), "{version}");
    }
    // Kinds nobody knows and contents that are none are acknowledged, so that the hub's queue does not stand still.
    for (resource, body) in
        [("default/mystery/m", json!({})), ("default/pod/q", json!("text")), ("default/pod/q", pod("1", "x"))]
    {
        let message = down("update", resource, "20", body);
        hub.send(&message).await;
        hub.until(|answer| answer.header.parent_id == message.header.id).await;
    }
    assert_eq!(get(local, "/api/v1/namespaces/default/pods/q").await.0, 404);
    let gone =
        down("delete", "default/pod/p", "", json!({"metadata": {"name": "p", "namespace": "default", "uid": "u1"}}));
    hub.send(&gone).await;
    hub.until(|answer| answer.header.parent_id == gone.header.id).await;
    assert_eq!(get(local, "/api/v1/namespaces/default/pods/p").await.0, 404);
    node.stop().await;
}

//! Who may do what: certificates and tokens over TLS, node identities, service accounts.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod common;

use common::{Api, pod};
use edgeward_pki::Authority;
use edgeward_pki::tls::{ClientAuth, Versions, client_config, server_config};
use edgeward_server::{Identity, NodeProxyError, Options};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

async fn bound_pod(api: &Api, name: &str, node: &str) {
    let mut document = pod(name);
    document["spec"]["nodeName"] = json!(node);
    document["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": format!("{name}-settings")}}]);
    assert_eq!(api.ask("POST /api/v1/namespaces/default/pods", document).await.code, 201);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{name}-settings")}});
    api.ask("POST /api/v1/namespaces/default/configmaps", map).await;
}

#[tokio::test]
async fn a_node_touches_only_what_is_its_own() {
    let api = Api::start().await;
    for node in ["n1", "n2"] {
        api.ask("POST /api/v1/nodes", json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})).await;
        bound_pod(&api, &format!("on-{node}"), node).await;
    }
    let status = json!({"status": {"phase": "Running"}});
    let cases = [
        ("GET /api/v1/nodes/n1", Value::Null, 200),
        ("GET /api/v1/nodes/n2", Value::Null, 403),
        ("GET /api/v1/nodes", Value::Null, 403),
        ("PATCH /api/v1/nodes/n1/status", json!({"status": {}}), 200),
        ("PATCH /api/v1/nodes/n2/status", json!({"status": {}}), 403),
        ("DELETE /api/v1/nodes/n1", Value::Null, 403),
        ("GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn1", Value::Null, 200),
        ("GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn2", Value::Null, 403),
        ("GET /api/v1/pods", Value::Null, 403),
        ("GET /api/v1/namespaces/default/pods/on-n1", Value::Null, 200),
        ("GET /api/v1/namespaces/default/pods/on-n2", Value::Null, 403),
        ("PATCH /api/v1/namespaces/default/pods/on-n1/status", status.clone(), 200),
        ("PATCH /api/v1/namespaces/default/pods/on-n2/status", status, 403),
        ("PATCH /api/v1/namespaces/default/pods/on-n1", json!({}), 403),
        ("DELETE /api/v1/namespaces/default/pods/on-n2", Value::Null, 403),
        ("DELETE /api/v1/namespaces/default/pods/on-n1", json!({"gracePeriodSeconds": 30}), 200),
        ("POST /api/v1/namespaces/default/pods", pod("new"), 403),
        ("GET /api/v1/namespaces/default/configmaps/on-n1-settings", Value::Null, 200),
        ("GET /api/v1/namespaces/default/configmaps/on-n2-settings", Value::Null, 403),
        ("GET /api/v1/namespaces/default/configmaps", Value::Null, 403),
        ("GET /api/v1/namespaces/default/secrets/any", Value::Null, 403),
        (
            "POST /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "n1"}}),
            201,
        ),
        ("GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", Value::Null, 200),
        ("GET /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2", Value::Null, 403),
        ("GET /metrics", Value::Null, 403),
    ];
    for (line, body, code) in cases {
        let answer = api.ask_as(Identity::node("n1"), line, body, &[]).await;
        assert_eq!(answer.code, code, "{line}: {answer:?}");
    }
    let refused = api.ask_as(Identity::node("n1"), "GET /api/v1/nodes", Value::Null, &[]).await;
    assert_eq!(
        refused.message(),
        "nodes is forbidden: User \"system:node:n1\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    );
}

#[tokio::test]
async fn service_accounts_log_in_with_tokens() {
    let api = Api::start().await;
    let account = |name: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    let mut tokens = Vec::new();
    for namespace in ["kube-system", "default"] {
        api.ask(&format!("POST /api/v1/namespaces/{namespace}/serviceaccounts"), account("robot")).await;
        let path = format!("POST /api/v1/namespaces/{namespace}/serviceaccounts/robot/token");
        let answer = api.ask(&path, json!({"spec": {"expirationSeconds": 600}})).await;
        assert_eq!(answer.code, 201, "{answer:?}");
        tokens.push(answer.body["status"]["token"].as_str().unwrap().to_owned());
        assert_eq!(api.ask(&path, json!({"spec": {"expirationSeconds": 5}})).await.code, 422);
    }
    let review =
        api.ask("POST /apis/authentication.k8s.io/v1/tokenreviews", json!({"spec": {"token": tokens[1]}})).await.body;
    assert_eq!(review["status"]["user"]["username"], "system:serviceaccount:default:robot");
    let bad = api.ask("POST /apis/authentication.k8s.io/v1/tokenreviews", json!({"spec": {"token": "x"}})).await.body;
    assert_eq!(bad["status"]["authenticated"], false);
    let robot = Identity::service_account("default", "robot", "");
    let denied = api.ask_as(robot.clone(), "GET /api/v1/namespaces/default/pods", Value::Null, &[]).await;
    assert_eq!(denied.code, 403);
    let me = api.ask_as(robot, "POST /apis/authentication.k8s.io/v1/selfsubjectreviews", json!({}), &[]).await.body;
    assert_eq!(me["status"]["userInfo"]["username"], "system:serviceaccount:default:robot");
    let system = Identity::service_account("kube-system", "robot", "");
    assert_eq!(api.ask_as(system, "GET /api/v1/namespaces/default/pods", Value::Null, &[]).await.code, 200);
    let asked = json!({"spec": {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods"}}});
    assert_eq!(
        api.ask("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", asked).await.body["status"]["allowed"],
        false
    );
    let rules = api
        .ask("POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews", json!({"spec": {"namespace": "x"}}))
        .await
        .body;
    assert_eq!(rules["status"]["resourceRules"][0]["verbs"], json!(["*"]));
}

/// One HTTP/1.1 request over TLS; the status line and the body.
async fn over_tls(port: u16, tls: rustls::ClientConfig, request: &str) -> String {
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
    let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut stream = connector.connect("127.0.0.1".try_into().unwrap(), socket).await.unwrap();
    // A server that has seen enough may close before it was told everything; what it answered still counts.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_and_tokens_over_tls() {
    let options = Options { admin_token: Some("open sesame".into()), ..Options::default() };
    let api = Api::with(options).await;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(folder.path()).unwrap();
    let identity = authority.server_identity("server", &["127.0.0.1".to_owned()]).unwrap();
    let tls = server_config(&identity, authority.certificate(), ClientAuth::Optional, Versions::Own).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    api.server.serve(listener, tls, &api.tasks);
    let day = std::time::Duration::from_secs(86_400);
    let clients = [
        (None, "", "401 Unauthorized"),
        (None, "Authorization: Bearer open sesame\r\n", "200 OK"),
        (None, "Authorization: Bearer wrong\r\n", "401 Unauthorized"),
        (Some(authority.admin_identity().unwrap()), "", "200 OK"),
        (Some(authority.client_identity("jane", "dev", day).unwrap()), "", "403 Forbidden"),
        (Some(authority.client_identity("system:node:n1", "system:nodes", day).unwrap()), "", "403 Forbidden"),
    ];
    for (client, header, expected) in clients {
        let config = client_config(authority.certificate(), client.as_ref(), Versions::Own).unwrap();
        let request = format!("GET /api/v1/nodes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n");
        let answer = over_tls(port, config, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{header}: {answer}");
    }
    let config = client_config(authority.certificate(), None, Versions::Own).unwrap();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(200_000));
    let answer = over_tls(port, config, &long).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(api.tasks.shutdown(std::time::Duration::from_secs(10)).await, "the listener ends with its tasks");
}

struct Node;

impl edgeward_server::NodeProxy for Node {
    fn logs(
        &self,
        request: edgeward_server::LogOptions,
    ) -> futures::future::BoxFuture<'_, Result<edgeward_server::ByteStream, NodeProxyError>> {
        Box::pin(async move {
            if request.node != "n1" {
                return Err(NodeProxyError::Offline(request.node));
            }
            let text = format!("{} {} tail={:?}\n", request.pod, request.container, request.tail_lines);
            let stream: edgeward_server::ByteStream = Box::pin(futures::stream::once(async move { Ok(text.into()) }));
            Ok(stream)
        })
    }
}

#[tokio::test]
async fn logs_come_from_the_node() {
    let api = Api::with(Options { node_proxy: Some(Arc::new(Node)), ..Options::default() }).await;
    bound_pod(&api, "near", "n1").await;
    bound_pod(&api, "far", "n9").await;
    let near = api.ask("GET /api/v1/namespaces/default/pods/near/log?tailLines=5", Value::Null).await;
    assert_eq!((near.code, near.text.as_str()), (200, "near c tail=Some(5)\n"));
    let far = api.ask("GET /api/v1/namespaces/default/pods/far/log", Value::Null).await;
    assert_eq!((far.code, far.message()), (503, "node n9 is not connected; try again when it is"));
}

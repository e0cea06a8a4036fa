//! What the tests share: a server over a store in memory and clients of it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::Arc;

use edgeward_server::{ApiServer, Identity, Options};
use edgeward_service::Tasks;
use edgeward_store::SqliteStore;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::ServiceExt as _;

pub struct Api {
    pub server: ApiServer,
    pub tasks: Tasks,
}

/// An answer with its JSON body (null if it has none).
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

impl Api {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        Self::over(options, store).await
    }

    pub async fn over(options: Options, store: Arc<SqliteStore>) -> Self {
        let tasks = Tasks::root("test");
        let server = ApiServer::start(options, store, &tasks).await.unwrap();
        Self { server, tasks }
    }

    pub fn client(&self) -> kube::Client {
        self.client_as(Identity::admin())
    }

    pub fn client_as(&self, identity: Identity) -> kube::Client {
        kube::Client::new(self.server.local_service(identity), "default")
    }

    /// One request as the administrator: `("POST /api/v1/namespaces", body)`.
    pub async fn ask(&self, line: &str, body: Value) -> Answer {
        self.ask_with(line, body, &[]).await
    }

    pub async fn ask_with(&self, line: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        self.ask_as(Identity::admin(), line, body, headers).await
    }

    pub async fn ask_as(&self, identity: Identity, line: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let bytes = match &body {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            other => other.to_string().into_bytes(),
        };
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        if method == "PATCH" && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/merge-patch+json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(bytes.into())).unwrap();
        let response = self.server.local_service(identity).oneshot(request).await.unwrap();
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { code, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null), text }
    }
}

pub fn pod(name: &str) -> Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

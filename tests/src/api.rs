//! The Kubernetes API as its clients see it: paths, JSON and status codes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(20);
const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

/// A client of one API server.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

impl Api {
    /// With the access that a kubeconfig gives.
    pub async fn open(kubeconfig: &Path) -> anyhow::Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        // Scenarios look at each answer, also at "not now".
        config.default_retry = false;
        Ok(Self { client: Client::try_from(config)? })
    }

    /// The typed client, for watches.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Sends what is given and returns code and body, whatever they are; a body that is not JSON comes as a string.
    pub async fn call(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> anyhow::Result<(u16, Value)> {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.body(Body::from(body))?;
        let exchange = async {
            let response = self.client.send(request).await?;
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await?.to_bytes();
            let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
            anyhow::Ok((status, serde_json::from_slice(&bytes).unwrap_or_else(|_| text())))
        };
        tokio::time::timeout(TIMEOUT, exchange).await.with_context(|| format!("{path}: no answer"))?
    }

    async fn expect(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        let name = method.to_string();
        let (status, answer) = self.call(method, path, kind, body).await?;
        if status >= 300 {
            let why = answer.get("message").and_then(Value::as_str).map_or_else(|| answer.to_string(), str::to_owned);
            bail!("{name} {path}: {status}: {why}");
        }
        Ok(answer)
    }

    /// An object or a list.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.expect(Method::GET, path, JSON, Vec::new()).await
    }

    /// An object that may not be there.
    pub async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let (status, answer) = self.call(Method::GET, path, JSON, Vec::new()).await?;
        match status {
            200 => Ok(Some(answer)),
            404 => Ok(None),
            status => bail!("GET {path}: {status}: {answer}"),
        }
    }

    /// The items of a list.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.get(path).await?;
        Ok(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// POST to a collection.
    pub async fn create(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        self.expect(Method::POST, path, JSON, object.to_string().into_bytes()).await
    }

    /// JSON merge patch.
    pub async fn merge(&self, path: &str, patch: &Value) -> anyhow::Result<Value> {
        self.expect(Method::PATCH, path, MERGE, patch.to_string().into_bytes()).await
    }

    /// Removes an object.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.expect(Method::DELETE, path, JSON, Vec::new()).await
    }
}

/// A text somewhere in an object; empty when it is not there.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a condition of that type is "True".
pub fn condition(object: &Value, kind: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|all| all.iter().any(|one| text(one, "/type") == kind && text(one, "/status") == "True"))
}

/// Keys of a node's taints.
pub fn taints(node: &Value) -> Vec<&str> {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    taints.into_iter().flatten().map(|taint| text(taint, "/key")).collect()
}

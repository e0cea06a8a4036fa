//! What a node may ask of the API, and how it is answered (KubeEdge 1.23 edgecontroller, upstream).

use edgeward_service::clock::now_ms;
use edgeward_wire::{Content, Envelope, Failure, Resource, content, group, ok, operation, source};
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{self, MERGE, Place, STRATEGIC};
use crate::forms::{Done, Form, answer, bad, typed};
use crate::metrics::{UNKNOWN, VIOLATIONS};
use crate::object::ObjectId;
use crate::view::View;

const NODES: Place<'static> = Place::new("/api/v1", "nodes");
const PODS: Place<'static> = Place::new("/api/v1", "pods");
const EVENTS: Place<'static> = Place::new("/api/v1", "events");
const ACCOUNTS: Place<'static> = Place::new("/api/v1", "serviceaccounts");
const LEASES: Place<'static> = Place::new("/apis/coordination.k8s.io/v1", "leases");
const REQUESTS: Place<'static> = Place::new("/apis/certificates.k8s.io/v1", "certificatesigningrequests");
/// Namespace of the Leases that show that nodes are alive.
const LEASE_NAMESPACE: &str = "kube-node-lease";
/// The one signer whose certificates a node may request through the hub.
const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";

/// One node's requests.
pub(crate) struct Requests<'a> {
    pub(crate) client: &'a Client,
    pub(crate) view: &'a View,
    pub(crate) node: &'a str,
    /// Answer events too: our agents keep them until they are answered, KubeEdge's expect nothing.
    pub(crate) answer_events: bool,
    /// Answer to `k8s/ca.crt`.
    pub(crate) cluster_ca_pem: &'a str,
}

impl Requests<'_> {
    /// Does what a message asks and gives the answer, if it gets one.
    pub(crate) async fn serve(&self, message: &Envelope) -> Option<Envelope> {
        let done = match message.resource() {
            Resource::ClusterCa if message.route.operation == operation::QUERY => {
                let pem = content(self.cluster_ca_pem).ok()?;
                return Some(message.answer(now_ms(), source::CLOUD_HUB, group::RESOURCE, pem));
            }
            Resource::Object { namespace, kind, name } => self.object(message, namespace, kind, name).await,
            _ => None,
        };
        match done {
            Some((form, result)) => answer(message, &form, result),
            None => {
                UNKNOWN.inc();
                tracing::debug!(node = self.node, route = ?message.route, "message of a kind the hub does nothing with");
                None
            }
        }
    }

    async fn object(
        &self,
        message: &Envelope,
        namespace: Option<&str>,
        kind: &str,
        name: Option<&str>,
    ) -> Option<Done> {
        let name = name?;
        Some(match (kind, message.route.operation.as_str()) {
            ("node" | "nodepatch", operation) => return self.own_node(message, kind, operation, name).await,
            ("lease", operation) => return self.lease(message, operation, namespace, name).await,
            ("pod", "insert") => (Form::Resp, self.mirror_pod(message, namespace, name).await),
            ("pod", "delete") => (Form::Ok, self.delete_pod(message, namespace, name).await),
            ("podpatch", "patch") => (Form::VersionedResp, self.patch_pod(message, namespace, name).await),
            ("event", operation @ ("insert" | "update" | "patch")) => {
                let form = if self.answer_events { Form::Ok } else { Form::Silent };
                (form, self.event(message, operation, namespace, name).await)
            }
            ("configmap", "query") => {
                (Form::Object, self.mentioned(Place::new("/api/v1", "configmaps"), namespace, kind, name).await)
            }
            ("secret", "query") => {
                (Form::Object, self.mentioned(Place::new("/api/v1", "secrets"), namespace, kind, name).await)
            }
            ("persistentvolumeclaim", "query") => (
                Form::Object,
                self.mentioned(Place::new("/api/v1", "persistentvolumeclaims"), namespace, kind, name).await,
            ),
            ("serviceaccounttoken", "query") => (Form::Plain, self.token(message, namespace, name).await),
            ("certificatesigningrequest", "insert") => (Form::Resp, self.certificate_request(message).await),
            ("certificatesigningrequest", "query") => (Form::Object, api::get(self.client, REQUESTS.named(name)).await),
            _ => return None,
        })
    }

    async fn own_node(&self, message: &Envelope, kind: &str, operation: &str, name: &str) -> Option<Done> {
        if name != self.node {
            return Some((Form::Resp, self.violation("the Node of another node")));
        }
        Some(match (kind, operation) {
            ("node", "insert") => (Form::Resp, self.create_node(message).await),
            ("node", "query") => (Form::Resp, api::get(self.client, NODES.named(name)).await),
            ("node", "update") => (Form::Ok, self.merge_node(message).await),
            ("nodepatch", "patch") => {
                let patched = match message.document() {
                    Ok(patch) => {
                        api::patch(
                            self.client,
                            NODES.named(name).sub("status"),
                            STRATEGIC,
                            patch.into_owned().into_bytes(),
                        )
                        .await
                    }
                    Err(error) => Err(bad(&error)),
                };
                (Form::VersionedResp, patched)
            }
            _ => return None,
        })
    }

    async fn create_node(&self, message: &Envelope) -> Result<Content, Failure> {
        let node: Named = message.read().map_err(|error| bad(&error))?;
        if node.metadata.name != self.node {
            return self.violation("the Node of another node");
        }
        api::create(self.client, NODES, typed(message, "v1", "Node")?).await
    }

    /// Labels and annotations are merged into the Node; what others wrote there stays.
    async fn merge_node(&self, message: &Envelope) -> Result<Content, Failure> {
        let node: Value = message.read().map_err(|error| bad(&error))?;
        let part = |name: &str| node.pointer(&format!("/metadata/{name}")).cloned().unwrap_or(json!({}));
        let patch = json!({ "metadata": { "labels": part("labels"), "annotations": part("annotations") } });
        api::patch(self.client, NODES.named(self.node), MERGE, patch.to_string().into_bytes()).await
    }

    async fn lease(&self, message: &Envelope, operation: &str, namespace: Option<&str>, name: &str) -> Option<Done> {
        if namespace != Some(LEASE_NAMESPACE) || name != self.node {
            return Some((Form::Resp, self.violation("a Lease other than its own")));
        }
        let leases = LEASES.within(namespace);
        let result = match operation {
            "query" => api::get(self.client, leases.named(name)).await,
            "insert" => match self.own_body(message, "coordination.k8s.io/v1", "Lease") {
                Ok(body) => api::create(self.client, leases, body).await,
                Err(failure) => Err(failure),
            },
            "update" => match self.own_body(message, "coordination.k8s.io/v1", "Lease") {
                Ok(body) => api::replace(self.client, leases.named(name), body).await,
                Err(failure) => Err(failure),
            },
            _ => return None,
        };
        Some((Form::Resp, result))
    }

    /// A body that must be named after this node.
    fn own_body(&self, message: &Envelope, api_version: &str, kind: &str) -> Result<Vec<u8>, Failure> {
        let named: Named = message.read().map_err(|error| bad(&error))?;
        if named.metadata.name != self.node {
            return self.violation("an object named after another node");
        }
        typed(message, api_version, kind)
    }

    /// A static pod of the node, shown in the API.
    async fn mirror_pod(&self, message: &Envelope, namespace: Option<&str>, name: &str) -> Result<Content, Failure> {
        let pod: Value = message.read().map_err(|error| bad(&error))?;
        let text = |path: &str| pod.pointer(path).and_then(Value::as_str);
        let mirror = text("/metadata/annotations/kubernetes.io~1config.mirror").is_some();
        if text("/spec/nodeName") != Some(self.node) || text("/metadata/name") != Some(name) || !mirror {
            return self.violation("a pod that is no static pod of its own");
        }
        if ["/spec/serviceAccountName", "/spec/serviceAccount"]
            .iter()
            .any(|path| text(path).is_some_and(|name| !name.is_empty()))
        {
            return self.violation("a static pod with a service account");
        }
        api::create(self.client, PODS.within(namespace), typed(message, "v1", "Pod")?).await
    }

    async fn patch_pod(&self, message: &Envelope, namespace: Option<&str>, name: &str) -> Result<Content, Failure> {
        self.own_pod(namespace, name).await?;
        let patch = message.document().map_err(|error| bad(&error))?;
        let pod = PODS.within(namespace).named(name).sub("status");
        api::patch(self.client, pod, STRATEGIC, patch.into_owned().into_bytes()).await
    }

    /// The pod's containers are gone. A pod that is gone already, or is another one by now, is as good.
    async fn delete_pod(&self, message: &Envelope, namespace: Option<&str>, name: &str) -> Result<Content, Failure> {
        let deleted = match self.own_pod(namespace, name).await {
            Ok(()) => {
                let options: Value = message.read().map_err(|error| bad(&error))?;
                // Edges before 1.12 sent the uid alone.
                let options = match options {
                    Value::String(uid) => json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": uid } }),
                    options => options,
                };
                let pod = PODS.within(namespace).named(name);
                api::delete(self.client, pod, options.to_string().into_bytes()).await
            }
            Err(failure) => Err(failure),
        };
        match deleted {
            Err(failure) if matches!(failure.code, 404 | 409) => Ok(ok()),
            deleted => deleted,
        }
    }

    /// Events must name this node as their source; who is silent about it is named.
    async fn event(
        &self,
        message: &Envelope,
        operation: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Content, Failure> {
        let mut event: Value = message.read().map_err(|error| bad(&error))?;
        let patch = event.get_mut("patchData").map(Value::take);
        if let Some(inner) = event.get_mut("event") {
            event = inner.take();
        }
        self.sign_event(&mut event)?;
        let events = EVENTS.within(namespace);
        let body = event.to_string().into_bytes();
        match (operation, patch) {
            ("insert", _) => api::create(self.client, events, body).await,
            ("patch", Some(patch)) => {
                self.own_event(events.named(name)).await?;
                let patch = match patch {
                    Value::String(text) => text,
                    patch => patch.to_string(),
                };
                api::patch(self.client, events.named(name), STRATEGIC, patch.into_bytes()).await
            }
            _ => {
                self.own_event(events.named(name)).await?;
                api::replace(self.client, events.named(name), body).await
            }
        }
    }

    /// Writes this node into an event as its source, if no other is named there.
    fn sign_event(&self, event: &mut Value) -> Result<(), Failure> {
        let malformed = || Failure::new(400, "BadRequest", "content is not an Event");
        let event = event.as_object_mut().ok_or_else(malformed)?;
        let source = event.entry("source").or_insert_with(|| json!({})).as_object_mut().ok_or_else(malformed)?;
        match source.get("host").and_then(Value::as_str) {
            Some(host) if !host.is_empty() && host != self.node => return self.violation("an event of another node"),
            _ => source.insert("host".into(), self.node.into()),
        };
        event.insert("apiVersion".into(), "v1".into());
        event.insert("kind".into(), "Event".into());
        Ok(())
    }

    async fn own_event(&self, place: Place<'_>) -> Result<(), Failure> {
        let event = api::get(self.client, place).await?;
        let event: Value = serde_json::from_str(event.get()).unwrap_or_default();
        if event.pointer("/source/host").and_then(Value::as_str) == Some(self.node) {
            return Ok(());
        }
        self.violation("an event of another node")
    }

    /// An object that a pod of this node mentions.
    async fn mentioned(
        &self,
        place: Place<'static>,
        namespace: Option<&str>,
        kind: &str,
        name: &str,
    ) -> Result<Content, Failure> {
        if !self.view.sees(self.node, &ObjectId::new(namespace, kind, name)) {
            return self.violation("an object that none of its pods mentions");
        }
        let place = Place { namespace, name: Some(name), ..place };
        api::get(self.client, place).await
    }

    /// A token for a pod of this node, bound to that pod.
    async fn token(&self, message: &Envelope, namespace: Option<&str>, account: &str) -> Result<Content, Failure> {
        let request: TokenRequest = message.read().map_err(|error| bad(&error))?;
        let bound = request.spec.bound_object_ref.filter(|bound| bound.kind == "Pod");
        let pod =
            bound.as_ref().and_then(|bound| self.view.object(self.node, &ObjectId::new(namespace, "pod", &bound.name)));
        let fits = pod.zip(bound).is_some_and(|(pod, bound)| {
            pod.uid == bound.uid && pod.service_account.as_deref().unwrap_or("default") == account
        });
        if !fits {
            return self.violation("a token that is not bound to a pod of its own with that account");
        }
        let body = typed(message, "authentication.k8s.io/v1", "TokenRequest")?;
        api::create(self.client, ACCOUNTS.within(namespace).named(account).sub("token"), body).await
    }

    async fn certificate_request(&self, message: &Envelope) -> Result<Content, Failure> {
        let request: Value = message.read().map_err(|error| bad(&error))?;
        if request.pointer("/spec/signerName").and_then(Value::as_str) != Some(SERVING_SIGNER) {
            return self.violation("a certificate other than for kubelet serving");
        }
        api::create(self.client, REQUESTS, typed(message, "certificates.k8s.io/v1", "CertificateSigningRequest")?).await
    }

    /// Whether the pod is placed on this node. The view may be behind the API, so absence there is looked up.
    async fn own_pod(&self, namespace: Option<&str>, name: &str) -> Result<(), Failure> {
        if self.view.sees(self.node, &ObjectId::new(namespace, "pod", name)) {
            return Ok(());
        }
        let pod = api::get(self.client, PODS.within(namespace).named(name)).await?;
        let pod: Value = serde_json::from_str(pod.get()).unwrap_or_default();
        if pod.pointer("/spec/nodeName").and_then(Value::as_str) == Some(self.node) {
            return Ok(());
        }
        self.violation("a pod of another node")
    }

    fn violation<T>(&self, what: &str) -> Result<T, Failure> {
        VIOLATIONS.inc();
        tracing::warn!(node = self.node, what, "node tried to use what is not its own");
        Err(Failure::new(403, "Forbidden", format!("node {} may not use {what}", self.node)))
    }
}

#[derive(Deserialize)]
struct Named {
    metadata: Name,
}

#[derive(Deserialize)]
struct Name {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenRequest {
    spec: TokenSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenSpec {
    #[serde(default)]
    bound_object_ref: Option<BoundObject>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct BoundObject {
    kind: String,
    name: String,
    uid: String,
}

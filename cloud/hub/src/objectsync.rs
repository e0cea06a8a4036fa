//! KubeEdge's record of what a KubeEdge edge holds: one ObjectSync per object and node, `<node>.<uid>`, so that a Go
//! cloudcore can take over from us and we from it. Our own agents say themselves what they have and need none of this.

use edgeward_wire::Failure;
use kube::Client;
use serde::Deserialize;

use crate::api::{self, MERGE, Place};
use crate::delivery::{Known, Settled};
use crate::object::{KINDS, ObjectId};

const BASE: &str = "/apis/reliablesyncs.kubeedge.io/v1alpha1";
const NAMESPACED: Place<'static> = Place::new(BASE, "objectsyncs");
const CLUSTER: Place<'static> = Place::new(BASE, "clusterobjectsyncs");

/// The records of one node. Failures are logged and do not hold up delivery: at worst an object is sent twice.
pub(crate) struct Syncs {
    client: Client,
    node: String,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Sync>,
}

#[derive(Deserialize)]
struct Sync {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    object_kind: String,
    object_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    object_resource_version: String,
}

impl Syncs {
    pub(crate) fn new(client: Client, node: &str) -> Self {
        Self { client, node: node.to_owned() }
    }

    /// What the node held when it was last connected, to us or to another cloudcore.
    pub(crate) async fn load(&self) -> Vec<(ObjectId, Known)> {
        let mut found = Vec::new();
        for place in [NAMESPACED, CLUSTER] {
            let list = match api::get(&self.client, place).await {
                Ok(list) => serde_json::from_str::<List>(list.get()).map_or_else(|_| Vec::new(), |list| list.items),
                Err(failure) => {
                    self.report("load", &failure);
                    continue;
                }
            };
            found.extend(list.into_iter().filter_map(|sync| self.read(sync)));
        }
        found
    }

    /// Makes the record, with version `0`, before an object is sent for the first time: should we fall, it is known that
    /// the node may have the object.
    pub(crate) async fn begin(&self, id: &ObjectId, known: &Known) {
        let (namespace, _, object_name) = id.parts();
        let (Some(uid), Some(kind)) = (&known.uid, id.kind()) else { return };
        let types = KINDS[kind].types();
        let body = serde_json::json!({
            "apiVersion": "reliablesyncs.kubeedge.io/v1alpha1",
            "kind": if namespace.is_some() { "ObjectSync" } else { "ClusterObjectSync" },
            "metadata": { "name": self.name(uid), "namespace": namespace },
            "spec": { "objectAPIVersion": types.api_version, "objectKind": types.kind, "objectName": object_name },
        });
        match api::create(&self.client, place(namespace), body.to_string().into_bytes()).await {
            Ok(_) => self.set_version(namespace, uid, 0).await,
            Err(failure) if failure.code == 409 => {}
            Err(failure) => self.report("create", &failure),
        }
    }

    /// Records what an acknowledgement settled.
    pub(crate) async fn settle(&self, settled: &Settled) {
        let (namespace, ..) = settled.id.parts();
        match (&settled.now, &settled.before) {
            (Some(Known { uid: Some(uid), version }), _) => self.set_version(namespace, uid, *version).await,
            (None, Some(Known { uid: Some(uid), .. })) => {
                let name = self.name(uid);
                let deleted = api::delete(&self.client, place(namespace).named(&name), Vec::new()).await;
                deleted.map_or_else(|failure| self.report("delete", &failure), drop);
            }
            _ => {}
        }
    }

    async fn set_version(&self, namespace: Option<&str>, uid: &str, version: u64) {
        let body = serde_json::json!({ "status": { "objectResourceVersion": version.to_string() } });
        let name = self.name(uid);
        let status = place(namespace).named(&name).sub("status");
        let patched = api::patch(&self.client, status, MERGE, body.to_string().into_bytes()).await;
        patched.map_or_else(|failure| self.report("update", &failure), drop);
    }

    fn read(&self, sync: Sync) -> Option<(ObjectId, Known)> {
        let uid = sync.metadata.name.strip_prefix(&self.node)?.strip_prefix('.')?;
        let kind = KINDS.iter().find(|kind| kind.types().kind == sync.spec.object_kind)?;
        let id = ObjectId::new(sync.metadata.namespace.as_deref(), kind.word, &sync.spec.object_name);
        let version = sync.status.object_resource_version.parse().unwrap_or(0);
        Some((id, Known { uid: Some(uid.to_owned()), version }))
    }

    fn name(&self, uid: &str) -> String {
        format!("{}.{uid}", self.node)
    }

    fn report(&self, action: &str, failure: &Failure) {
        tracing::debug!(node = self.node, action, reason = failure.message, "object sync not kept");
    }
}

fn place(namespace: Option<&str>) -> Place<'_> {
    match namespace {
        Some(_) => NAMESPACED.within(namespace),
        None => CLUSTER,
    }
}

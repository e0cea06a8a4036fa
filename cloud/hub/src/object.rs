//! Objects as the hub keeps them: the JSON a node gets, and the few facts that decide who gets it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use edgeward_wire::{Content, Resource, source};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use serde_json::Value;

/// Annotation of a Device without `spec.nodeName` (v1alpha2 has a node selector): the node it is assigned to.
pub const DEVICE_NODE_ANNOTATION: &str = "devices.edgeward.io/node";

/// A kind of object that nodes get.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Its name in `route.resource`.
    pub(crate) word: &'static str,
    /// API group, empty for the core.
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    /// Who a KubeEdge cloud says it comes from.
    pub(crate) source: &'static str,
    /// Also a first delivery is called `update` (KubeEdge's habit for Secrets and Nodes).
    pub(crate) always_update: bool,
}

/// All kinds, in the order in which a node needs them: what a pod or device mentions comes before it.
pub(crate) static KINDS: [Kind; 6] = [
    Kind::new("node", "", "v1", "Node", "nodes", source::EDGE_CONTROLLER, true),
    Kind::new("configmap", "", "v1", "ConfigMap", "configmaps", source::EDGE_CONTROLLER, false),
    Kind::new("secret", "", "v1", "Secret", "secrets", source::EDGE_CONTROLLER, true),
    Kind::new("devicemodel", DEVICES, "v1beta1", "DeviceModel", "devicemodels", source::DEVICE_CONTROLLER, false),
    Kind::new("device", DEVICES, "v1beta1", "Device", "devices", source::DEVICE_CONTROLLER, false),
    Kind::new("pod", "", "v1", "Pod", "pods", source::EDGE_CONTROLLER, false),
];
const DEVICES: &str = "devices.kubeedge.io";

impl Kind {
    const fn new(
        word: &'static str,
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        source: &'static str,
        always_update: bool,
    ) -> Self {
        Self { word, group, version, kind, plural, source, always_update }
    }

    /// Position in [`KINDS`].
    pub(crate) fn position(word: &str) -> Option<usize> {
        KINDS.iter().position(|kind| kind.word == word)
    }

    pub(crate) fn resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.plural)
    }

    pub(crate) fn types(&self) -> TypeMeta {
        let api_version =
            if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) };
        TypeMeta { api_version, kind: self.kind.to_owned() }
    }
}

/// Identity of an object: its resource text without version, such as `default/pod/web-0` or `null/node/edge1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectId(Arc<str>);

impl ObjectId {
    pub(crate) fn new(namespace: Option<&str>, word: &str, name: &str) -> Self {
        Self(Resource::object(namespace, word, name).to_string().into())
    }

    /// Takes a text of the form `<namespace>/<word>/<name>`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        matches!(Resource::parse(text), Resource::Object { name: Some(_), .. }).then(|| Self(text.into()))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Namespace, kind's word, name.
    pub(crate) fn parts(&self) -> (Option<&str>, &str, &str) {
        match Resource::parse(&self.0) {
            Resource::Object { namespace, kind, name: Some(name) } => (namespace, kind, name),
            // No constructor lets anything else in.
            _ => (None, "", &self.0),
        }
    }

    /// Position of its kind in [`KINDS`]; `None` for kinds that are only mentioned, such as volume claims.
    pub(crate) fn kind(&self) -> Option<usize> {
        Kind::position(self.parts().1)
    }
}

/// An object as the API has it now.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) id: ObjectId,
    pub(crate) uid: String,
    /// resourceVersion, as text and as the number KubeEdge compares.
    pub(crate) version_text: String,
    pub(crate) version: u64,
    /// The resourceVersion at which something last changed that nodes must hear of.
    pub(crate) content_version: u64,
    digest: u64,
    /// The JSON that is sent.
    pub(crate) content: Content,
    /// The node it is placed on.
    pub(crate) node: Option<Arc<str>>,
    /// What that node needs along with it.
    pub(crate) mentions: Vec<ObjectId>,
    /// Pods: the account they run as.
    pub(crate) service_account: Option<String>,
    /// Devices: label `description`.
    pub(crate) description: String,
}

impl Object {
    /// Reads what the API gave. `None`: it has no name, which no API does.
    pub(crate) fn read(kind: &'static Kind, mut object: DynamicObject) -> Option<Self> {
        object.types = Some(kind.types());
        object.metadata.managed_fields = None;
        let metadata = &object.metadata;
        let name = metadata.name.as_deref()?;
        let namespace = metadata.namespace.as_deref();
        let spec = object.data.get("spec").unwrap_or(&Value::Null);
        let text = |value: &Value, key: &str| {
            value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (node, mentions) = match kind.word {
            "node" => (Some(name.to_owned()), Vec::new()),
            "pod" => (text(spec, "nodeName"), pod_mentions(spec, namespace)),
            "device" => {
                let annotation = || metadata.annotations.as_ref()?.get(DEVICE_NODE_ANNOTATION).cloned();
                (text(spec, "nodeName").or_else(annotation), device_mentions(spec, namespace))
            }
            _ => (None, Vec::new()),
        };
        let version_text = metadata.resource_version.clone().unwrap_or_default();
        let version = version_text.parse().unwrap_or(0);
        let description =
            metadata.labels.as_ref().and_then(|labels| labels.get("description")).cloned().unwrap_or_default();
        Some(Self {
            id: ObjectId::new(namespace, kind.word, name),
            uid: metadata.uid.clone().unwrap_or_default(),
            service_account: text(spec, "serviceAccountName"),
            node: node.map(Into::into),
            mentions,
            description,
            content: edgeward_wire::content(&object).ok()?,
            digest: digest(&mut object),
            version_text,
            version,
            content_version: version,
        })
    }

    /// Keeps the content version of the state before, if nothing changed that nodes must hear of. Whether it did.
    pub(crate) fn inherit(&mut self, before: &Self) -> bool {
        let same = self.digest == before.digest && self.uid == before.uid;
        if same {
            self.content_version = before.content_version;
        }
        same
    }
}

/// Hash of what nodes must hear of: everything but the version, the generation and the status, which they report
/// themselves; of a v1alpha2 Device's status the desired values count, since people set them there.
fn digest(object: &mut DynamicObject) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.metadata.resource_version = None;
    object.metadata.generation = None;
    if let Some(status) = object.data.as_object_mut().and_then(|data| data.shift_remove("status")) {
        for twin in status.get("twins").and_then(Value::as_array).into_iter().flatten() {
            for key in ["propertyName", "desired"] {
                twin.get(key).map(Value::to_string).hash(&mut hasher);
            }
        }
    }
    serde_json::to_string(object).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

fn device_mentions(spec: &Value, namespace: Option<&str>) -> Vec<ObjectId> {
    let model = spec.pointer("/deviceModelRef/name").and_then(Value::as_str).filter(|name| !name.is_empty());
    model.map(|name| ObjectId::new(namespace, "devicemodel", name)).into_iter().collect()
}

/// ConfigMaps, Secrets and volume claims a pod names, each once.
fn pod_mentions(spec: &Value, namespace: Option<&str>) -> Vec<ObjectId> {
    let mut found = Vec::new();
    let mut mention = |word: &str, value: &Value, path: &str| {
        if let Some(name) =
            value.pointer(path).and_then(Value::as_str).filter(|name| !name.is_empty() && !name.contains('/'))
        {
            let id = ObjectId::new(namespace, word, name);
            if !found.contains(&id) {
                found.push(id);
            }
        }
    };
    for volume in list(spec, "volumes") {
        mention("configmap", volume, "/configMap/name");
        mention("secret", volume, "/secret/secretName");
        mention("persistentvolumeclaim", volume, "/persistentVolumeClaim/claimName");
        for projected in volume.get("projected").into_iter().flat_map(|projected| list(projected, "sources")) {
            mention("configmap", projected, "/configMap/name");
            mention("secret", projected, "/secret/name");
        }
    }
    for secret in list(spec, "imagePullSecrets") {
        mention("secret", secret, "/name");
    }
    for container in ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|key| list(spec, key))
    {
        for variable in list(container, "env") {
            mention("configmap", variable, "/valueFrom/configMapKeyRef/name");
            mention("secret", variable, "/valueFrom/secretKeyRef/name");
        }
        for all in list(container, "envFrom") {
            mention("configmap", all, "/configMapRef/name");
            mention("secret", all, "/secretRef/name");
        }
    }
    found
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

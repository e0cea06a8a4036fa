//! The kinds that come down, by the word they have in a resource: `<namespace>/pod/<name>`.

use edgeward_objects::{GroupResource, GroupVersionKind};
use edgeward_store::Key;

/// One kind a node may hold.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Lower-case kind, as in `route.resource`.
    pub(crate) word: &'static str,
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
}

const fn kind(
    word: &'static str,
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
) -> Kind {
    Kind { word, group, version, plural, kind }
}

pub(crate) const POD: &Kind = &KINDS[0];
pub(crate) const NODE: &Kind = &KINDS[1];
pub(crate) const CONFIG_MAP: &Kind = &KINDS[2];
pub(crate) const SECRET: &Kind = &KINDS[3];
pub(crate) const DEVICE: &Kind = &KINDS[4];
pub(crate) const DEVICE_MODEL: &Kind = &KINDS[5];
pub(crate) const DEVICE_STATUS: &Kind = &KINDS[6];
pub(crate) const EVENT: &Kind = &KINDS[7];

/// What a node may be sent. A message about anything else is counted and not kept.
pub(crate) const KINDS: &[Kind] = &[
    kind("pod", "", "v1", "pods", "Pod"),
    kind("node", "", "v1", "nodes", "Node"),
    kind("configmap", "", "v1", "configmaps", "ConfigMap"),
    kind("secret", "", "v1", "secrets", "Secret"),
    kind("device", "devices.kubeedge.io", "v1beta1", "devices", "Device"),
    kind("devicemodel", "devices.kubeedge.io", "v1beta1", "devicemodels", "DeviceModel"),
    kind("devicestatus", "devices.kubeedge.io", "v1beta1", "devicestatuses", "DeviceStatus"),
    kind("event", "", "v1", "events", "Event"),
    kind("service", "", "v1", "services", "Service"),
    kind("endpoints", "", "v1", "endpoints", "Endpoints"),
    kind("endpointslice", "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    kind("serviceaccount", "", "v1", "serviceaccounts", "ServiceAccount"),
    kind("namespace", "", "v1", "namespaces", "Namespace"),
    kind("persistentvolume", "", "v1", "persistentvolumes", "PersistentVolume"),
    kind("persistentvolumeclaim", "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    kind(
        "customresourcedefinition",
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
    ),
];

/// The kind of a resource word.
pub(crate) fn by_word(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == word)
}

impl Kind {
    pub(crate) fn resource(&self) -> GroupResource {
        GroupResource::new(self.group, self.plural)
    }

    pub(crate) fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.group, self.version, self.kind)
    }

    /// The address of an object of this kind.
    pub(crate) fn key(&self, namespace: Option<&str>, name: &str) -> Key {
        Key::new(self.resource(), namespace, name)
    }

    /// Whether a key addresses an object of this kind.
    pub(crate) fn is(&self, key: &Key) -> bool {
        &*key.resource.plural == self.plural && &*key.resource.group == self.group
    }
}

//! Discovery documents in both forms: one document per group-version (what clients before 1.27 and some calls of newer ones
//! ask), and everything at once (apidiscovery.k8s.io/v2).

use std::collections::HashMap;

use edgeward_objects::{GroupVersionKind, ResourceType, Subresource};
use serde_json::{Map, Value, json};

use super::{Catalog, Group, Version};
use crate::http::reply::Tagged;

/// Every discovery document of one catalog.
pub(super) struct Documents {
    pub(super) core_legacy: Tagged,
    pub(super) core_aggregated: Tagged,
    pub(super) groups_legacy: Tagged,
    pub(super) groups_aggregated: Tagged,
    pub(super) groups: HashMap<String, Tagged>,
    pub(super) versions: HashMap<(String, String), Tagged>,
}

impl Documents {
    pub(super) fn render(catalog: &Catalog) -> Self {
        let (core, named): (Vec<&Group>, Vec<&Group>) = catalog.groups.iter().partition(|group| group.name.is_empty());
        let legacy: Vec<Value> = named.iter().map(|group| legacy_group(group)).collect();
        let groups = named.iter().map(|group| (group.name.clone(), group_document(group))).collect();
        let versions =
            catalog.groups.iter().flat_map(|group| group.versions.iter().map(move |version| (group, version)));
        let versions = versions.map(|(group, version)| {
            ((group.name.clone(), version.name.clone()), tagged(&legacy_version(group, version)))
        });
        Self {
            core_legacy: tagged(&json!({
                "kind": "APIVersions",
                "versions": core.iter().flat_map(|group| &group.versions).map(|v| v.name.as_str()).collect::<Vec<_>>(),
                "serverAddressByClientCIDRs": [],
            })),
            core_aggregated: aggregated(&core),
            groups_legacy: tagged(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": legacy})),
            groups_aggregated: aggregated(&named),
            groups,
            versions: versions.collect(),
        }
    }
}

fn tagged(document: &Value) -> Tagged {
    Tagged::new(document.to_string().into_bytes())
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn legacy_group(group: &Group) -> Value {
    let version =
        |version: &Version| json!({"groupVersion": api_version(&group.name, &version.name), "version": version.name});
    json!({
        "name": group.name,
        "versions": group.versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": group.versions.first().map(version),
    })
}

fn group_document(group: &Group) -> Tagged {
    let mut document = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Some(document), Value::Object(group)) = (document.as_object_mut(), legacy_group(group)) {
        document.extend(group);
    }
    tagged(&document)
}

fn legacy_version(group: &Group, version: &Version) -> Value {
    let mut resources = Vec::new();
    for served in &version.resources {
        resources.push(legacy_resource(&served.kind));
        resources.extend(served.kind.subresources.iter().map(|sub| legacy_subresource(&served.kind, sub)));
    }
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(&group.name, &version.name),
        "resources": resources,
    })
}

fn legacy_resource(kind: &ResourceType) -> Value {
    let mut resource = json!({
        "name": &*kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": kind.verbs,
    });
    names(&mut resource, kind);
    resource
}

fn legacy_subresource(parent: &ResourceType, sub: &Subresource) -> Value {
    let mut resource = Map::new();
    resource.insert("name".into(), json!(format!("{}/{}", parent.plural, sub.name)));
    resource.insert("singularName".into(), json!(""));
    resource.insert("namespaced".into(), json!(parent.namespaced));
    if *sub.kind.group != *parent.group || *sub.kind.version != *parent.version {
        resource.insert("group".into(), json!(sub.kind.group));
        resource.insert("version".into(), json!(sub.kind.version));
    }
    resource.insert("kind".into(), json!(sub.kind.kind));
    resource.insert("verbs".into(), json!(sub.verbs));
    Value::Object(resource)
}

fn names(resource: &mut Value, kind: &ResourceType) {
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
}

fn aggregated(groups: &[&Group]) -> Tagged {
    let items: Vec<Value> = groups.iter().map(|group| aggregated_group(group)).collect();
    let kind = "APIGroupDiscoveryList";
    tagged(&json!({"kind": kind, "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}))
}

fn aggregated_group(group: &Group) -> Value {
    let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": group.name}) };
    let version = |version: &Version| {
        let resources: Vec<Value> = version.resources.iter().map(|served| aggregated_resource(&served.kind)).collect();
        json!({"version": version.name, "resources": resources, "freshness": "Current"})
    };
    json!({"metadata": metadata, "versions": group.versions.iter().map(version).collect::<Vec<_>>()})
}

fn aggregated_resource(kind: &ResourceType) -> Value {
    let mut resource = json!({
        "resource": &*kind.plural,
        "responseKind": response_kind(&kind.gvk()),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    names(&mut resource, kind);
    if !kind.subresources.is_empty() {
        let subs = kind
            .subresources
            .iter()
            .map(|sub| json!({"subresource": sub.name, "responseKind": response_kind(&sub.kind), "verbs": sub.verbs}));
        resource["subresources"] = subs.collect();
    }
    resource
}

fn response_kind(gvk: &GroupVersionKind) -> Value {
    json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind})
}

//! OpenAPI as far as clients need it: per group-version a document whose PATCH operations name their kind and take
//! `fieldValidation` and `dryRun`. kubectl then leaves validation to the server. The strategic merge type is not listed on
//! purpose: kubectl falls back to its compiled-in merge keys, which are right for built-ins.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Catalog, Group, Served, Version};
use crate::http::reply::Tagged;

/// The root document and one document per group-version, by path (`apis/apps/v1`).
pub(super) struct Documents {
    pub(super) root: Tagged,
    pub(super) versions: HashMap<String, Tagged>,
}

impl Documents {
    pub(super) fn render(catalog: &Catalog) -> Self {
        let (mut paths, mut versions) = (Map::new(), HashMap::new());
        for (group, version) in
            catalog.groups.iter().flat_map(|group| group.versions.iter().map(move |version| (group, version)))
        {
            let path = prefix(group, version);
            let document = Tagged::new(document(&path, version).to_string().into_bytes());
            let url = format!("/openapi/v3/{path}?hash={}", document.etag);
            paths.insert(path.clone(), json!({"serverRelativeURL": url}));
            versions.insert(path, document);
        }
        Self { root: Tagged::new(json!({"paths": paths}).to_string().into_bytes()), versions }
    }
}

fn prefix(group: &Group, version: &Version) -> String {
    if group.name.is_empty() {
        format!("api/{}", version.name)
    } else {
        format!("apis/{}/{}", group.name, version.name)
    }
}

fn document(prefix: &str, version: &Version) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for served in version.resources.iter().filter(|served| served.kind.allows("patch")) {
        let scope = if served.kind.namespaced { "namespaces/{namespace}/" } else { "" };
        paths.insert(format!("/{prefix}/{scope}{}/{{name}}", served.kind.plural), operations(served));
        if let Some((name, schema)) = custom_schema(served) {
            schemas.insert(name, schema);
        }
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": crate::system::GIT_VERSION},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn kind(served: &Served) -> Value {
    json!({"group": &*served.kind.group, "version": &*served.kind.version, "kind": served.kind.kind})
}

fn operations(served: &Served) -> Value {
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let parameters = ["dryRun", "fieldManager", "fieldValidation"].map(parameter);
    json!({"patch": {
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": kind(served),
        "parameters": parameters,
        "requestBody": {"content": {"application/json-patch+json": {}, "application/merge-patch+json": {}}},
        "responses": {"200": {"description": "OK"}},
    }})
}

/// The schema of a custom resource, under the reversed group name upstream uses, so that `kubectl explain` finds it.
fn custom_schema(served: &Served) -> Option<(String, Value)> {
    let mut schema = served.custom.as_ref()?.schema_source.as_deref()?.clone();
    let map = schema.as_object_mut()?;
    map.insert("x-kubernetes-group-version-kind".into(), json!([kind(served)]));
    let reversed: Vec<&str> = served.kind.group.split('.').rev().collect();
    Some((format!("{}.{}.{}", reversed.join("."), served.kind.version, served.kind.kind), schema))
}

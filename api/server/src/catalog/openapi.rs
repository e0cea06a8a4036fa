//! The OpenAPI documents of a catalog: the stubs of `edgeward_schema`, and the schemas of custom resources beside them, so that
//! `kubectl explain` knows those.

use std::collections::HashMap;

use edgeward_schema::{openapi_document, openapi_index};
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
        let (mut versions, mut hashes) = (HashMap::new(), Vec::new());
        for (group, version) in
            catalog.groups.iter().flat_map(|group| group.versions.iter().map(move |version| (group, version)))
        {
            let path = prefix(group, version);
            let document = Tagged::new(document(version).to_string().into_bytes());
            hashes.push((path.clone(), document.etag.clone()));
            versions.insert(path, document);
        }
        let index = openapi_index(hashes.iter().map(|(path, hash)| (path.as_str(), hash.as_str())));
        Self { root: Tagged::new(index.to_string().into_bytes()), versions }
    }
}

fn prefix(group: &Group, version: &Version) -> String {
    if group.name.is_empty() {
        format!("api/{}", version.name)
    } else {
        format!("apis/{}/{}", group.name, version.name)
    }
}

fn document(version: &Version) -> Value {
    let mut document = openapi_document(version.resources.iter().map(|served| &served.kind));
    let schemas: Map<String, Value> = version.resources.iter().filter_map(|served| custom_schema(served)).collect();
    if !schemas.is_empty() {
        document["components"] = json!({"schemas": schemas});
    }
    document
}

/// The schema of a custom resource, under the reversed group name upstream uses, so that `kubectl explain` finds it.
fn custom_schema(served: &Served) -> Option<(String, Value)> {
    let mut schema = served.custom.as_ref()?.schema_source.as_deref()?.clone();
    let map = schema.as_object_mut()?;
    map.insert(
        "x-kubernetes-group-version-kind".into(),
        json!([{"group": &*served.kind.group, "version": &*served.kind.version, "kind": served.kind.kind}]),
    );
    let reversed: Vec<&str> = served.kind.group.split('.').rev().collect();
    Some((format!("{}.{}.{}", reversed.join("."), served.kind.version, served.kind.kind), schema))
}

//! The smallest OpenAPI v3 documents that make clients trust this server: kubectl looks whether PATCH of a kind takes the
//! parameters `fieldValidation` and `dryRun`, and then leaves validation to the server. No media types and no schemas are listed,
//! so clients merge built-in kinds with the keys they were compiled with.

use edgeward_objects::ResourceType;
use serde_json::{Map, Value, json};

/// The document of one group-version: one PATCH per resource that can be patched.
pub fn openapi_document<'a>(resources: impl IntoIterator<Item = &'a ResourceType>) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let mut paths = Map::new();
    for resource in resources.into_iter().filter(|resource| resource.allows("patch")) {
        let kind = json!({"group": &*resource.group, "version": &*resource.version, "kind": resource.kind});
        let patch = json!({
            "x-kubernetes-group-version-kind": kind,
            "parameters": [parameter("dryRun"), parameter("fieldValidation")],
            "responses": {"200": {"description": "OK"}},
        });
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let path = format!("/{}{scope}/{}/{{name}}", base_path(resource), resource.plural);
        paths.insert(path, json!({ "patch": patch }));
    }
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": paths})
}

/// The index at `/openapi/v3`: each group-version's path (`api/v1`, `apis/apps/v1`) and the hash of its document.
pub fn openapi_index<'a>(documents: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let entry = |(path, hash): (&str, &str)| {
        (path.to_owned(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}))
    };
    json!({"paths": documents.into_iter().map(entry).collect::<Map<_, _>>()})
}

fn base_path(resource: &ResourceType) -> String {
    let root = if resource.group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", resource.api_version())
}

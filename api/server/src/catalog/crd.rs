//! What a CustomResourceDefinition says, taken apart for serving.

use std::sync::Arc;

use edgeward_objects::{GroupResource, GroupVersionKind, Object, ResourceType, Subresource};
use edgeward_schema::Schema;
use edgeward_store::Revision;
use serde_json::Value;

use super::{Custom, Served};

/// A CRD as far as the server needs it.
pub(crate) struct Definition {
    /// Condition `Established`.
    pub(crate) established: bool,
    /// Served versions.
    pub(crate) served: Vec<Served>,
    /// Where its objects are stored.
    pub(crate) storage: GroupResource,
}

/// JSON paths of the scale subresource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    /// `.spec.replicas`
    pub(crate) spec: String,
    /// `.status.replicas`
    pub(crate) status: String,
    /// `.status.labelSelector`
    pub(crate) selector: Option<String>,
}

/// One printer column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    pub(crate) path: String,
}

/// Verbs of custom resources in the order upstream lists them.
const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

impl Definition {
    /// Takes a stored CRD apart; `None` if it is none.
    pub(crate) fn parse(crd: &Object, revision: Revision) -> Option<Self> {
        let group: Arc<str> = crd.get_str(&["spec", "group"])?.into();
        let plural: Arc<str> = crd.get_str(&["spec", "names", "plural"])?.into();
        let versions = crd.get_list(&["spec", "versions"]);
        let stored = versions.iter().find(|version| flag(version, "storage"))?;
        let storage_version = format!("{group}/{}", text(stored, "name"));
        let mut served: Vec<Served> = Vec::new();
        for version in versions.iter().filter(|version| flag(version, "served")) {
            let shape = Shape::of(version, served.last());
            let kind = resource_type(crd, &group, &plural, version);
            served.push(serve(kind, version, shape, &storage_version, revision));
        }
        Some(Self { established: condition(crd, "Established"), served, storage: GroupResource::new(group, plural) })
    }
}

/// The schema of one version, compiled and as written.
struct Shape {
    schema: Option<Schema>,
    source: Option<Arc<Value>>,
}

impl Shape {
    /// Versions with equal schemas share them: the platform's own kinds have one schema for all versions.
    fn of(version: &Value, previous: Option<&Served>) -> Self {
        let source = version.pointer("/schema/openAPIV3Schema");
        if let Some(previous) = previous
            && let Some(custom) = &previous.custom
            && custom.schema_source.as_deref() == source
        {
            return Self { schema: previous.schema.clone(), source: custom.schema_source.clone() };
        }
        // A schema that does not compile was refused when it was written; if one is stored all the same, anything goes.
        let schema = source.map(|source| Schema::compile(source, "").unwrap_or_else(|_| Schema::open()));
        Self { schema, source: source.cloned().map(Arc::new) }
    }
}

fn resource_type(crd: &Object, group: &Arc<str>, plural: &Arc<str>, version: &Value) -> ResourceType {
    let names =
        |key: &str| crd.get_list(&["spec", "names", key]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let kind = crd.get_str(&["spec", "names", "kind"]).unwrap_or_default().to_owned();
    let singular = crd.get_str(&["spec", "names", "singular"]).map_or_else(|| kind.to_lowercase(), str::to_owned);
    let list_kind = crd.get_str(&["spec", "names", "listKind"]).map_or_else(|| format!("{kind}List"), str::to_owned);
    let mut resource = ResourceType {
        group: group.clone(),
        version: text(version, "name").into(),
        plural: plural.clone(),
        singular,
        kind,
        list_kind,
        namespaced: crd.get_str(&["spec", "scope"]) == Some("Namespaced"),
        short_names: names("shortNames"),
        categories: names("categories"),
        verbs: VERBS.iter().map(|verb| (*verb).to_owned()).collect(),
        subresources: Vec::new(),
    };
    if version.pointer("/subresources/status").is_some() {
        resource.subresources.push(subresource("status", resource.gvk()));
    }
    if version.pointer("/subresources/scale").is_some() {
        resource.subresources.push(subresource("scale", GroupVersionKind::new("autoscaling", "v1", "Scale")));
    }
    resource
}

fn serve(kind: ResourceType, version: &Value, shape: Shape, storage_version: &str, revision: Revision) -> Served {
    let custom = Custom {
        has_defaults: shape.source.as_deref().is_some_and(has_defaults),
        schema_source: shape.source,
        columns: columns(version),
        scale: version.pointer("/subresources/scale").map(scale_paths),
        deprecation: deprecation(version, &kind),
        revision,
    };
    Served {
        api_version: kind.api_version(),
        resource: kind.group_resource(),
        storage: kind.group_resource(),
        storage_version: storage_version.to_owned(),
        schema: shape.schema,
        custom: Some(custom),
        kind,
    }
}

fn subresource(name: &str, kind: GroupVersionKind) -> Subresource {
    let verbs = ["get", "patch", "update"].map(str::to_owned).to_vec();
    Subresource { name: name.to_owned(), kind, verbs }
}

fn scale_paths(scale: &Value) -> ScalePaths {
    ScalePaths {
        spec: text(scale, "specReplicasPath").to_owned(),
        status: text(scale, "statusReplicasPath").to_owned(),
        selector: scale.get("labelSelectorPath").and_then(Value::as_str).map(str::to_owned),
    }
}

/// The columns after the name. Without any, Kubernetes prints the age.
fn columns(version: &Value) -> Vec<Column> {
    let given = version.get("additionalPrinterColumns").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if given.is_empty() {
        let description = "CreationTimestamp is a timestamp representing the server time when this object was created.";
        return vec![Column {
            name: "Age".into(),
            kind: "date".into(),
            format: String::new(),
            description: description.into(),
            priority: 0,
            path: ".metadata.creationTimestamp".into(),
        }];
    }
    let column = |column: &Value| Column {
        name: text(column, "name").to_owned(),
        kind: text(column, "type").to_owned(),
        format: text(column, "format").to_owned(),
        description: text(column, "description").to_owned(),
        priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
        path: text(column, "jsonPath").to_owned(),
    };
    given.iter().map(column).collect()
}

fn deprecation(version: &Value, kind: &ResourceType) -> Option<String> {
    if !flag(version, "deprecated") {
        return None;
    }
    let given = version.get("deprecationWarning").and_then(Value::as_str).filter(|text| !text.is_empty());
    Some(given.map_or_else(|| format!("{}/{} {} is deprecated", kind.group, kind.version, kind.kind), str::to_owned))
}

/// Whether a condition of an object is `True`.
pub(crate) fn condition(object: &Object, kind: &str) -> bool {
    let mut conditions = object.get_list(&["status", "conditions"]).iter();
    conditions.any(|condition| text(condition, "type") == kind && text(condition, "status") == "True")
}

/// Whether any level of a schema has a default.
fn has_defaults(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.iter().any(|(key, value)| key == "default" || has_defaults(value)),
        Value::Array(list) => list.iter().any(has_defaults),
        _ => false,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// Sorts versions as Kubernetes does: GA above beta above alpha, higher numbers first, other names last by name.
pub(super) fn version_order(name: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let other = || (0, 0, 0, std::cmp::Reverse(name.to_owned()));
    let Some(rest) = name.strip_prefix('v') else { return other() };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let Ok(major) = rest[..digits].parse::<u64>() else { return other() };
    let (stage, minor) = match &rest[digits..] {
        "" => (3, ""),
        tail if tail.starts_with("beta") => (2, &tail[4..]),
        tail if tail.starts_with("alpha") => (1, &tail[5..]),
        _ => return other(),
    };
    match minor.parse::<u64>() {
        Ok(minor) => (stage, major, minor, std::cmp::Reverse(String::new())),
        Err(_) if minor.is_empty() => (stage, major, 0, std::cmp::Reverse(String::new())),
        Err(_) => other(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_in_kubernetes() {
        let mut names =
            ["foo10", "v1", "v10", "v11alpha2", "v11beta2", "v2", "v3beta1", "v12alpha1", "foo1", "v10beta3"];
        names.sort_by_key(|name| std::cmp::Reverse(version_order(name)));
        let expected =
            ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_definition_is_taken_apart() {
        let crd = Object::from_value(serde_json::json!({
            "spec": {
                "group": "g.io", "scope": "Cluster",
                "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
                "versions": [
                    {"name": "v1", "served": true, "storage": true, "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}}},
                    {"name": "v1alpha1", "served": true, "deprecated": true},
                    {"name": "v0", "served": false},
                ]
            },
            "status": {"conditions": [{"type": "Established", "status": "True"}]}
        })).unwrap();
        let definition = Definition::parse(&crd, 7).unwrap();
        assert!(definition.established);
        let [v1, old] = definition.served.as_slice() else { panic!("two versions are served") };
        assert_eq!(
            (v1.kind.subresources.len(), &*v1.kind.list_kind, &*v1.storage_version),
            (2, "ThingList", "g.io/v1")
        );
        let custom = old.custom.as_ref().unwrap();
        assert_eq!(custom.deprecation.as_deref(), Some("g.io/v1alpha1 Thing is deprecated"));
        assert_eq!((custom.columns.len(), custom.columns[0].name.as_str()), (1, "Age"));
        assert!(Definition::parse(&Object::default(), 1).is_none());
    }
}

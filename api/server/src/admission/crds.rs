//! CustomResourceDefinitions: names, versions and conditions. A definition is served from the moment it is stored.

use edgeward_objects::{ApiError, Cause, Object, names};
use edgeward_service::clock;
use serde_json::{Value, json};

use crate::call::Call;
use crate::catalog::Catalog;

/// Checks a definition and sets what the server decides in it.
pub(crate) fn admit(call: &Call, object: &mut Object, old: Option<&Object>) -> Result<(), ApiError> {
    complete(object);
    let causes = faults(object, old);
    if !causes.is_empty() {
        return Err(call.invalid(object.name(), causes));
    }
    let catalog = call.server.catalog();
    set_conditions(object, &catalog);
    Ok(())
}

/// Fills in the names that follow from others.
pub(crate) fn complete(object: &mut Object) {
    let kind = object.get_str(&["spec", "names", "kind"]).unwrap_or_default().to_owned();
    if object.get(&["spec", "names", "singular"]).is_none() {
        object.set(&["spec", "names", "singular"], kind.to_lowercase());
    }
    if object.get(&["spec", "names", "listKind"]).is_none() {
        object.set(&["spec", "names", "listKind"], format!("{kind}List"));
    }
    if object.get(&["spec", "conversion"]).is_none() {
        object.set(&["spec", "conversion"], json!({"strategy": "None"}));
    }
}

/// What is wrong with a definition, as far as names and versions go.
pub(crate) fn faults(object: &Object, old: Option<&Object>) -> Vec<Cause> {
    let text = |path: &[&str]| object.get_str(path).unwrap_or_default().to_owned();
    let (group, plural, scope) =
        (text(&["spec", "group"]), text(&["spec", "names", "plural"]), text(&["spec", "scope"]));
    let mut causes = Vec::new();
    for (field, value) in
        [("spec.group", &group), ("spec.names.plural", &plural), ("spec.names.kind", &text(&["spec", "names", "kind"]))]
    {
        if value.is_empty() {
            causes.push(Cause::required(field, ""));
        }
    }
    let expected = format!("{plural}.{group}");
    if causes.is_empty() && object.name() != expected {
        causes.push(Cause::invalid(
            "metadata.name",
            &json!(object.name()),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    causes.extend(
        names::dns1035_label(&plural)
            .into_iter()
            .filter(|_| !plural.is_empty())
            .map(|fault| Cause::invalid("spec.names.plural", &json!(plural), &fault)),
    );
    if !matches!(scope.as_str(), "Cluster" | "Namespaced") {
        causes.push(Cause::unsupported("spec.scope", &json!(scope), ["Cluster", "Namespaced"]));
    }
    for (path, value) in
        [("spec.scope", scope), ("spec.group", group), ("spec.names.kind", text(&["spec", "names", "kind"]))]
    {
        let keys: Vec<&str> = path.split('.').collect();
        if old.is_some_and(|old| old.get_str(&keys).unwrap_or_default() != value) {
            causes.push(Cause::invalid(path, &json!(value), "field is immutable"));
        }
    }
    causes.extend(version_faults(object));
    causes
}

fn version_faults(object: &Object) -> Vec<Cause> {
    let versions = object.get_list(&["spec", "versions"]);
    let flag = |version: &Value, key: &str| version.get(key).and_then(Value::as_bool).unwrap_or(false);
    let mut causes = Vec::new();
    if versions.is_empty() {
        causes.push(Cause::required("spec.versions", "must specify at least one version"));
        return causes;
    }
    if versions.iter().filter(|version| flag(version, "storage")).count() != 1 {
        causes.push(Cause::invalid(
            "spec.versions",
            &json!(versions.len()),
            "must have exactly one version marked as storage version",
        ));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        let at = format!("spec.versions[{index}]");
        let name = version.get("name").and_then(Value::as_str).unwrap_or_default();
        if seen.contains(&name) {
            causes.push(Cause::duplicate(format!("{at}.name"), &json!(name)));
        }
        seen.push(name);
        causes.extend(
            names::dns1035_label(name)
                .into_iter()
                .map(|fault| Cause::invalid(format!("{at}.name"), &json!(name), &fault)),
        );
        match version.pointer("/schema/openAPIV3Schema") {
            None => causes.push(Cause::required(format!("{at}.schema.openAPIV3Schema"), "schemas are required")),
            Some(_) => {}
        }
    }
    causes
}

/// Writes the conditions. Names that another resource of the group has are not accepted, and then nothing is served.
pub(crate) fn set_conditions(object: &mut Object, catalog: &Catalog) {
    let conflict = taken(object, catalog);
    let now = object
        .get_list(&["status", "conditions"])
        .first()
        .and_then(|condition| condition.get("lastTransitionTime")?.as_str().map(str::to_owned))
        .unwrap_or_else(clock::now_rfc3339);
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message});
    let conditions = match &conflict {
        None => json!([
            condition("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
            condition("Established", "True", "InitialNamesAccepted", "the initial names have been accepted"),
        ]),
        Some(name) => json!([
            condition("NamesAccepted", "False", "PluralConflict", &format!("{name:?} is already in use")),
            condition("Established", "False", "NotAccepted", "not all names are accepted"),
        ]),
    };
    let storage =
        object.get_list(&["spec", "versions"]).iter().find(|version| version.get("storage") == Some(&json!(true)));
    let stored = storage.and_then(|version| version.get("name")).cloned().unwrap_or(Value::Null);
    let mut versions = object.get_list(&["status", "storedVersions"]).to_vec();
    if !versions.contains(&stored) {
        versions.push(stored);
    }
    let names = object.get(&["spec", "names"]).cloned().unwrap_or(Value::Null);
    object.set(&["status", "conditions"], conditions);
    object
        .set(&["status", "acceptedNames"], if conflict.is_none() { names } else { json!({"plural": "", "kind": ""}) });
    object.set(&["status", "storedVersions"], versions);
}

/// A name of this definition that another resource of its group has.
fn taken(object: &Object, catalog: &Catalog) -> Option<String> {
    let group = object.get_str(&["spec", "group"])?;
    let plural = object.get_str(&["spec", "names", "plural"])?;
    let kind = object.get_str(&["spec", "names", "kind"])?;
    let mut others = catalog.all().filter(|served| &*served.kind.group == group);
    others.find_map(|served| match (&*served.kind.plural == plural, served.kind.kind == kind) {
        (true, _) if served.custom.is_none() => Some(plural.to_owned()),
        (false, true) => Some(kind.to_owned()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_their_fields() {
        let good = json!({
            "metadata": {"name": "things.g.io"},
            "spec": {"group": "g.io", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}
        });
        let with = |pointer: &str, value: Value| {
            let mut changed = good.clone();
            if let Some(place) = changed.pointer_mut(pointer) {
                *place = value;
            }
            let object = Object::from_value(changed).unwrap();
            faults(&object, None).iter().map(|cause| cause.field.clone()).collect::<Vec<_>>().join(",")
        };
        let cases = [
            ("/none", json!(1), ""),
            ("/metadata/name", json!("other"), "metadata.name"),
            ("/spec/group", json!(""), "spec.group"),
            ("/spec/scope", json!("Everywhere"), "spec.scope"),
            ("/spec/names/plural", json!("Things"), "metadata.name,spec.names.plural"),
            ("/spec/versions", json!([]), "spec.versions"),
            ("/spec/versions/0/storage", json!(false), "spec.versions"),
            ("/spec/versions/0/schema", json!({}), "spec.versions[0].schema.openAPIV3Schema"),
        ];
        for (pointer, value, expected) in cases {
            assert_eq!(with(pointer, value), expected, "{pointer}");
        }
        let object = Object::from_value(good.clone()).unwrap();
        let mut other = object.clone();
        other.set(&["spec", "scope"], "Cluster");
        assert_eq!(faults(&other, Some(&object))[0].field, "spec.scope");
    }
}

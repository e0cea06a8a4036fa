//! CustomResourceDefinitions: names, versions and conditions. A definition is served from the moment it is stored.

use edgeward_objects::{ApiError, Cause, Object, names};
use edgeward_service::clock;
use serde_json::{Value, json};

use crate::call::Call;
use crate::catalog::Catalog;

/// Checks what the schema of definitions cannot see, and sets what the server decides.
pub(crate) fn admit(call: &Call, object: &mut Object, old: Option<&Object>) -> Result<(), ApiError> {
    let causes = faults(object, old);
    if !causes.is_empty() {
        return Err(call.invalid(object.name(), causes));
    }
    set_conditions(object, &call.server.catalog());
    Ok(())
}

/// Names of versions, and what may not change in a definition that has objects.
fn faults(object: &Object, old: Option<&Object>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for path in ["spec.scope", "spec.group", "spec.names.kind"] {
        let keys: Vec<&str> = path.split('.').collect();
        let (before, after) = (old.and_then(|old| old.get(&keys)), object.get(&keys));
        if old.is_some() && before != after {
            causes.push(Cause::invalid(path, after.unwrap_or(&Value::Null), "field is immutable"));
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, version) in object.get_list(&["spec", "versions"]).iter().enumerate() {
        let (at, name) =
            (format!("spec.versions[{index}].name"), version.get("name").and_then(Value::as_str).unwrap_or_default());
        if seen.contains(&name) {
            causes.push(Cause::duplicate(at, &json!(name)));
        } else {
            causes
                .extend(names::dns1035_label(name).into_iter().map(|fault| Cause::invalid(&at, &json!(name), &fault)));
        }
        seen.push(name);
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
        let crd = |scope: &str, versions: &[&str]| {
            let versions: Vec<Value> = versions.iter().map(|name| json!({"name": name})).collect();
            Object::from_value(json!({"spec": {"scope": scope, "versions": versions}})).unwrap()
        };
        let old = crd("Cluster", &["v1"]);
        let cases = [
            (crd("Cluster", &["v1", "v2"]), ""),
            (crd("Namespaced", &["v1"]), "spec.scope"),
            (crd("Cluster", &["v1", "v1"]), "spec.versions[1].name"),
            (crd("Cluster", &["V1"]), "spec.versions[0].name"),
        ];
        for (new, expected) in cases {
            let fields: Vec<String> = faults(&new, Some(&old)).into_iter().map(|cause| cause.field).collect();
            assert_eq!(fields.join(","), expected);
        }
    }
}

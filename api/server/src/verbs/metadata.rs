//! The metadata a server owns: uid, times, generation, names.

use edgeward_objects::{ApiError, Cause, Object, names};
use edgeward_service::clock;

use crate::call::Call;
use crate::catalog::Served;

/// What clients may send but the server alone decides.
const SERVER_OWNED: [&str; 4] = ["selfLink", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// Gives a new object its identity.
pub(crate) fn begin(call: &Call, object: &mut Object) -> Result<(), ApiError> {
    if !object.resource_version().is_empty() {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    for key in SERVER_OWNED.iter().chain(&["resourceVersion"]) {
        object.remove(&["metadata", key]);
    }
    if object.name().is_empty() {
        let Some(prefix) = object.generate_name() else {
            let cause = Cause::required("metadata.name", "name or generateName is required");
            return Err(call.invalid("", vec![cause]));
        };
        let name = names::generate(prefix);
        object.set(&["metadata", "name"], name);
    }
    object.set(&["metadata", "uid"], uuid::Uuid::new_v4().to_string());
    object.set(&["metadata", "creationTimestamp"], clock::now_rfc3339());
    object.remove(&["metadata", "generation"]);
    if has_generation(&call.served, object) {
        object.set(&["metadata", "generation"], 1);
    }
    Ok(())
}

/// Carries over what an update cannot change and checks what it claims about the object.
pub(crate) fn carry(call: &Call, old: &Object, new: &mut Object) -> Result<(), ApiError> {
    let uid = new.uid();
    if !uid.is_empty() && uid != old.uid() {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", old.uid());
        return Err(ApiError::conflict(&call.served.resource, old.name(), &why));
    }
    for key in
        ["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"]
    {
        match old.get(&["metadata", key]) {
            Some(value) => new.set(&["metadata", key], value.clone()),
            None => {
                new.remove(&["metadata", key]);
            }
        }
    }
    for key in ["selfLink", "managedFields"] {
        new.remove(&["metadata", key]);
    }
    Ok(())
}

/// Raises the generation if what the user wants has changed.
pub(crate) fn bump_generation(served: &Served, old: &Object, new: &mut Object) {
    if has_generation(served, new) && desired_differs(served, old, new) {
        new.set(&["metadata", "generation"], old.generation() + 1);
    }
}

/// Built-ins count changes of their spec; custom resources count changes of anything but metadata and status.
fn desired_differs(served: &Served, old: &Object, new: &Object) -> bool {
    if served.custom.is_none() {
        return old.get(&["spec"]) != new.get(&["spec"]);
    }
    let skip =
        |key: &str| matches!(key, "apiVersion" | "kind" | "metadata") || (key == "status" && served.has_status());
    let wanted = |object: &Object| object.as_map().iter().filter(|(key, _)| !skip(key)).count();
    wanted(old) != wanted(new) || new.as_map().iter().any(|(key, value)| !skip(key) && old.get(&[key]) != Some(value))
}

fn has_generation(served: &Served, object: &Object) -> bool {
    let core_without =
        served.resource.group.is_empty() && !matches!(&*served.resource.plural, "pods" | "replicationcontrollers");
    served.custom.is_some()
        || (object.get(&["spec"]).is_some() && !core_without && &*served.resource.group != "coordination.k8s.io")
}

//! The lifecycle of namespaces as far as the API refuses or fills in; emptying one that ends is a controller's work.

use edgeward_objects::{ApiError, Cause, CauseReason, Details, GroupResource, Object};
use edgeward_store::Key;
use serde_json::json;

use crate::call::Call;

/// Namespaces Kubernetes never deletes.
const PROTECTED: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Refuses new objects where there is no namespace, or one that is going.
pub(crate) async fn check_open(call: &Call) -> Result<(), ApiError> {
    let Some(name) = call.namespace() else { return Ok(()) };
    let resource = GroupResource::new("", "namespaces");
    let found =
        call.server.store.get(Key::new(resource.clone(), None, name)).await.map_err(|error| call.refused(error))?;
    let Some(entry) = found else { return Err(ApiError::not_found(&resource, name)) };
    let namespace = Object::from_bytes(&entry.value).unwrap_or_default();
    if !namespace.is_deleting() {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut error = ApiError::forbidden(&call.served.resource, call.name(), &why);
    let cause =
        Cause::new(CauseReason::Unspecified, "metadata.namespace", format!("namespace {name} is being terminated"));
    let details = error.details.take().map(|details| *details).unwrap_or_default();
    Err(error.with(Details { causes: vec![cause], ..details }))
}

/// A new namespace: held by the finalizer its controller removes when it is empty.
pub(crate) fn begin(object: &mut Object) {
    object.set(&["spec", "finalizers"], json!(["kubernetes"]));
    object.set(&["status", "phase"], "Active");
    let name = object.name().to_owned();
    object.set(&["metadata", "labels", "kubernetes.io/metadata.name"], name);
}

/// Refuses to delete what the cluster cannot do without.
pub(crate) fn check_deletable(call: &Call, name: &str) -> Result<(), ApiError> {
    if PROTECTED.contains(&name) {
        return Err(ApiError::forbidden(&call.served.resource, name, "this namespace may not be deleted"));
    }
    Ok(())
}

//! From the body of a write to an object that fits its path.

use edgeward_objects::{ApiError, Object};

use crate::call::Call;

/// The body as an object of the served kind, in the path's namespace.
pub(crate) fn object(call: &Call) -> Result<Object, ApiError> {
    fit(call, call.body_object()?)
}

/// Checks an object against the path it was sent to and fills in what the path says.
pub(crate) fn fit(call: &Call, mut object: Object) -> Result<Object, ApiError> {
    let served = &call.served;
    if object.api_version().is_empty() || object.kind().is_empty() {
        if served.custom.is_some() {
            return Err(ApiError::bad_request("Object 'Kind' or 'apiVersion' is missing in the request body"));
        }
        object.set_gvk(&served.kind.gvk());
    }
    if object.api_version() != served.api_version {
        let text = format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            object.api_version(),
            served.api_version
        );
        return Err(ApiError::bad_request(text));
    }
    if object.kind() != served.kind.kind {
        let text =
            format!("the kind in the data ({}) does not match the expected kind ({})", object.kind(), served.kind.kind);
        return Err(ApiError::bad_request(text));
    }
    if object.get(&["metadata"]).is_none_or(|metadata| !metadata.is_object()) {
        object.set(&["metadata"], serde_json::Map::new());
    }
    set_namespace(call, &mut object)?;
    Ok(object)
}

fn set_namespace(call: &Call, object: &mut Object) -> Result<(), ApiError> {
    if !call.served.kind.namespaced {
        object.remove(&["metadata", "namespace"]);
        return Ok(());
    }
    let given = object.namespace().unwrap_or_default().to_owned();
    match call.namespace() {
        Some(namespace) if given.is_empty() => object.set(&["metadata", "namespace"], namespace),
        Some(namespace) if given == namespace => {}
        Some(_) => {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        None => return Err(ApiError::bad_request("an empty namespace may not be set during creation")),
    }
    Ok(())
}

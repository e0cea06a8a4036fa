//! Reading one object.

use edgeward_objects::ApiError;
use http::StatusCode;

use crate::call::Call;
use crate::http::reply::Reply;

/// `get`. A resourceVersion of the future is answered when it has come, which in one store it never does: 504.
pub(crate) async fn get(call: &Call) -> Result<Reply, ApiError> {
    let current = call.server.store.revision();
    let asked = call.query.get("resourceVersion").unwrap_or("0");
    match asked.parse::<u64>() {
        Ok(asked) if asked > current => return Err(ApiError::too_large_resource_version(asked, current)),
        Ok(_) => {}
        Err(_) => return Err(invalid_resource_version(asked)),
    }
    let entry = call.stored().await?;
    call.answer(StatusCode::OK, &entry)
}

/// 400 for a resourceVersion that is no number.
pub(crate) fn invalid_resource_version(text: &str) -> ApiError {
    ApiError::bad_request(format!(
        "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
    ))
}

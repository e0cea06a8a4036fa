//! Certificate requests: who asked is what the server saw, not what the request says.

use edgeward_objects::Object;
use serde_json::json;

use crate::call::Call;

/// Writes the requestor into a new certificate request.
pub(super) fn begin(call: &Call, object: &mut Object) {
    object.set(&["spec", "username"], call.identity.user.as_str());
    object.set(&["spec", "groups"], json!(call.identity.groups));
    object.remove(&["spec", "uid"]);
    object.remove(&["spec", "extra"]);
}

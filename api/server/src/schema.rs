//! Schemas at work on writes: metadata rules, unknown fields, defaults, validation.

use edgeward_objects::names::{NameRule, check_metadata};
use edgeward_objects::{ApiError, Object};

use crate::call::Call;

/// Checks a new or changed object against the rules of its kind and fills in defaults.
pub(crate) fn admit(call: &Call, object: &mut Object, _old: Option<&Object>) -> Result<(), ApiError> {
    let causes = check_metadata(object, NameRule::of(&call.served.storage));
    if causes.is_empty() { Ok(()) } else { Err(call.invalid(object.name(), causes)) }
}

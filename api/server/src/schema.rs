//! Schemas at work on writes: unknown fields, defaults, validation. The rules themselves are in `edgeward_schema`.

use edgeward_objects::names::{NameRule, check_metadata};
use edgeward_objects::{ApiError, Cause, Object};

use crate::call::Call;
use crate::catalog::Served;

/// Checks a new or changed object against the rules of its kind, removes what the kind does not know and fills in defaults.
///
/// A fault the stored object has too does not stop a change: whoever updates a status need not repair a spec that was
/// stored before its schema became stricter.
pub(crate) fn admit(call: &Call, object: &mut Object, old: Option<&Object>) -> Result<(), ApiError> {
    let served = &call.served;
    if let Some(schema) = &served.schema {
        let unknown = schema.prune(object);
        tell_unknown(call, &unknown)?;
        schema.default(object);
    }
    let mut causes = faults(served, object);
    if !causes.is_empty()
        && let Some(old) = old
    {
        let known = faults(served, old);
        causes.retain(|cause| !known.contains(cause));
    }
    if causes.is_empty() { Ok(()) } else { Err(call.invalid(object.name(), causes)) }
}

/// Everything wrong with an object that was pruned and defaulted.
pub(crate) fn faults(served: &Served, object: &Object) -> Vec<Cause> {
    let mut causes = check_metadata(object, NameRule::of(&served.storage));
    causes.extend(served.schema.as_ref().map(|schema| schema.validate(object)).unwrap_or_default());
    causes
}

/// `fieldValidation`: refuse, warn (what Kubernetes does if nothing is said), or say nothing.
fn tell_unknown(call: &Call, unknown: &[String]) -> Result<(), ApiError> {
    let texts = || unknown.iter().map(|path| format!("unknown field \"{path}\""));
    match call.query.get("fieldValidation") {
        Some("Ignore") => Ok(()),
        None | Some("Warn") => {
            texts().for_each(|text| call.warn(text));
            Ok(())
        }
        Some("Strict") if unknown.is_empty() => Ok(()),
        Some("Strict") => {
            let kind = &call.served.kind;
            Err(ApiError::strict_decoding(&kind.version, &kind.kind, &texts().collect::<Vec<_>>()))
        }
        Some(other) => Err(ApiError::bad_request(format!(
            "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
        ))),
    }
}

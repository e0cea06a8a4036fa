//! Patches: JSON, merge, strategic.

use edgeward_merge::{json_patch, merge_patch, strategic_merge};
use edgeward_objects::{ApiError, Object};
use serde_json::Value;

use super::decode;
use super::update::{self, Part};
use crate::call::{Call, parse_json, parse_yaml};
use crate::http::media;
use crate::http::reply::Reply;
use crate::render;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
/// How often a patch is applied again when somebody else was faster.
const TRIES: usize = 64;

/// `patch`
pub(crate) async fn patch(call: &Call, part: Part) -> Result<Reply, ApiError> {
    let patch = Patch::parse(call)?;
    let mut tries = 0;
    loop {
        let old = call.stored().await?;
        let before = render::object(&old, &call.served)?;
        let mut after = patch.apply(call, &before)?;
        check_identity(call, &before, &after)?;
        // The version is checked only if the patch itself names one; a copy of the stored one always fits.
        if !patch.names_version() {
            after.remove(&["metadata", "resourceVersion"]);
        }
        match update::change(call, part, &old, &before, decode::fit(call, after)?).await {
            Err(error) if error.code == 409 && !patch.names_version() && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

/// A patch as it was sent.
pub(crate) struct Patch {
    kind: Kind,
    document: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Merge,
    Strategic,
}

impl Patch {
    /// Reads the patch of a request; 415 for types this resource does not take.
    pub(crate) fn parse(call: &Call) -> Result<Self, ApiError> {
        let kind = match media::content_type(&call.headers) {
            JSON_PATCH => Kind::Json,
            MERGE_PATCH => Kind::Merge,
            STRATEGIC if call.served.custom.is_none() => Kind::Strategic,
            APPLY | "application/apply-patch+json" => return Err(apply_unsupported()),
            _ if call.served.custom.is_some() => {
                return Err(ApiError::unsupported_media_type(&[JSON_PATCH, MERGE_PATCH]));
            }
            _ => return Err(ApiError::unsupported_media_type(&[JSON_PATCH, MERGE_PATCH, STRATEGIC])),
        };
        // Some clients write patches as YAML, of which JSON is a part.
        let document = parse_json(&call.body)
            .or_else(|error| if call.body.first() == Some(&b'{') { Err(error) } else { parse_yaml(&call.body) })?;
        Ok(Self { kind, document })
    }

    /// Applies it to an object.
    pub(crate) fn apply(&self, call: &Call, object: &Object) -> Result<Object, ApiError> {
        let patched = match self.kind {
            Kind::Json => json_patch(object, &self.document),
            Kind::Merge => merge_patch(object, &self.document),
            Kind::Strategic => strategic_merge(&call.served.kind.gvk(), object, &self.document),
        };
        Ok(patched?)
    }

    /// Applies it to an object of another kind (a Scale), which has no merge keys.
    pub(crate) fn apply_plain(&self, object: &Object) -> Result<Object, ApiError> {
        let patched = match self.kind {
            Kind::Json => json_patch(object, &self.document),
            Kind::Merge | Kind::Strategic => merge_patch(object, &self.document),
        };
        Ok(patched?)
    }

    /// Whether it sets `metadata.resourceVersion` and so asks for a conflict.
    fn names_version(&self) -> bool {
        match &self.document {
            Value::Array(operations) => operations.iter().any(|operation| {
                operation.get("path").and_then(Value::as_str) == Some("/metadata/resourceVersion")
                    && operation.get("op").and_then(Value::as_str) != Some("test")
            }),
            document => document.pointer("/metadata/resourceVersion").is_some_and(|version| !version.is_null()),
        }
    }
}

fn apply_unsupported() -> ApiError {
    let mut error = ApiError::unsupported_media_type(&[JSON_PATCH, MERGE_PATCH, STRATEGIC]);
    error.message =
        format!("server-side apply is not supported by this server yet, use client-side apply; {}", error.message);
    error
}

/// A patch may not make an object another one.
fn check_identity(call: &Call, before: &Object, after: &Object) -> Result<(), ApiError> {
    if after.name() != before.name() {
        let text =
            format!("the name of the object ({}) does not match the name on the URL ({})", after.name(), call.name());
        return Err(ApiError::bad_request(text));
    }
    Ok(())
}

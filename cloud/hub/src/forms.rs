//! The forms in which KubeEdge's edges send content and expect answers.

use std::borrow::Cow;

use edgeward_service::clock::now_ms;
use edgeward_wire::{Content, Envelope, Error, Failure, GoError, ObjectResp, content, group, ok, source};
use serde::Deserialize;

/// How a result is put into the answer.
pub(crate) enum Form {
    /// `{"Object":…,"Err":…}`.
    Resp,
    /// The same, with the object's version in the header.
    VersionedResp,
    /// The object itself, with its version in the header.
    Object,
    /// The object itself.
    Plain,
    /// `"OK"`.
    Ok,
    /// Nothing.
    Silent,
}

/// A form and what goes into it.
pub(crate) type Done = (Form, Result<Content, Failure>);

/// The content with apiVersion and kind, which Go peers leave out.
pub(crate) fn typed(message: &Envelope, api_version: &str, kind: &str) -> Result<Vec<u8>, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Types<'a> {
        #[serde(borrow)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        api_version: Option<Cow<'a, str>>,
    }
    let text = message.content.get();
    let found: Types<'_> = message.read().map_err(|error| bad(&error))?;
    match (found.kind.as_deref(), found.api_version.as_deref(), text.strip_prefix('{')) {
        (Some(found), Some(version), _) if found == kind && version == api_version => Ok(text.as_bytes().to_vec()),
        (None, None, Some(rest)) => {
            let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
            Ok(format!(r#"{{"apiVersion":"{api_version}","kind":"{kind}"{comma}{rest}"#).into_bytes())
        }
        _ => Err(Failure::new(400, "BadRequest", format!("content is not a {kind} of {api_version}"))),
    }
}

/// A message whose content is not what it should be.
pub(crate) fn bad(error: &Error) -> Failure {
    Failure::new(400, "BadRequest", error.to_string())
}

/// Puts a result into the form its asker expects.
pub(crate) fn answer(message: &Envelope, form: &Form, result: Result<Content, Failure>) -> Option<Envelope> {
    let version = match (form, &result) {
        (Form::VersionedResp | Form::Object, Ok(object)) => version_of(object),
        _ => String::new(),
    };
    let body = match (form, result) {
        (Form::Silent, Ok(_)) => return None,
        (Form::Silent, Err(failure)) => {
            tracing::debug!(reason = failure.message, route = ?message.route, "request failed");
            return None;
        }
        (Form::Resp | Form::VersionedResp, Ok(object)) => {
            content(&ObjectResp { object: Some(&object), error: None }).ok()?
        }
        (Form::Resp | Form::VersionedResp, Err(failure)) => {
            content(&ObjectResp { object: None, error: Some(GoError::from(failure)) }).ok()?
        }
        (Form::Object | Form::Plain, Ok(object)) => object,
        (Form::Ok, Ok(_)) => ok(),
        (Form::Object | Form::Plain | Form::Ok, Err(failure)) => content(&GoError::from(failure)).ok()?,
    };
    let answer = message.answer(now_ms(), source::EDGE_CONTROLLER, group::RESOURCE, body);
    Some(if version.is_empty() { answer } else { answer.with_version(version) })
}

fn version_of(object: &Content) -> String {
    #[derive(Deserialize)]
    struct Versioned {
        metadata: Version,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        #[serde(default)]
        resource_version: String,
    }
    serde_json::from_str::<Versioned>(object.get()).map(|object| object.metadata.resource_version).unwrap_or_default()
}

use serde_json::{Map, Value, json};

use crate::{Cause, CauseReason, GroupResource, Object};

/// The machine-readable reason of a Status, as `reason` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Reason {
    Unknown,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    Timeout,
    ServerTimeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
}

impl Reason {
    /// The text on the wire; empty for `Unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Invalid => "Invalid",
            Self::Timeout => "Timeout",
            Self::ServerTimeout => "ServerTimeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::InternalError => "InternalError",
            Self::Expired => "Expired",
            Self::ServiceUnavailable => "ServiceUnavailable",
        }
    }
}

/// `details` of a Status. `kind` is the plural resource for most errors and the CamelCase kind for `Invalid`, as in Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub struct Details {
    pub name: String,
    pub group: String,
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_seconds: u32,
}

/// A refusal as Kubernetes clients expect it: a `Status` object. Wordings are those client programs and people match on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason.
    pub reason: Reason,
    /// Text for people.
    pub message: String,
    /// What the refusal is about; boxed to keep results small.
    pub details: Option<Box<Details>>,
}

/// The text every optimistic-lock failure carries; clients look for it.
const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

impl ApiError {
    /// An error without details.
    pub fn new(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    /// 404: `pods "x" not found`.
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::new(404, Reason::NotFound, format!("{resource} \"{name}\" not found")).about(resource, name)
    }

    /// 404 for a path no resource answers.
    pub fn unknown_resource() -> Self {
        Self::new(404, Reason::NotFound, "the server could not find the requested resource").with(Details::default())
    }

    /// 409: `namespaces "x" already exists`.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::new(409, Reason::AlreadyExists, format!("{resource} \"{name}\" already exists")).about(resource, name)
    }

    /// 409: `Operation cannot be fulfilled on pods "x": why`.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, Reason::Conflict, message).about(resource, name)
    }

    /// 409 because the resourceVersion sent is not the stored one.
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(resource, name, MODIFIED)
    }

    /// 409 of server-side apply, one `FieldManagerConflict` cause per field.
    pub fn apply_conflict(causes: Vec<Cause>) -> Self {
        let listed: Vec<_> = causes.iter().map(|cause| format!("{}: {}", cause.message, cause.field)).collect();
        let (count, plural) = (causes.len(), if causes.len() == 1 { "" } else { "s" });
        let message = format!("Apply failed with {count} conflict{plural}: {}", listed.join("\n"));
        Self::new(409, Reason::Conflict, message).with(Details { causes, ..Details::default() })
    }

    /// 422: `Deployment.apps "x" is invalid: spec.selector: Required value`. `kind` is the CamelCase kind.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let dot = if group.is_empty() { "" } else { "." };
        // Kubernetes sorts nothing but drops repeated texts.
        let mut texts: Vec<String> = Vec::with_capacity(causes.len());
        for text in causes.iter().map(Cause::text) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let faults = if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) };
        let message = format!("{kind}{dot}{group} \"{name}\" is invalid: {faults}");
        let (name, group, kind) = (name.into(), group.into(), kind.into());
        Self::new(422, Reason::Invalid, message).with(Details { name, group, kind, causes, ..Details::default() })
    }

    /// 403: `pods "x" is forbidden: why`, or `pods is forbidden: why` without a name.
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = match (resource.plural.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{resource} is forbidden: {why}"),
            (false, false) => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        Self::new(403, Reason::Forbidden, message).about(resource, name)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, Reason::Unauthorized, "Unauthorized")
    }

    /// 400 with a ready text.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, Reason::BadRequest, message)
    }

    /// 400 of `fieldValidation=Strict`: every fault in one text, such as `unknown field "spec.dat"`.
    pub fn strict_decoding(version: &str, kind: &str, faults: &[String]) -> Self {
        let faults = faults.join(", ");
        let head = format!("{kind} in version \"{version}\" cannot be handled as a {kind}");
        Self::bad_request(format!("{head}: strict decoding error: {faults}"))
    }

    /// 405: `patch is not supported on resources of kind "bindings"`.
    pub fn method_not_supported(resource: &GroupResource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind \"{resource}\"");
        let (group, kind) = (resource.group.to_string(), resource.plural.to_string());
        Self::new(405, Reason::MethodNotAllowed, message).with(Details { group, kind, ..Details::default() })
    }

    /// 405 for a path that has no such method at all.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, Reason::MethodNotAllowed, message).with(Details::default())
    }

    /// 410 with a ready text: a continue token or resourceVersion that history no longer holds.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, Reason::Expired, message)
    }

    /// 410 for a watch or list from a compacted revision.
    pub fn too_old_resource_version(requested: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {requested} ({oldest})"))
    }

    /// 504: `Timeout: why`.
    pub fn timeout(why: &str, retry_after_seconds: u32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self::new(504, Reason::Timeout, format!("Timeout: {why}")).with(details)
    }

    /// 504 for a list at a revision this store has not reached.
    pub fn too_large_resource_version(requested: u64, current: u64) -> Self {
        let why = format!("Too large resource version: {requested}, current: {current}");
        let cause = Cause::new(CauseReason::ResourceVersionTooLarge, "", "Too large resource version");
        let details = Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() };
        Self::new(504, Reason::Timeout, format!("Timeout: {why}")).with(details)
    }

    /// 415, listing what would be accepted.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let head = "the body of the request was in an unknown format - accepted media types include: ";
        Self::new(415, Reason::UnsupportedMediaType, format!("{head}{}", accepted.join(", ")))
    }

    /// 406, listing what could be answered.
    pub fn not_acceptable(offered: &[&str]) -> Self {
        let head = "only the following media types are accepted: ";
        Self::new(406, Reason::NotAcceptable, format!("{head}{}", offered.join(", ")))
    }

    /// 413: `Request entity too large: limit is 3145728`.
    pub fn entity_too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(413, Reason::RequestEntityTooLarge, message)
    }

    /// 429 with a delay.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self::new(429, Reason::TooManyRequests, message).with(details)
    }

    /// 500: `Internal error occurred: why`.
    pub fn internal(why: impl std::fmt::Display) -> Self {
        let cause = Cause::new(CauseReason::Unspecified, "", why.to_string());
        let details = Details { causes: vec![cause], ..Details::default() };
        Self::new(500, Reason::InternalError, format!("Internal error occurred: {why}")).with(details)
    }

    /// 503 with a ready text.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, Reason::ServiceUnavailable, message)
    }

    /// The same error with these details.
    pub fn with(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// Seconds after which a client should try again, for the `Retry-After` header.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)
    }

    /// The `Status` object to answer with.
    pub fn to_status(&self) -> Object {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"});
        status["message"] = json!(self.message);
        if self.reason != Reason::Unknown {
            status["reason"] = json!(self.reason.as_str());
        }
        if let Some(details) = &self.details {
            status["details"] = details.to_value();
        }
        status["code"] = json!(self.code);
        Object::from_value(status).unwrap_or_default() // the literal above is a map
    }

    fn about(self, resource: &GroupResource, name: &str) -> Self {
        let (name, group, kind) = (name.into(), resource.group.to_string(), resource.plural.to_string());
        self.with(Details { name, group, kind, ..Details::default() })
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (key, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            if !text.is_empty() {
                map.insert(key.into(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            map.insert("causes".into(), self.causes.iter().map(cause_value).collect());
        }
        if self.retry_after_seconds > 0 {
            map.insert("retryAfterSeconds".into(), json!(self.retry_after_seconds));
        }
        Value::Object(map)
    }
}

fn cause_value(cause: &Cause) -> Value {
    let mut map = Map::new();
    if cause.reason != CauseReason::Unspecified {
        map.insert("reason".into(), json!(cause.reason.as_str()));
    }
    map.insert("message".into(), json!(cause.message));
    if !cause.field.is_empty() {
        map.insert("field".into(), json!(cause.field));
    }
    Value::Object(map)
}

//! How KubeEdge puts API results into answers: `ObjectResp` and serialised Go errors.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Answer to writes and to lease and node requests: `{"Object":…,"Err":…}`, both keys always there.
/// A failed *query* of another kind is answered with the bare [`GoError`] instead.
#[derive(Debug, Serialize, Deserialize)]
pub struct ObjectResp<'a> {
    /// The object as the API holds it now; `null` or an empty object on failure.
    #[serde(rename = "Object", borrow)]
    pub object: Option<&'a RawValue>,
    /// Why it failed.
    #[serde(rename = "Err")]
    pub error: Option<GoError>,
}

/// A Go `error` as JSON: a Kubernetes status error has `ErrStatus`; every other error is `{}` and its text is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoError {
    /// The Kubernetes status, if it was one.
    #[serde(rename = "ErrStatus", default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Failure>,
}

/// A Kubernetes `Status` of a failure, with the keys in the order Go writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Always empty; Go writes it.
    #[serde(default)]
    metadata: Empty,
    /// `Failure`.
    #[serde(default)]
    pub status: String,
    /// Text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Word for programs, such as `NotFound`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Which object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<FailureDetails>>,
    /// HTTP status code.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub code: u16,
}

/// Which object a [`Failure`] is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureDetails {
    /// Object name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Resource or kind, as the API server put it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Empty {}

impl Failure {
    /// A failure with code, reason and message.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { status: "Failure".into(), message: message.into(), reason: reason.into(), code, ..Self::default() }
    }

    /// The same, naming the object.
    pub fn with_details(self, details: Option<FailureDetails>) -> Self {
        Self { details: details.map(Box::new), ..self }
    }
}

impl From<Failure> for GoError {
    fn from(status: Failure) -> Self {
        Self { status: Some(status) }
    }
}

fn is_zero(code: &u16) -> bool {
    *code == 0
}

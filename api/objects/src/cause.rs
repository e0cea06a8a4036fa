use std::fmt::Write as _;

use serde_json::Value;

/// The machine-readable reason of one [`Cause`], as `details.causes[].reason` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum CauseReason {
    /// No reason on the wire.
    Unspecified,
    FieldValueNotFound,
    FieldValueRequired,
    FieldValueDuplicate,
    FieldValueInvalid,
    FieldValueNotSupported,
    FieldValueForbidden,
    FieldValueTooLong,
    FieldValueTooMany,
    FieldValueTypeInvalid,
    InternalError,
    FieldManagerConflict,
    ResourceVersionTooLarge,
    UnexpectedServerResponse,
}

impl CauseReason {
    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "",
            Self::FieldValueNotFound => "FieldValueNotFound",
            Self::FieldValueRequired => "FieldValueRequired",
            Self::FieldValueDuplicate => "FieldValueDuplicate",
            Self::FieldValueInvalid => "FieldValueInvalid",
            Self::FieldValueNotSupported => "FieldValueNotSupported",
            Self::FieldValueForbidden => "FieldValueForbidden",
            Self::FieldValueTooLong => "FieldValueTooLong",
            Self::FieldValueTooMany => "FieldValueTooMany",
            Self::FieldValueTypeInvalid => "FieldValueTypeInvalid",
            Self::InternalError => "InternalError",
            Self::FieldManagerConflict => "FieldManagerConflict",
            Self::ResourceVersionTooLarge => "ResourceVersionTooLarge",
            Self::UnexpectedServerResponse => "UnexpectedServerResponse",
        }
    }
}

/// One thing wrong with one field: an entry of `details.causes`.
///
/// The constructors give the texts of Kubernetes field validation; `field` is a path such as `spec.containers[0].name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What sort of fault it is.
    pub reason: CauseReason,
    /// Text for people, without the field.
    pub message: String,
    /// Path of the field, empty for the whole object.
    pub field: String,
}

impl Cause {
    /// A cause with a ready text.
    pub fn new(reason: CauseReason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), field: field.into() }
    }

    /// `Required value`, with `: detail` if there is one.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new(CauseReason::FieldValueRequired, field, with_detail("Required value", detail))
    }

    /// `Invalid value: "x": detail`.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let text = format!("Invalid value: {}", quote(value));
        Self::new(CauseReason::FieldValueInvalid, field, with_detail(&text, detail))
    }

    /// `Invalid value: "string": spec.x in body must be of type integer: "string"`.
    pub fn type_invalid(field: impl Into<String>, got: &str, detail: &str) -> Self {
        let text = format!("Invalid value: \"{got}\"");
        Self::new(CauseReason::FieldValueTypeInvalid, field, with_detail(&text, detail))
    }

    /// `Unsupported value: "x": supported values: "a", "b"`.
    pub fn unsupported<'a>(
        field: impl Into<String>,
        value: &Value,
        supported: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut text = format!("Unsupported value: {}", quote(value));
        for (at, choice) in supported.into_iter().enumerate() {
            let lead = if at == 0 { ": supported values: " } else { ", " };
            let _ = write!(text, "{lead}\"{choice}\""); // writing to a String cannot fail
        }
        Self::new(CauseReason::FieldValueNotSupported, field, text)
    }

    /// `Duplicate value: "x"`.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(CauseReason::FieldValueDuplicate, field, format!("Duplicate value: {}", quote(value)))
    }

    /// `Not found: "x"`.
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self::new(CauseReason::FieldValueNotFound, field, format!("Not found: {}", quote(value)))
    }

    /// `Forbidden: detail`.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new(CauseReason::FieldValueForbidden, field, format!("Forbidden: {detail}"))
    }

    /// `Too long: may not be more than 63 bytes`.
    pub fn too_long(field: impl Into<String>, max: usize) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        Self::new(CauseReason::FieldValueTooLong, field, format!("Too long: may not be more than {max} {unit}"))
    }

    /// `Too many: 5: must have at most 3 items`.
    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        let text = format!("Too many: {actual}: must have at most {max} {unit}");
        Self::new(CauseReason::FieldValueTooMany, field, text)
    }

    /// `field: message`, or the message alone.
    pub fn text(&self) -> String {
        if self.field.is_empty() { self.message.clone() } else { format!("{}: {}", self.field, self.message) }
    }
}

fn with_detail(text: &str, detail: &str) -> String {
    if detail.is_empty() { text.to_owned() } else { format!("{text}: {detail}") }
}

/// Text in quotes, null as `null`, everything else as compact JSON.
fn quote(value: &Value) -> String {
    value.to_string()
}

//! Replies in eKuiper's shapes.

use std::borrow::Cow;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Code, RulesError};
use crate::go_json::{Reader, syntax_error};

/// A successful answer or an error with the prefix of its operation.
pub(super) type Reply = Result<Response, Failure>;

/// An error as clients see it: `{"error":CODE,"message":"prefix: text"}` as plain text.
pub(super) struct Failure {
    prefix: Cow<'static, str>,
    error: RulesError,
}

impl Failure {
    pub(super) fn new(prefix: impl Into<Cow<'static, str>>, error: RulesError) -> Failure {
        Failure { prefix: prefix.into(), error }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Failure { prefix, error } = self;
        let separator = if prefix.is_empty() { "" } else { ": " };
        let message = go_quoted(&format!("{prefix}{separator}{error}"));
        let body = format!("{{\"error\":{},\"message\":{message}}}", error.code() as u16);
        let status = if error.code() == Code::NotFound { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
        let headers =
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        (status, headers, format!("{body}\n")).into_response()
    }
}

/// Adds the prefix of an operation to an error.
pub(super) trait Prefixed<T> {
    fn or_fail(self, prefix: impl Into<Cow<'static, str>>) -> Result<T, Failure>;
}

impl<T> Prefixed<T> for Result<T, RulesError> {
    fn or_fail(self, prefix: impl Into<Cow<'static, str>>) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(prefix, error))
    }
}

/// A sentence.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Reply {
    Ok((status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text.into()).into_response())
}

/// A document.
pub(super) fn document(value: Value) -> Reply {
    Ok(Json(value).into_response())
}

/// `{"sql":"…"}`.
#[derive(Deserialize)]
pub(super) struct Statement {
    #[serde(default)]
    pub(super) sql: String,
}

impl Statement {
    pub(super) fn read(body: &str) -> Result<Statement, Failure> {
        let error =
            |text| RulesError::refused(Code::Undefined, format!("Error decoding the statement descriptor: {text}"));
        decode(body).map_err(error).or_fail("Invalid body")
    }
}

/// Reads a JSON body.
pub(super) fn read<T: for<'de> Deserialize<'de>>(body: &str) -> Result<T, Failure> {
    read_as(body, "Invalid body")
}

/// Reads a JSON body; the prefix is that of its errors.
pub(super) fn read_as<T: for<'de> Deserialize<'de>>(body: &str, prefix: &'static str) -> Result<T, Failure> {
    decode(body).map_err(|text| RulesError::refused(Code::Undefined, text)).or_fail(prefix)
}

/// The first value of a body, as Go's decoder reads it: what follows is nobody's.
fn decode<T: for<'de> Deserialize<'de>>(body: &str) -> Result<T, String> {
    let mut values = serde_json::Deserializer::from_str(body).into_iter();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(syntax_error(body, Reader::Decoder).unwrap_or_else(|| error.to_string())),
        None => Err("EOF".into()),
    }
}

/// Text as Go's `%q` writes it, which is JSON except for control characters.
fn go_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0b' => quoted.push_str("\\v"),
            '\x0c' => quoted.push_str("\\f"),
            char if (char as u32) < 0x20 || char as u32 == 0x7f => quoted.push_str(&format!("\\x{:02x}", char as u32)),
            char if char.is_control() => quoted.push_str(&format!("\\u{:04x}", char as u32)),
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::go_quoted;

    #[test]
    fn texts_are_quoted_as_in_go() {
        for (text, quoted) in
            [("a\"b\\c", r#""a\"b\\c""#), ("\n\t\x01\x7f", r#""\n\t\x01\x7f""#), ("é漢\u{85}", "\"é漢\\u0085\"")]
        {
            assert_eq!(go_quoted(text), quoted);
        }
    }
}

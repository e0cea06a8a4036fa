//! Bodies of requests by `bodyType`.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::ConnectError;

/// What a body is and how it is announced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// No body.
    None,
    /// The payload with this `Content-Type`.
    Plain(&'static str),
    /// The members of the payload's JSON object as a form.
    Form,
    /// A multipart form: these texts and the payload as a file.
    FormData(Form),
}

/// Properties of a multipart form.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Form {
    /// `fileFieldName`: name of the payload's field.
    pub(crate) file: String,
    /// `formData`: other fields.
    pub(crate) texts: Vec<(String, String)>,
}

/// Between the parts of a multipart form; a random one for each body, so that no payload can hold it.
fn boundary() -> String {
    format!("edgeward-{}", uuid::Uuid::new_v4().simple())
}

impl Body {
    /// A `bodyType`.
    pub(crate) fn parse(name: &str, form: &Form) -> Result<Body, ConnectError> {
        Ok(match name {
            "none" => Body::None,
            "json" => Body::Plain("application/json"),
            "text" => Body::Plain("text/plain"),
            "html" => Body::Plain("text/html"),
            "xml" => Body::Plain("application/xml"),
            "javascript" => Body::Plain("application/javascript"),
            "binary" => Body::Plain("application/octet-stream"),
            "form" => Body::Form,
            "formdata" => Body::FormData(form.clone()),
            other => {
                let known = "none, text, json, html, xml, javascript, form, binary or formdata";
                let reason = format!("invalid body type value: {other}; use {known}");
                return Err(ConnectError::Invalid { key: "bodyType", reason });
            }
        })
    }

    /// `Content-Type` and body of a payload.
    ///
    /// # Errors
    /// A form's payload is no JSON object.
    pub(crate) fn make(&self, payload: &[u8]) -> Result<(Option<String>, Bytes), String> {
        Ok(match self {
            Body::None => (None, Bytes::new()),
            Body::Plain(kind) => (Some((*kind).to_owned()), Bytes::copy_from_slice(payload)),
            Body::Form => (Some("application/x-www-form-urlencoded;param=value".to_owned()), form(payload)?.into()),
            Body::FormData(Form { file, texts }) => {
                let boundary = boundary();
                (Some(format!("multipart/form-data; boundary={boundary}")), multipart(&boundary, file, texts, payload))
            }
        })
    }
}

/// An object, or the first one of an array, as `a=1&b=x` in the order of its keys.
fn form(payload: &[u8]) -> Result<String, String> {
    let parsed: Value = serde_json::from_slice(payload).map_err(|error| format!("a form needs JSON: {error}"))?;
    let object: Map<String, Value> = match parsed {
        Value::Object(object) => object,
        Value::Array(items) => match items.into_iter().next() {
            Some(Value::Object(object)) => object,
            _ => return Err("a form needs a JSON object".to_owned()),
        },
        _ => return Err("a form needs a JSON object".to_owned()),
    };
    let pair = |(key, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{}={}", escape(key), escape(&value))
    };
    let mut pairs: Vec<String> = object.iter().map(pair).collect();
    pairs.sort();
    Ok(pairs.join("&"))
}

/// Text for a form or a query, as Go's `url.QueryEscape`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn multipart(boundary: &str, file: &str, texts: &[(String, String)], payload: &[u8]) -> Bytes {
    let quoted = |name: &str| name.replace(['"', '\r', '\n'], "_");
    let mut out = Vec::with_capacity(payload.len() + 256);
    let disposition = "Content-Disposition: form-data; name=";
    for (name, text) in texts {
        let part = format!("--{boundary}\r\n{disposition}\"{}\"\r\n\r\n{text}\r\n", quoted(name));
        out.extend_from_slice(part.as_bytes());
    }
    let name = quoted(file);
    let part = format!(
        "--{boundary}\r\n{disposition}\"{name}\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
    );
    out.extend_from_slice(part.as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_bodies() {
        for (kind, payload, content_type, expect) in [
            ("none", "x", None, Ok("")),
            ("json", "{}", Some("application/json"), Ok("{}")),
            (
                "form",
                r#"{"b":"x y&","a":1.5}"#,
                Some("application/x-www-form-urlencoded;param=value"),
                Ok("a=1.5&b=x+y%26"),
            ),
            ("form", r#"[{"a":[1]}]"#, Some("application/x-www-form-urlencoded;param=value"), Ok("a=%5B1%5D")),
            ("form", "[]", None, Err("a form needs a JSON object")),
        ] {
            let made = Body::parse(kind, &Form::default()).unwrap().make(payload.as_bytes());
            match (made, expect) {
                (Ok((kind, body)), Ok(expect)) => {
                    assert_eq!((kind.as_deref(), &body[..]), (content_type, expect.as_bytes()))
                }
                (made, expect) => assert_eq!(made.map(drop), expect.map(drop).map_err(str::to_owned), "{payload}"),
            }
        }
        assert!(Body::parse("yaml", &Form::default()).is_err());
    }

    #[test]
    fn parts_are_separated() {
        let made = multipart("B", "f", &[("a".to_owned(), "1".to_owned())], b"data");
        assert_eq!(
            std::str::from_utf8(&made).unwrap(),
            "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; \
             name=\"f\"; filename=\"f\"\r\nContent-Type: application/octet-stream\r\n\r\ndata\r\n--B--\r\n"
        );
    }
}

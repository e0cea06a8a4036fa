//! Secrets: plain text given in `stringData` joins the data, encoded; `stringData` is never stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use edgeward_objects::Object;

/// Moves `stringData` into `data`.
pub(super) fn begin(object: &mut Object) {
    let Some(plain) = object.remove(&["stringData"]) else { return };
    for (key, text) in plain.as_object().into_iter().flatten() {
        if let Some(text) = text.as_str() {
            object.set(&["data", key], STANDARD.encode(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_text_is_encoded() {
        let mut secret =
            Object::from_value(json!({"data": {"a": "YQ=="}, "stringData": {"a": "b", "c": "d"}})).unwrap();
        begin(&mut secret);
        assert_eq!(secret.into_value(), json!({"data": {"a": "Yg==", "c": "ZA=="}}));
    }
}

//! Passwords are shown as `******`, and `******` sent back means "as it was".

use serde_json::{Map, Value};

const MASK: &str = "******";

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "token", "privatekeyraw", "saslpassword"].contains(&key.as_str())
}

/// A rule's document with its secrets hidden.
pub(crate) fn masked(document: &Map<String, Value>) -> Value {
    let mut document = Value::Object(document.clone());
    for_each_secret(&mut document, &mut |secret| *secret = MASK.into());
    document
}

/// Puts the secrets of `old` where `new` has the mask, at the same place of the document.
pub(crate) fn restore(new: &mut Map<String, Value>, old: &Map<String, Value>) {
    for (key, value) in new {
        if let Some(old) = old.get(key) {
            restore_value(key, value, old);
        }
    }
}

fn restore_value(key: &str, new: &mut Value, old: &Value) {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => restore(new, old),
        (Value::Array(new), Value::Array(old)) => {
            new.iter_mut().zip(old).for_each(|(new, old)| restore_value(key, new, old))
        }
        (new, old) if is_secret(key) && new == MASK => *new = old.clone(),
        _ => {}
    }
}

fn for_each_secret(value: &mut Value, change: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if is_secret(key) && value.is_string() {
                    change(value);
                } else {
                    for_each_secret(value, change);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| for_each_secret(item, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_come_back() {
        let old = json!({"id": "r", "actions": [{"mqtt": {"server": "s", "Password": "p", "n": 1}}]});
        let old = old.as_object().unwrap();
        let shown = masked(old);
        assert_eq!(shown["actions"][0]["mqtt"], json!({"server": "s", "Password": "******", "n": 1}));
        let mut sent = shown.as_object().unwrap().clone();
        restore(&mut sent, old);
        assert_eq!(&sent, old);
    }
}

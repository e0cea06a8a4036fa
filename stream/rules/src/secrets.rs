//! Passwords are shown as `******`, and `******` sent back means "as it was".

use serde_json::{Map, Value};

const MASK: &str = "******";

/// Names whose text is nobody's business, in lower case.
const SECRETS: [&str; 13] = [
    "password",
    "passwd",
    "pwd",
    "token",
    "accesstoken",
    "refreshtoken",
    "secret",
    "clientsecret",
    "apikey",
    "authorization",
    "privatekeyraw",
    "saslpassword",
    "aeskey",
];

fn is_secret(key: &str) -> bool {
    let plain: String = key.chars().filter(|char| !matches!(char, '_' | '-')).collect();
    SECRETS.contains(&plain.to_ascii_lowercase().as_str())
}

/// A document with its secrets hidden.
pub(crate) fn masked(document: &Map<String, Value>) -> Value {
    let mut document = Value::Object(document.clone());
    mask(&mut document);
    document
}

/// The JSON text of an object (a stream's EXTRA) with its secrets hidden; other text as it is.
pub(crate) fn masked_text(text: &str) -> String {
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(map) => match masked(&map) {
            shown if shown.as_object() == Some(&map) => text.to_owned(),
            shown => shown.to_string(),
        },
        Err(_) => text.to_owned(),
    }
}

/// The JSON text of an object with the secrets of `old` where it has the mask.
pub(crate) fn restored_text(new: &str, old: &str) -> String {
    let (parsed, known) = (serde_json::from_str(new), serde_json::from_str::<Map<String, Value>>(old));
    let (Ok(mut parsed), Ok(known)) = (parsed, known) else { return new.to_owned() };
    restore(&mut parsed, &known);
    if new.contains(MASK) { Value::Object(parsed).to_string() } else { new.to_owned() }
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
        (Value::String(new), Value::String(old)) if masked_url(old).as_deref() == Some(new) => new.clone_from(old),
        _ => {}
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    // An empty password is none.
                    Value::String(text) if is_secret(key) && !text.is_empty() => *text = MASK.into(),
                    Value::Number(_) if is_secret(key) => *value = MASK.into(),
                    value => mask(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) => {
            if let Some(masked) = masked_url(text) {
                *text = masked;
            }
        }
        _ => {}
    }
}

/// `scheme://user:password@host` without the password; none for other text.
fn masked_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let (login, _) = authority.rsplit_once('@')?;
    let (user, password) = login.split_once(':')?;
    let plain = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (plain && !password.is_empty()).then(|| format!("{scheme}://{user}:{MASK}{}", &rest[login.len()..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_come_back() {
        for (old, expect) in [
            (json!({"server": "s", "Password": "p", "n": 1}), json!({"server": "s", "Password": "******", "n": 1})),
            (json!({"password": "", "pwd": 7}), json!({"password": "", "pwd": "******"})),
            (json!({"client_secret": "x", "API-Key": "y"}), json!({"client_secret": "******", "API-Key": "******"})),
            (json!({"dburl": "mysql://u:p@h:1/d?x=@"}), json!({"dburl": "mysql://u:******@h:1/d?x=@"})),
            (json!({"url": "http://u@h/a:b@c"}), json!({"url": "http://u@h/a:b@c"})),
            (json!({"headers": {"Authorization": "Bearer x"}}), json!({"headers": {"Authorization": "******"}})),
        ] {
            let old = json!({"id": "r", "actions": [{"x": old}]});
            let old = old.as_object().unwrap();
            let shown = masked(old);
            assert_eq!(shown["actions"][0]["x"], expect);
            let mut sent = shown.as_object().unwrap().clone();
            restore(&mut sent, old);
            assert_eq!(&sent, old);
        }
    }

    #[test]
    fn texts_hold_secrets_too() {
        let extra = r#"{"password":"p","a":1}"#;
        let shown = masked_text(extra);
        assert_eq!(shown, r#"{"password":"******","a":1}"#);
        assert_eq!(restored_text(&shown, extra), extra);
        for other in ["{ \"a\" : 1 }", "no json", "[1]"] {
            assert_eq!((masked_text(other), restored_text(other, extra)), (other.to_owned(), other.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".*", user in "[a-z]{0,5}", password in "[^@/?#]{1,9}") {
            let _ = masked_url(&text);
            let url = format!("tcp://{user}:{password}@h:1");
            prop_assert_eq!(masked_url(&url), Some(format!("tcp://{user}:******@h:1")));
        }
    }
}

//! A container's environment, and `$(NAME)` in its words.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVarSource, Pod};

use super::fields::{Facts, field, resource_field};
use crate::pod;
use crate::references::References;

/// The environment in order; later ones of a name replace earlier ones. Fails with the message of
/// `CreateContainerConfigError`.
pub(crate) fn environment(
    pod: &Pod,
    container: &Container,
    references: &References,
    facts: &Facts,
    defaults: &BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, String> {
    let namespace = pod::key(pod).namespace;
    let mut list: Vec<(String, String)> = defaults.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    for source in container.env_from.iter().flatten() {
        for (name, value) in all_of(source, references, &namespace)? {
            set(&mut list, name, value);
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) if !value.is_empty() => Some(expand(value, &list)),
            (_, Some(source)) => value_from(pod, container, source, references, facts, &namespace)?,
            _ => Some(String::new()),
        };
        if let Some(value) = value {
            set(&mut list, variable.name.clone(), value);
        }
    }
    Ok(list)
}

/// Replaces `$(NAME)` by the variable's value; an unknown name stays as it is, and `$$` is a single `$`.
pub(crate) fn expand(text: &str, variables: &[(String, String)]) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match variables.iter().find(|(known, _)| known == name) {
                Some((_, value)) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

fn set(list: &mut Vec<(String, String)>, name: String, value: String) {
    match list.iter_mut().find(|(known, _)| *known == name) {
        Some(entry) => entry.1 = value,
        None => list.push((name, value)),
    }
}

fn all_of(source: &EnvFromSource, references: &References, namespace: &str) -> Result<Vec<(String, String)>, String> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    if let Some(reference) = &source.config_map_ref {
        match references.config_maps.get(&reference.name) {
            Some(map) => found.extend(map.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone()))),
            None if reference.optional == Some(true) => {}
            None => return Err(format!("configmap \"{}\" not found", reference.name)),
        }
    }
    if let Some(reference) = &source.secret_ref {
        match references.secrets.get(&reference.name) {
            Some(secret) => {
                for (key, value) in secret.data.iter().flatten() {
                    found.push((key.clone(), text_of(&value.0, key, namespace, &reference.name)?));
                }
            }
            None if reference.optional == Some(true) => {}
            None => return Err(format!("secret \"{}\" not found", reference.name)),
        }
    }
    Ok(found.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)).collect())
}

/// `None`: an optional reference to something that is not there, which leaves the variable out.
fn value_from(
    pod: &Pod,
    container: &Container,
    source: &EnvVarSource,
    references: &References,
    facts: &Facts,
    namespace: &str,
) -> Result<Option<String>, String> {
    if let Some(reference) = &source.field_ref {
        return field(pod, facts, &reference.field_path).map(Some);
    }
    if let Some(reference) = &source.resource_field_ref {
        return resource_field(pod, &container.name, reference).map(Some);
    }
    if let Some(reference) = &source.config_map_key_ref {
        let optional = reference.optional == Some(true);
        let Some(map) = references.config_maps.get(&reference.name) else {
            return absent(optional, || format!("configmap \"{}\" not found", reference.name));
        };
        return match map.data.as_ref().and_then(|data| data.get(&reference.key)) {
            Some(value) => Ok(Some(value.clone())),
            None => absent(optional, || {
                format!("couldn't find key {} in ConfigMap {namespace}/{}", reference.key, reference.name)
            }),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let optional = reference.optional == Some(true);
        let Some(secret) = references.secrets.get(&reference.name) else {
            return absent(optional, || format!("secret \"{}\" not found", reference.name));
        };
        return match secret.data.as_ref().and_then(|data| data.get(&reference.key)) {
            Some(value) => text_of(&value.0, &reference.key, namespace, &reference.name).map(Some),
            None => absent(optional, || {
                format!("couldn't find key {} in Secret {namespace}/{}", reference.key, reference.name)
            }),
        };
    }
    Err("unsupported valueFrom: use fieldRef, resourceFieldRef, configMapKeyRef or secretKeyRef".to_owned())
}

fn absent(optional: bool, message: impl Fn() -> String) -> Result<Option<String>, String> {
    if optional { Ok(None) } else { Err(message()) }
}

fn text_of(bytes: &[u8], key: &str, namespace: &str, name: &str) -> Result<String, String> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| format!("key {key} of Secret {namespace}/{name} is not UTF-8 text"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn expansion() {
        let variables = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())];
        let cases = [
            ("", ""),
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$(C)", "$(C)"),
            ("$(A", "$(A"),
            ("$A $", "$A $"),
            ("$$$(A)", "$1"),
            ("ä$(A)ö", "ä1ö"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &variables), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_expanded_without_panic(text: String, value: String) {
            let expanded = expand(&text, &[("A".to_owned(), value)]);
            prop_assert!(text.contains('$') || expanded == text);
        }
    }

    fn check(container: serde_json::Value, expected: Result<&str, &str>) {
        let pod = json!({
            "metadata": { "name": "p", "namespace": "n", "uid": "u", "labels": { "a": "x", "b/c": "y\"" } },
            "spec": { "containers": [container], "serviceAccountName": "robot" },
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let facts = Facts {
            node_name: "node".into(),
            pod_ips: vec!["10.0.0.2".into(), "fd00::2".into()],
            host_ips: vec!["192.0.2.1".into()],
        };
        let mut references = References::default();
        let map = json!({ "data": { "k": "v", "l": "w" } });
        references.config_maps.insert("cm".into(), std::sync::Arc::new(serde_json::from_value(map).unwrap()));
        let secret = json!({ "data": { "k": "c2VjcmV0", "raw": "/w==" } });
        references.secrets.insert("s".into(), std::sync::Arc::new(serde_json::from_value(secret).unwrap()));
        let defaults = BTreeMap::from([("D".to_owned(), "0".to_owned())]);
        let made = environment(&pod, &pod::containers(&pod)[0], &references, &facts, &defaults);
        let made =
            made.map(|list| list.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";"));
        assert_eq!(made.as_deref().map_err(String::as_str), expected, "{container}");
    }

    #[test]
    fn environments() {
        let env = |env: serde_json::Value| json!({ "name": "c", "env": env });
        let from = |source: serde_json::Value| env(json!([{ "name": "X", "valueFrom": source }]));
        let path = |path: &str| from(json!({ "fieldRef": { "fieldPath": path } }));
        check(env(json!([])), Ok("D=0"));
        check(
            env(json!([{ "name": "D" }, { "name": "A", "value": "1" }, { "name": "B", "value": "$(A)$(D)" }])),
            Ok("D=;A=1;B=1"),
        );
        check(path("metadata.name"), Ok("D=0;X=p"));
        check(path("metadata.labels['b/c']"), Ok("D=0;X=y\""));
        check(path("metadata.labels"), Ok("D=0;X=a=\"x\"\nb/c=\"y\\\"\""));
        check(path("spec.nodeName"), Ok("D=0;X=node"));
        check(path("spec.serviceAccountName"), Ok("D=0;X=robot"));
        check(path("status.podIPs"), Ok("D=0;X=10.0.0.2,fd00::2"));
        check(path("status.hostIP"), Ok("D=0;X=192.0.2.1"));
        check(path("spec.other"), Err("unsupported fieldPath: spec.other"));
        check(from(json!({ "configMapKeyRef": { "name": "cm", "key": "k" } })), Ok("D=0;X=v"));
        check(
            from(json!({ "configMapKeyRef": { "name": "cm", "key": "z" } })),
            Err("couldn't find key z in ConfigMap n/cm"),
        );
        check(from(json!({ "configMapKeyRef": { "name": "no", "key": "z" } })), Err("configmap \"no\" not found"));
        check(from(json!({ "configMapKeyRef": { "name": "no", "key": "z", "optional": true } })), Ok("D=0"));
        check(from(json!({ "secretKeyRef": { "name": "s", "key": "k" } })), Ok("D=0;X=secret"));
        check(
            from(json!({ "secretKeyRef": { "name": "s", "key": "raw" } })),
            Err("key raw of Secret n/s is not UTF-8 text"),
        );
        check(
            json!({ "name": "c", "envFrom": [{ "prefix": "P_", "configMapRef": { "name": "cm" } }] }),
            Ok("D=0;P_k=v;P_l=w"),
        );
        check(json!({ "name": "c", "envFrom": [{ "secretRef": { "name": "no" } }] }), Err("secret \"no\" not found"));
        let limited = json!({
            "name": "c",
            "resources": { "limits": { "cpu": "1500m", "memory": "64Mi" } },
            "env": [
                { "name": "C", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu" } } },
                { "name": "M", "valueFrom": { "resourceFieldRef": { "resource": "limits.memory", "divisor": "1Mi" } } },
                { "name": "R", "valueFrom": { "resourceFieldRef": { "resource": "requests.cpu", "divisor": "1m" } } },
            ],
        });
        check(limited, Ok("D=0;C=2;M=64;R=1500"));
    }
}

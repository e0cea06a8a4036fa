//! The JSONPath that printer columns use: dotted and bracketed names, indexes, `[*]`, and filters that compare one field.

use edgeward_objects::Object;
use jiff::Timestamp;
use serde_json::Value;

use super::age;

/// One cell: the first match of a path, typed as its column says; null if nothing matches. A date is its age: kubectl prints
/// what it gets, as it does for built-in kinds.
pub(super) fn cell(path: &str, kind: &str, object: &Object, now: Timestamp) -> Value {
    let root = Value::Object(object.as_map().clone());
    let found = find(&root, path);
    let Some(first) = found.first() else { return Value::Null };
    match (kind, first) {
        (_, Value::Null) => Value::Null,
        ("integer", Value::Number(_)) | ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => (*first).clone(),
        ("integer" | "number" | "boolean", _) => Value::Null,
        ("date", Value::String(text)) => {
            age::since(text, now).map_or_else(|| "<invalid>".to_owned(), age::human).into()
        }
        ("date", _) => Value::Null,
        // Several matches of a string column are printed as a list, as upstream does.
        (_, _) if found.len() > 1 => Value::from(found.iter().map(|value| plain(value)).collect::<Vec<_>>().join(",")),
        (_, value) => Value::from(plain(value)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Everything a path matches. A path that cannot be understood matches nothing.
pub(super) fn find<'a>(root: &'a Value, path: &str) -> Vec<&'a Value> {
    let path = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    let (mut found, mut rest) = (vec![root], path);
    while !rest.is_empty() {
        let Some((step, after)) = step(rest) else { return Vec::new() };
        found = found.into_iter().flat_map(|value| step.apply(value)).collect();
        rest = after;
    }
    found
}

enum Step<'p> {
    Name(String),
    Index(i64),
    All,
    Filter { path: &'p str, equal: bool, value: String },
}

/// The first step of a path, and what is left.
fn step(path: &str) -> Option<(Step<'_>, &str)> {
    if let Some(rest) = path.strip_prefix('[') {
        let end = closing(rest)?;
        return Some((bracket(&rest[..end])?, &rest[end + 1..]));
    }
    let rest = path.strip_prefix('.').unwrap_or(path);
    if rest.starts_with('[') {
        return step(rest);
    }
    // A backslash escapes the dots of names such as annotation keys.
    let (mut name, mut end, mut escaped) = (String::new(), rest.len(), false);
    for (at, char) in rest.char_indices() {
        match char {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => {
                end = at;
                break;
            }
            other => {
                name.push(other);
                escaped = false;
            }
        }
    }
    if name.is_empty() {
        return None;
    }
    Some((if name == "*" { Step::All } else { Step::Name(name) }, &rest[end..]))
}

/// Where the bracket closes that was opened before `text`, quotes and inner brackets skipped.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut depth) = (None, 0_usize);
    for (at, char) in text.char_indices() {
        match (quote, char) {
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(char),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step<'_>> {
    let inner = inner.trim();
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        let (equal, (left, right)) = match condition.split_once("==") {
            Some(sides) => (true, sides),
            None => (false, condition.split_once("!=")?),
        };
        let path = left.trim().strip_prefix('@')?;
        return Some(Step::Filter { path, equal, value: unquote(right.trim()).to_owned() });
    }
    if inner.starts_with(['\'', '"']) {
        return Some(Step::Name(unquote(inner).to_owned()));
    }
    inner.parse().ok().map(Step::Index)
}

fn unquote(text: &str) -> &str {
    let stripped = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    stripped('\'').or_else(|| stripped('"')).unwrap_or(text)
}

impl Step<'_> {
    fn apply<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Step::Name(name) => value.get(name).into_iter().collect(),
            Step::Index(index) => {
                let list = value.as_array().map_or(&[][..], Vec::as_slice);
                let at = if *index < 0 {
                    list.len().checked_sub(index.unsigned_abs() as usize)
                } else {
                    usize::try_from(*index).ok()
                };
                at.and_then(|at| list.get(at)).into_iter().collect()
            }
            Step::All => match value {
                Value::Array(list) => list.iter().collect(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            },
            Step::Filter { path, equal, value: wanted } => {
                let list = value.as_array().map_or(&[][..], Vec::as_slice);
                let holds = |item: &Value| {
                    (find(item, path).first().map(|found| plain(found)).as_ref() == Some(wanted)) == *equal
                };
                list.iter().filter(|item| holds(item)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_paths_crds_use() {
        let object = Object::from_value(json!({
            "metadata": {"annotations": {"a.b/c": "x"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"n": 3, "on": true, "list": ["a", "b"], "items": [{"k": 1}, {"k": 2}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        }))
        .unwrap();
        let cases = [
            (".spec.n", "integer", json!(3)),
            (".spec.n", "string", json!("3")),
            (".spec.on", "boolean", json!(true)),
            (".spec.on", "integer", Value::Null),
            (".spec.missing", "string", Value::Null),
            (".spec.list[0]", "string", json!("a")),
            (".spec.list[-1]", "string", json!("b")),
            (".spec.list", "string", json!("[\"a\",\"b\"]")),
            (".spec.items[*].k", "string", json!("1,2")),
            (".metadata.annotations.a\\.b/c", "string", json!("x")),
            (".metadata.annotations['a.b/c']", "string", json!("x")),
            (".metadata.creationTimestamp", "date", json!("90s")),
            (".spec.n", "date", Value::Null),
            (".spec.list[0]", "date", json!("<invalid>")),
            (".status.conditions[?(@.type==\"Ready\")].status", "string", json!("True")),
            (".status.conditions[?(@.type != 'Ready')].status", "string", json!("False")),
            ("{.spec.n}", "integer", json!(3)),
            ("..", "string", Value::Null),
            (".spec[", "string", Value::Null),
        ];
        let now = "2026-01-01T00:01:30Z".parse().unwrap();
        for (path, kind, expected) in cases {
            assert_eq!(cell(path, kind, &object, now), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn is_total(path in "[\\.\\[\\]@?()='\"*a-z0-9\\\\-]{0,30}") {
            find(&json!({"a": [{"b": 1}]}), &path);
        }
    }
}

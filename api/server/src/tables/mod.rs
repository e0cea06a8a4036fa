//! `meta.k8s.io/v1 Table`: what kubectl prints. One file per family of kinds; custom resources print the columns of their CRD.

mod age;
mod apps;
mod core;
mod jsonpath;
mod network;
mod other;
mod pods;
mod storage;

use edgeward_objects::{ApiError, Object};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalog::Served;
use crate::render;

/// What a row carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Include {
    /// The metadata; kubectl takes the namespace from it.
    Metadata,
    /// The whole object.
    Object,
    /// Nothing.
    None,
}

impl Include {
    /// Reads `includeObject`.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        match text {
            None | Some("Metadata") => Ok(Include::Metadata),
            Some("Object") => Ok(Include::Object),
            Some("None") => Ok(Include::None),
            Some(other) => Err(ApiError::bad_request(format!("unrecognized includeObject value: {other:?}"))),
        }
    }
}

/// The cells of one object.
type Cells = fn(&Object, Timestamp) -> Vec<Value>;

/// The table of one built-in kind.
struct Printer {
    /// `Name:name|Ready|IP:wide|Desired:integer`: header, and what differs from a plain string column.
    columns: &'static str,
    /// The cells of one object, one per column.
    cells: Cells,
}

/// The printer of a built-in kind; `Name` and `Created At` for kinds without one.
fn printer(served: &Served) -> Printer {
    let (group, plural) = (&*served.kind.group, &*served.kind.plural);
    pods::printer(group, plural)
        .or_else(|| core::printer(group, plural))
        .or_else(|| apps::printer(group, plural))
        .or_else(|| network::printer(group, plural))
        .or_else(|| storage::printer(group, plural))
        .or_else(|| other::printer(group, plural))
        .unwrap_or(Printer {
            columns: "Name:name|Created At:date",
            cells: |object, _| vec![name(object), created(object)],
        })
}

/// The row of one object.
pub(crate) fn row(served: &Served, object: &Object, include: Include, now: Timestamp) -> Value {
    let cells = match &served.custom {
        Some(custom) => {
            let cell = |column: &crate::catalog::Column| jsonpath::cell(&column.path, &column.kind, object, now);
            std::iter::once(name(object)).chain(custom.columns.iter().map(cell)).collect()
        }
        None => (printer(served).cells)(object, now),
    };
    let mut row = json!({"cells": Value::Array(cells)});
    match include {
        Include::Metadata => row["object"] = render::partial(object),
        Include::Object => row["object"] = object.to_value(),
        Include::None => {}
    }
    row
}

/// A table of rows.
pub(crate) fn table(served: &Served, rows: Vec<Value>, metadata: Value) -> Value {
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions(served),
        "rows": rows,
    })
}

fn definitions(served: &Served) -> Vec<Value> {
    let Some(custom) = &served.custom else { return printer(served).columns.split('|').map(definition).collect() };
    let column = |column: &crate::catalog::Column| json!({"name": column.name, "type": column.kind, "format": column.format, "description": column.description, "priority": column.priority});
    std::iter::once(definition("Name:name")).chain(custom.columns.iter().map(column)).collect()
}

fn definition(text: &str) -> Value {
    let (header, mark) = text.split_once(':').unwrap_or((text, ""));
    let (kind, format, priority) = match mark {
        "name" => ("string", "name", 0),
        "namewide" => ("string", "name", 1),
        "wide" => ("string", "", 1),
        "" => ("string", "", 0),
        kind => (kind, "", 0),
    };
    json!({"name": header, "type": kind, "format": format, "description": "", "priority": priority})
}

// What the families share.

fn name(object: &Object) -> Value {
    json!(object.name())
}

fn created(object: &Object) -> Value {
    object.get(&["metadata", "creationTimestamp"]).cloned().unwrap_or(Value::Null)
}

fn own_age(object: &Object, now: Timestamp) -> Value {
    json!(age::age(object.creation_timestamp(), now))
}

/// A text field, or `<none>`.
fn text(object: &Object, path: &[&str]) -> Value {
    json!(object.get_str(path).filter(|text| !text.is_empty()).unwrap_or("<none>"))
}

/// An integer field, 0 if missing.
fn number(object: &Object, path: &[&str]) -> Value {
    json!(object.get_i64(path).unwrap_or(0))
}

/// Texts joined by commas, `<none>` if there are none.
fn joined<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Value {
    let texts: Vec<S> = texts.into_iter().collect();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    if texts.is_empty() { json!("<none>") } else { json!(texts.join(",")) }
}

/// A text field of a JSON value, empty if missing.
fn str_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The sorted `key=value` pairs of a map, `<none>` if there are none.
fn pairs(object: &Object, path: &[&str]) -> Value {
    let Some(map) = object.get_map(path) else { return json!("<none>") };
    let mut pairs: Vec<String> =
        map.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    pairs.sort();
    joined(pairs)
}

/// A label selector (`matchLabels`, `matchExpressions`) as kubectl prints it.
fn selector(object: &Object, path: &[&str]) -> Value {
    match object.get(path).map(|value| edgeward_objects::LabelSelector::from_value(Some(value))) {
        Some(Ok(selector)) if !selector.is_everything() => json!(crate::select::text(&selector)),
        _ => json!("<none>"),
    }
}

/// Names and images of the containers of a pod template.
fn containers(object: &Object, path: &[&str]) -> [Value; 2] {
    let list = object.get_list(path);
    [joined(list.iter().map(|item| str_of(item, "name"))), joined(list.iter().map(|item| str_of(item, "image")))]
}

/// The three wide columns of workloads.
fn template(object: &Object) -> [Value; 3] {
    let [names, images] = containers(object, &["spec", "template", "spec", "containers"]);
    [names, images, selector(object, &["spec", "selector"])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    /// The columns a recorded server sends, resource by resource: `Name [string/name]`, `IP [string] wide`.
    #[test]
    #[allow(clippy::print_stderr, reason = "a test that leaves something out says so")]
    fn columns_are_those_of_a_recorded_server() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference/kubernetes-golden/table-columns.txt");
        let Ok(recorded) = std::fs::read_to_string(path) else {
            eprintln!("LEFT OUT: {path} is not there; columns are not compared with a recorded server");
            return;
        };
        let catalog = Catalog::build([]);
        let (mut served, mut columns, mut checked): (Option<std::sync::Arc<Served>>, _, _) = (None, Vec::new(), 0);
        for line in recorded.lines().chain(["/end"]) {
            if !line.starts_with('/') {
                columns.push(line.trim().to_owned());
                continue;
            }
            if let Some(served) = served.take() {
                assert_eq!(described(&served), columns, "{}", line);
                checked += 1;
            }
            columns.clear();
            let parts: Vec<&str> = line.trim_start_matches('/').split('/').collect();
            served = match parts.as_slice() {
                ["api", version, plural] => catalog.find("", version, plural).cloned(),
                ["apis", group, version, plural] => catalog.find(group, version, plural).cloned(),
                _ => None,
            };
        }
        assert!(checked > 50, "{checked}");
    }

    fn described(served: &Served) -> Vec<String> {
        let text = |definition: Value| {
            let format = str_of(&definition, "format");
            let format = if format.is_empty() { String::new() } else { format!("/{format}") };
            let wide = if definition["priority"] == 0 { "" } else { " wide" };
            format!("{} [{}{format}]{wide}", str_of(&definition, "name"), str_of(&definition, "type"))
        };
        definitions(served).into_iter().map(text).collect()
    }
}

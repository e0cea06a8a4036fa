//! The files of an `etc` folder.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::{Scope, Sections};
use crate::error::{Code, Result, RulesError};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Reads `mqtt_source.yaml`, `sources/*.yaml` and `sinks/*.yaml`, and apart from them `connections/connection.yaml`.
pub(super) fn read_etc(etc: &Path) -> Result<(Sections, Sections)> {
    let (mut all, mut connections) = (Sections::new(), Sections::new());
    let mut add = |scope: Scope, plugin: &str, keys: Map<String, Value>| {
        for (key, props) in keys {
            if let Value::Object(props) = props {
                all.insert(format!("{}.{plugin}.{key}", scope.name()), props);
            }
        }
    };
    add(Scope::Sources, "mqtt", read_yaml(&etc.join("mqtt_source.yaml"))?);
    for scope in [Scope::Sources, Scope::Sinks] {
        for entry in std::fs::read_dir(etc.join(scope.name())).into_iter().flatten().flatten() {
            let path = entry.path();
            let plugin = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            if let Some(plugin) = plugin.filter(|_| path.extension().is_some_and(|kind| kind == "yaml")) {
                add(scope, &plugin, read_yaml(&path)?);
            }
        }
    }
    for (plugin, keys) in read_yaml(&etc.join("connections/connection.yaml"))? {
        for (id, props) in keys.as_object().into_iter().flatten() {
            if let Value::Object(props) = props {
                connections.insert(format!("{plugin}.{id}"), props.clone());
            }
        }
    }
    Ok((all, connections))
}

/// Forms of the folder; one that cannot be read is logged and left out.
pub(super) fn read_forms(etc: &Path) -> BTreeMap<String, Value> {
    let mut forms = BTreeMap::new();
    for folder in ["sources", "sinks", "connections"] {
        for entry in std::fs::read_dir(etc.join(folder)).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let small = entry.metadata().is_ok_and(|meta| meta.len() <= MAX_FILE);
            if !small || path.extension().is_none_or(|kind| kind != "json") {
                continue;
            }
            let read = std::fs::read(&path).map_err(|error| error.to_string());
            match read.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string())) {
                Ok(form) => drop(forms.insert(format!("{folder}/{}", name.to_string_lossy()), form)),
                Err(error) => tracing::warn!(path = %path.display(), error, "a form cannot be read and is left out"),
            }
        }
    }
    forms
}

/// Sections of a file; none when there is no such file. One that cannot be read is an error: a rule must not run with other
/// settings than those it was given.
fn read_yaml(path: &Path) -> Result<Map<String, Value>> {
    let bad = |reason: &dyn std::fmt::Display| {
        RulesError::refused(Code::ConfKey, format!("configuration file {}: {reason}", path.display()))
    };
    let size = match std::fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(bad(&error)),
    };
    if size > MAX_FILE {
        return Err(bad(&format_args!("{size} bytes are more than {MAX_FILE}")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
    let keys = match serde_saphyr::from_str::<Value>(&text).map_err(|error| bad(&error))? {
        Value::Null => return Ok(Map::new()),
        Value::Object(keys) => keys,
        _ => return Err(bad(&"must be sections with keys")),
    };
    match keys.iter().find(|(_, section)| !section.is_object() && !section.is_null()) {
        Some((key, _)) => Err(bad(&format_args!("{key}: must be a section with keys"))),
        None => Ok(keys),
    }
}

//! Wasm modules: every `*.wasm` of their folder, read at start.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::wasm::{Limits, WasmModule};

pub(super) fn read_all(folder: &Path) -> BTreeMap<String, WasmModule> {
    let mut modules = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        if path.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        let limits = Limits::default();
        let read = fs::read(&path).map_err(|error| error.to_string());
        match read.and_then(|bytes| WasmModule::new(&bytes, limits)) {
            Ok(module) => drop(modules.insert(name, module)),
            Err(error) => tracing::error!(path = %path.display(), error, "a module cannot be used and is left out"),
        }
    }
    modules
}

//! `/udf/javascript`: one JSON file for each script.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use super::{Manager, ManagerOptions, off_runtime, write_file};
use crate::error::{PluginError, Result};
use crate::portable::check_name;

/// `{id,description,script,isAgg}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct StoredScript {
    id: String,
    #[serde(default)]
    description: String,
    script: String,
    #[serde(default, rename = "isAgg")]
    is_agg: bool,
}

#[cfg(feature = "javascript")]
impl StoredScript {
    fn script(&self) -> crate::javascript::Script {
        let (name, source) = (self.id.as_str().into(), self.script.as_str().into());
        crate::javascript::Script { name, source, aggregate: self.is_agg }
    }

    /// For one call site.
    pub(super) fn function(&self) -> crate::javascript::JsFunction {
        crate::javascript::JsFunction::new(self.script(), crate::javascript::Limits::default())
    }

    /// Runs it once. Blocks.
    fn check(&self) -> Result<()> {
        let limits = crate::javascript::Limits::default();
        crate::javascript::JsFunction::check(&self.script(), &limits).map_err(PluginError::Script)
    }
}

#[cfg(not(feature = "javascript"))]
impl StoredScript {
    fn check(&self) -> Result<()> {
        Err(PluginError::Script(format!("{} cannot run: this program is built without JavaScript", self.id)))
    }
}

pub(super) fn read_all(options: &ManagerOptions) -> BTreeMap<String, StoredScript> {
    let mut scripts = BTreeMap::new();
    for entry in fs::read_dir(&options.scripts).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let read = fs::read(&path).map_err(|error| error.to_string());
        let parsed = read.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
        match parsed {
            Ok::<StoredScript, _>(script) => drop(scripts.insert(script.id.clone(), script)),
            Err(error) => {
                tracing::error!(path = %path.display(), error, "a stored script cannot be read and is left out");
            }
        }
    }
    scripts
}

impl Manager {
    /// `GET /udf/javascript`: names of the scripts.
    pub fn list_scripts(&self) -> serde_json::Value {
        self.shared.scripts.read().keys().cloned().collect()
    }

    /// `GET /udf/javascript/{id}`.
    ///
    /// # Errors
    /// There is none of this id.
    pub fn describe_script(&self, id: &str) -> Result<serde_json::Value> {
        let scripts = self.shared.scripts.read();
        scripts.get(id).map(|script| serde_json::json!(script)).ok_or_else(|| unknown(id))
    }

    /// `POST /udf/javascript`: checks and stores a script. On disk when it returns.
    ///
    /// # Errors
    /// The body or the script is wrong, or the id is taken.
    pub async fn create_script(&self, body: &str) -> Result<String> {
        let script = self.read(body)?;
        let _changes = self.shared.changes.lock().await;
        let scripts = self.shared.scripts.read().len();
        if self.shared.scripts.read().contains_key(&script.id) {
            return Err(PluginError::Body(format!("script {} already exists", script.id)));
        }
        if scripts >= self.shared.options.max_scripts {
            return Err(PluginError::Limit(format!("{scripts} scripts are stored; delete some")));
        }
        let answer = format!("JavaScript function {} is created", script.id);
        self.store(script).await.map(|()| answer)
    }

    /// `PUT /udf/javascript/{id}`: replaces a script; rules use it from their next start.
    ///
    /// # Errors
    /// The body or the script is wrong, it is for another id, or there is none of this id.
    pub async fn update_script(&self, id: &str, body: &str) -> Result<String> {
        let script = self.read(body)?;
        if script.id != id {
            return Err(PluginError::Body(format!("the body is for {}, not {id}", script.id)));
        }
        let _changes = self.shared.changes.lock().await;
        self.describe_script(id)?;
        self.store(script).await.map(|()| format!("JavaScript function {id} is updated"))
    }

    /// `DELETE /udf/javascript/{id}`.
    ///
    /// # Errors
    /// There is none of this id.
    pub async fn delete_script(&self, id: &str) -> Result<String> {
        let _changes = self.shared.changes.lock().await;
        self.describe_script(id)?;
        let path = self.shared.options.scripts.join(format!("{id}.json"));
        off_runtime(move || fs::remove_file(&path).map_err(|source| PluginError::File { path, source })).await?;
        self.shared.scripts.write().remove(id);
        Ok(format!("JavaScript function {id} is deleted"))
    }

    fn read(&self, body: &str) -> Result<StoredScript> {
        let bad = |error| PluginError::Body(format!("Invalid body: Error decoding the json: {error}"));
        let script: StoredScript = serde_json::from_str(body).map_err(bad)?;
        check_name(&script.id)?;
        if script.script.len() > self.shared.options.max_script_bytes {
            let max = self.shared.options.max_script_bytes;
            return Err(PluginError::Limit(format!("script {} is longer than {max} bytes", script.id)));
        }
        Ok(script)
    }

    async fn store(&self, script: StoredScript) -> Result<()> {
        let path = self.shared.options.scripts.join(format!("{}.json", script.id));
        let stored = off_runtime(move || {
            script.check()?;
            let text = serde_json::to_vec_pretty(&script).map_err(|error| PluginError::Body(error.to_string()))?;
            write_file(&path, &text)?;
            Ok(script)
        });
        let script = stored.await?;
        self.shared.scripts.write().insert(script.id.clone(), script);
        Ok(())
    }
}

fn unknown(id: &str) -> PluginError {
    PluginError::Unknown(format!("JavaScript function {id}"))
}

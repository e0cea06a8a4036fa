//! `/services`: functions that are calls to other servers.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::get;
use edgeward_connect::{ConnectError, ServicePackage, Services};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::reply::{Prefixed, Reply, document, read, text};
use crate::error::{Code, Result, RulesError};
use crate::{Handle, secrets};

/// Largest body: a service may come as its files.
const MAX_BODY: usize = 8 << 20;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/services", get(list).post(create))
        .route("/services/{n}", get(show).put(update).delete(delete))
        .route("/services/functions", get(functions))
        .route("/services/functions/{n}", get(function))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// `{name, file}`; `file` is a zip, or a folder of this machine.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    name: String,
    #[serde(default)]
    file: String,
}

impl Handle {
    async fn service_package(&self, file: &str) -> Result<ServicePackage> {
        if file.is_empty() {
            return Err(RulesError::refused(Code::Undefined, "invalid body: file is required"));
        }
        let path = file.strip_prefix("file://").unwrap_or(file).to_owned();
        if self.allows_files() && std::path::Path::new(&path).is_dir() {
            return self.services(move |_| ServicePackage::from_folder(path.as_ref())).await;
        }
        let bytes = self.fetch(file).await?;
        self.services(move |_| ServicePackage::from_zip(&bytes)).await
    }

    /// Works on the registry off the runtime's threads, which it may need for its calls.
    pub(crate) async fn services<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Services) -> std::result::Result<T, ConnectError> + Send + 'static,
    ) -> Result<T> {
        let services = self.registry.world.services.clone();
        let done = tokio::task::spawn_blocking(move || work(&services)).await;
        Ok(done.map_err(|_| RulesError::refused(Code::Undefined, "the program is stopping"))??)
    }
}

async fn list(State(handle): State<Handle>) -> Reply {
    document(json!(handle.registry.world.services.list()))
}

async fn create(State(handle): State<Handle>, body: String) -> Reply {
    let Body { name, file } = read(&body)?;
    let package = handle.service_package(&file).await.or_fail("service create command error")?;
    let at = name.clone();
    let created = handle.services(move |services| services.create(&at, &package)).await;
    created.or_fail("service create command error")?;
    text(StatusCode::CREATED, format!("service {name} is created"))
}

async fn show(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    let found = handle.registry.world.services.get(&name).map_err(RulesError::from);
    let found = found.map(|service| service.as_object().map(secrets::masked).unwrap_or_default());
    document(found.or_fail(format!("describe service {name} error"))?)
}

async fn update(State(handle): State<Handle>, Path(name): Path<String>, body: String) -> Reply {
    let Body { file, .. } = read(&body)?;
    let package = handle.service_package(&file).await.or_fail("service update command error")?;
    let at = name.clone();
    let updated = handle.services(move |services| services.update(&at, &package)).await;
    updated.or_fail("service update command error")?;
    text(StatusCode::OK, format!("service {name} is updated"))
}

async fn delete(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    let at = name.clone();
    handle.services(move |services| services.delete(&at)).await.or_fail(format!("delete service {name} error"))?;
    text(StatusCode::OK, format!("service {name} is deleted"))
}

async fn functions(State(handle): State<Handle>) -> Reply {
    document(json!(handle.registry.world.services.functions()))
}

async fn function(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    let found = handle.registry.world.services.function(&name).map_err(RulesError::from);
    document(found.or_fail(format!("describe function {name} error"))?)
}

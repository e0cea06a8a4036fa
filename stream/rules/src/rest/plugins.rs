//! `/plugins` and `/udf`: what users brought.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use edgeward_plugins::{Manager, native_refusal};
use http::StatusCode;
use serde_json::{Value, json};

use super::reply::{Prefixed, Reply, document, text};
use crate::Handle;
use crate::error::{Code, Result, RulesError};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/plugins/portables", get(list_portables).post(create_portable))
        .route("/plugins/portables/{n}", get(show_portable).put(update_portable).delete(delete_portable))
        .route("/plugins/portables/{n}/status", get(portable_status))
        .route("/plugins/udfs", get(list_udfs))
        .route("/plugins/udfs/{n}", get(show_udf))
        .route("/udf/javascript", get(list_scripts).post(create_script))
        .route("/udf/javascript/{id}", get(show_script).put(update_script).delete(delete_script))
        .merge(native("sources", ["/plugins/sources", "/plugins/sources/{n}", "/plugins/sources/prebuild"]))
        .merge(native("sinks", ["/plugins/sinks", "/plugins/sinks/{n}", "/plugins/sinks/prebuild"]))
        .merge(native("functions", ["/plugins/functions", "/plugins/functions/{n}", "/plugins/functions/prebuild"]))
        .route("/plugins/functions/{n}/register", post(|| async { refuse_native("functions") }))
}

/// Go's plugins cannot be loaded: there are never any.
fn native(kind: &'static str, [all, one, prebuilt]: [&'static str; 3]) -> Router<Handle> {
    let refuse = move || async move { refuse_native(kind) };
    let missing = move |Path(name): Path<String>| async move {
        let none: Result<()> = Err(RulesError::not_found(format!("{kind} plugin {name} is not found")));
        none.or_fail("").and_then(|()| text(StatusCode::OK, ""))
    };
    let none = || async { document(json!([])) };
    Router::new()
        .route(all, get(none).post(refuse))
        .route(one, get(missing).put(refuse).delete(missing))
        .route(prebuilt, get(|| async { document(json!({})) }))
}

fn refuse_native(kind: &str) -> Reply {
    let refused: Result<()> = Err(RulesError::refused(Code::Undefined, native_refusal(kind)));
    refused.or_fail("").and_then(|()| text(StatusCode::OK, ""))
}

impl Handle {
    fn plugins(&self) -> Result<&Manager> {
        let off = || RulesError::refused(Code::Undefined, "plugins are switched off in this program");
        self.registry.world.plugins.as_ref().ok_or_else(off)
    }

    /// A question to the manager.
    fn brought(
        &self,
        ask: impl FnOnce(&Manager) -> std::result::Result<Value, edgeward_plugins::PluginError>,
    ) -> Reply {
        document(self.plugins().and_then(|plugins| Ok(ask(plugins)?)).or_fail("")?)
    }
}

/// A change by the manager: its sentence.
macro_rules! change {
    ($handle:expr, $status:expr, $method:ident($($argument:expr),*)) => {{
        let plugins = $handle.plugins().or_fail("")?;
        let done = plugins.$method($($argument),*).await.map_err(RulesError::from);
        text($status, done.or_fail("")?)
    }};
}

async fn list_portables(State(handle): State<Handle>) -> Reply {
    handle.brought(|plugins| Ok(plugins.list_portables()))
}

async fn create_portable(State(handle): State<Handle>, body: String) -> Reply {
    change!(handle, StatusCode::CREATED, create_portable(&body))
}

async fn show_portable(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    handle.brought(|plugins| plugins.describe_portable(&name))
}

async fn portable_status(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    handle.brought(|plugins| plugins.portable_status(&name))
}

async fn update_portable(State(handle): State<Handle>, Path(name): Path<String>, body: String) -> Reply {
    change!(handle, StatusCode::OK, update_portable(&name, &body))
}

async fn delete_portable(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    change!(handle, StatusCode::OK, delete_portable(&name))
}

async fn list_udfs(State(handle): State<Handle>) -> Reply {
    handle.brought(|plugins| Ok(plugins.list_udfs()))
}

async fn show_udf(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    handle.brought(|plugins| plugins.describe_udf(&name))
}

async fn list_scripts(State(handle): State<Handle>) -> Reply {
    handle.brought(|plugins| Ok(plugins.list_scripts()))
}

async fn create_script(State(handle): State<Handle>, body: String) -> Reply {
    change!(handle, StatusCode::CREATED, create_script(&body))
}

async fn show_script(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    handle.brought(|plugins| plugins.describe_script(&id))
}

async fn update_script(State(handle): State<Handle>, Path(id): Path<String>, body: String) -> Reply {
    change!(handle, StatusCode::OK, update_script(&id, &body))
}

async fn delete_script(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    change!(handle, StatusCode::OK, delete_script(&id))
}

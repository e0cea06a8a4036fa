//! `/plugins` and `/udf`: what users brought.

use std::borrow::Cow;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use edgeward_plugins::{Manager, PluginError, native_refusal};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::reply::{Failure, Prefixed, Reply, document, text};
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
        .route("/plugins/functions/{n}/register", post(register))
}

/// Go's plugins cannot be loaded: there are never any.
fn native(kind: &'static str, [all, one, prebuilt]: [&'static str; 3]) -> Router<Handle> {
    let refuse = move || async move { refuse_native(kind, format!("{kind} plugins create command error")) };
    let replace =
        move |Path(_): Path<String>| async move { refuse_native(kind, format!("{kind} plugins update command error")) };
    let missing =
        move |Path(name): Path<String>| async move { not_found(format!("describe {kind} plugin {name} error")) };
    let undeletable =
        move |Path(name): Path<String>| async move { not_found(format!("delete {kind} plugin {name} error")) };
    let none = || async { document(json!([])) };
    Router::new()
        .route(all, get(none).post(refuse))
        .route(one, get(missing).put(replace).delete(undeletable))
        .route(prebuilt, get(|| async { document(json!({})) }))
}

async fn register(Path(name): Path<String>) -> Reply {
    refuse_native("functions", format!("functions {name} register command error"))
}

fn not_found(prefix: impl Into<Cow<'static, str>>) -> Reply {
    Err(Failure::new(prefix, RulesError::not_found("not found")))
}

fn refuse_native(kind: &str, prefix: String) -> Reply {
    Err(Failure::new(prefix, RulesError::refused(Code::Undefined, native_refusal(kind))))
}

impl Handle {
    fn plugins(&self) -> Result<&Manager> {
        let off = || RulesError::refused(Code::Undefined, "plugins are switched off in this program");
        self.registry.world.plugins.as_ref().ok_or_else(off)
    }

    /// A question to the manager; whatever does not exist is told as eKuiper does.
    fn brought(&self, prefix: impl Into<Cow<'static, str>>, ask: impl FnOnce(&Manager) -> Asked<Value>) -> Reply {
        let prefix = prefix.into();
        match ask(self.plugins().or_fail("")?) {
            Err(PluginError::Unknown(_)) => not_found(prefix),
            asked => document(asked.map_err(RulesError::from).or_fail(prefix)?),
        }
    }
}

type Asked<T> = std::result::Result<T, PluginError>;

/// A change by the manager: its sentence.
fn changed(status: StatusCode, done: Asked<String>, prefix: impl Into<Cow<'static, str>>) -> Reply {
    text(status, done.map_err(RulesError::from).or_fail(prefix)?)
}

/// Refuses a body that is no JSON object, in the words of its kind.
fn check_body(body: &str, kind: &str) -> std::result::Result<(), Failure> {
    let parsed: serde_json::Result<Map<String, Value>> = serde_json::from_str(body);
    let wrong = |error: serde_json::Error| RulesError::refused(Code::Undefined, error.to_string());
    parsed.map(drop).map_err(wrong).or_fail(format!("Invalid body: Error decoding the {kind} json"))
}

const PORTABLE: &str = "portable plugin";

async fn list_portables(State(handle): State<Handle>) -> Reply {
    handle.brought("", |plugins| Ok(plugins.list_portables()))
}

async fn create_portable(State(handle): State<Handle>, body: String) -> Reply {
    check_body(&body, PORTABLE)?;
    let done = handle.plugins().or_fail("")?.create_portable(&body).await;
    changed(StatusCode::CREATED, done, "portable plugin create command error")
}

async fn show_portable(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    handle.brought(format!("describe portable plugin {name} error"), |plugins| plugins.describe_portable(&name))
}

async fn portable_status(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    handle.brought(format!("describe portable plugin {name} error"), |plugins| plugins.portable_status(&name))
}

async fn update_portable(State(handle): State<Handle>, Path(name): Path<String>, body: String) -> Reply {
    check_body(&body, PORTABLE)?;
    let done = handle.plugins().or_fail("")?.update_portable(&name, &body).await;
    changed(StatusCode::OK, done, "portable plugin update command error")
}

async fn delete_portable(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    let done = handle.plugins().or_fail("")?.delete_portable(&name).await;
    // As eKuiper, which has a code for what is asked for, but none for what is to be deleted.
    let done = done.map_err(|error| RulesError::refused(Code::Undefined, error.to_string()));
    text(StatusCode::OK, done.or_fail(format!("delete portable plugin {name} error"))?)
}

async fn list_udfs(State(handle): State<Handle>) -> Reply {
    handle.brought("", |plugins| Ok(plugins.list_udfs()))
}

async fn show_udf(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    handle.brought(format!("describe function {name} error"), |plugins| plugins.describe_udf(&name))
}

async fn list_scripts(State(handle): State<Handle>) -> Reply {
    handle.brought("", |plugins| Ok(plugins.list_scripts()))
}

async fn create_script(State(handle): State<Handle>, body: String) -> Reply {
    check_body(&body, "script")?;
    let done = handle.plugins().or_fail("")?.create_script(&body).await;
    changed(StatusCode::CREATED, done, "script create command error")
}

async fn show_script(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    handle.brought(format!("describe script {id} error"), |plugins| plugins.describe_script(&id))
}

async fn update_script(State(handle): State<Handle>, Path(id): Path<String>, body: String) -> Reply {
    check_body(&body, "script")?;
    let done = handle.plugins().or_fail("")?.update_script(&id, &body).await;
    changed(StatusCode::OK, done, "script update command error")
}

async fn delete_script(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let done = handle.plugins().or_fail("")?.delete_script(&id).await;
    changed(StatusCode::OK, done, format!("delete script {id} error"))
}

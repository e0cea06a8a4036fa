//! `/ruleset`, `/data`, `/v2/data` and `/async`: export and import.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{Failure, Prefixed, Reply, document, read, text};
use crate::error::{Code, RulesError};
use crate::{Handle, transfer};

/// Largest body of an import, in bytes: thousands of rules come in one.
const MAX_IMPORT: usize = 64 << 20;
/// Most imports whose end is remembered.
const MAX_TASKS: usize = 100;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/ruleset/export", post(export_ruleset))
        .route("/ruleset/import", post(import_ruleset))
        .route("/data/export", get(export).post(export_some))
        .route("/data/import", post(import))
        .route("/data/import/status", get(import_status))
        .route("/v2/data/export", get(export_v2))
        .route("/v2/data/import", post(import_v2))
        .route("/async/data/import", post(import_async))
        .route("/async/task/{id}", get(task))
        .route("/async/task/{id}/cancel", post(cancel_task))
        .layer(DefaultBodyLimit::max(MAX_IMPORT))
}

#[derive(Deserialize)]
struct Content {
    content: Option<String>,
    file: Option<String>,
}

#[derive(Deserialize)]
struct How {
    partial: Option<String>,
    stop: Option<String>,
}

fn content(handle: &Handle, body: &str) -> Result<String, Failure> {
    let Content { content, file } = read(body)?;
    match (content.filter(|text| !text.is_empty()), file.filter(|file| !file.is_empty())) {
        (Some(text), None) => Ok(text),
        (None, Some(file)) => handle.uploads.read(&file).or_fail("Invalid body"),
        (Some(_), Some(_)) => bad("bad request: must not set content and file together"),
        (None, None) => bad("bad request: must set content or file"),
    }
}

fn bad<T>(message: &str) -> Result<T, Failure> {
    Err(RulesError::refused(Code::General, message)).or_fail("Invalid body")
}

async fn export_ruleset(State(handle): State<Handle>) -> Reply {
    download(&handle.ruleset(None).or_fail("ruleset export error")?)
}

fn download(value: &Value) -> Reply {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=ekuiper_export.json"),
    ];
    Ok((headers, value.to_string()).into_response())
}

async fn import_ruleset(State(handle): State<Handle>, body: String) -> Reply {
    let done = handle.import(&content(&handle, &body)?, false).await.or_fail("ruleset import error")?;
    let [streams, tables, rules] = done.counts;
    text(StatusCode::OK, format!("imported {streams} streams, {tables} tables and {rules} rules"))
}

async fn export(State(handle): State<Handle>) -> Reply {
    download(&handle.export(None).or_fail("data export error")?)
}

async fn export_some(State(handle): State<Handle>, body: String) -> Reply {
    let rules: Vec<String> = read(&body)?;
    download(&handle.export(Some(&rules)).or_fail("data export error")?)
}

async fn import(State(handle): State<Handle>, Query(how): Query<How>, body: String) -> Reply {
    let content = content(&handle, &body)?;
    answer(run_import(&handle, &how, &content).await.or_fail("data import error")?, handle, how)
}

async fn run_import(handle: &Handle, how: &How, content: &str) -> Result<transfer::Imported, RulesError> {
    let partial = how.partial.as_deref() == Some("1");
    if !partial {
        // Nothing is cleared for what cannot be read.
        let readable: serde_json::Result<serde_json::Map<String, Value>> = serde_json::from_str(content);
        readable.map_err(|error| RulesError::refused(Code::General, format!("invalid content: {error}")))?;
        handle.clear().await?;
    }
    handle.import(content, true).await
}

fn answer(done: transfer::Imported, handle: Handle, how: How) -> Reply {
    let message = if done.errors.is_empty() { "" } else { "some items cannot be imported" };
    let status = if done.errors.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    if let Some(program) = handle.stop.filter(|_| how.stop.as_deref() == Some("1")) {
        program.token().cancel();
    }
    let body = json!({"ErrorMsg": message, "ConfigResponse": done.response()});
    text(status, format!("{body}\n"))
}

async fn import_status(State(handle): State<Handle>) -> Reply {
    let last = handle.last_import.lock().response();
    document(last)
}

async fn export_v2(State(handle): State<Handle>) -> Reply {
    let export = handle.export(None).or_fail("data export error")?;
    let failed = |error: &dyn std::fmt::Display| RulesError::refused(Code::General, error.to_string());
    let yaml = serde_saphyr::to_string(&transfer::to_v2(&export))
        .map_err(|error| failed(&error))
        .or_fail("data export error")?;
    Ok((
        [
            (header::CONTENT_TYPE, "application/octet-stream"),
            (header::CONTENT_DISPOSITION, "attachment; filename=ekuiper_export.yaml"),
        ],
        yaml,
    )
        .into_response())
}

async fn import_v2(State(handle): State<Handle>, Query(how): Query<How>, body: String) -> Reply {
    let content = content(&handle, &body)?;
    // A few lines of aliases can stand for gigabytes.
    let options =
        serde_saphyr::options! { alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 } };
    let parsed = serde_saphyr::from_str_with_options::<Value>(&content, options);
    let v2 =
        parsed.map_err(|error| RulesError::refused(Code::General, error.to_string())).or_fail("data import error")?;
    let content = transfer::from_v2(&v2).to_string();
    answer(run_import(&handle, &how, &content).await.or_fail("data import error")?, handle, how)
}

async fn import_async(State(handle): State<Handle>, Query(how): Query<How>, body: String) -> Reply {
    let content = content(&handle, &body)?;
    let id = {
        let mut tasks = handle.imports.lock();
        while tasks.len() >= MAX_TASKS {
            tasks.pop_first();
        }
        let id = format!("{:020}", edgeward_service::clock::now_ms()) + &tasks.len().to_string();
        tasks.insert(id.clone(), json!({"id": id, "status": "running", "message": ""}));
        id
    };
    let (worker, name) = (handle.clone(), id.clone());
    handle.registry.world.tasks.spawn_until_cancelled("import", async move {
        let outcome = run_import(&worker, &how, &content).await;
        let (status, message) = match outcome {
            Ok(done) if done.errors.is_empty() => ("finished", String::new()),
            Ok(done) => ("failed", Value::Object(done.errors).to_string()),
            Err(error) => ("failed", error.to_string()),
        };
        worker.imports.lock().insert(name.clone(), json!({"id": name, "status": status, "message": message}));
    });
    text(StatusCode::OK, json!({"id": id}).to_string())
}

async fn task(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let found = handle.imports.lock().get(&id).cloned();
    let missing = || RulesError::not_found(format!("task {id} not found"));
    text(StatusCode::OK, found.ok_or_else(missing).or_fail("get async task error")?.to_string())
}

/// An import that has begun is finished: what it replaced cannot come back.
async fn cancel_task(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let known = handle.imports.lock().contains_key(&id);
    let error = if known {
        RulesError::refused(Code::General, format!("task {id} is not cancellable"))
    } else {
        RulesError::not_found(format!("task {id} not found"))
    };
    Err(error).or_fail("cancel async task error")
}

//! `/ruleset`, `/data`, `/v2/data` and `/async`: export and import.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use edgeward_service::Tasks;
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{Failure, Prefixed, Reply, document, read, read_as, text};
use crate::error::{Code, RulesError};
use crate::transfer::{AsyncImport, Imported};
use crate::{Handle, transfer, transfer_v2};

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
    let Content { content, file } = read_as(body, "Invalid body: Error decoding json")?;
    match (content.filter(|text| !text.is_empty()), file.filter(|file| !file.is_empty())) {
        (Some(text), None) => Ok(text),
        (None, Some(file)) => handle.uploads.read(&file).or_fail("Fail to read file"),
        (Some(_), Some(_)) => bad("bad request: must not set content and file together"),
        (None, None) => bad("bad request: must set content or file"),
    }
}

fn bad<T>(message: &str) -> Result<T, Failure> {
    Err(RulesError::refused(Code::Undefined, message)).or_fail("Invalid body")
}

async fn export_ruleset(State(handle): State<Handle>) -> Reply {
    download(handle.ruleset(None).or_fail("export error")?.to_string())
}

fn download(content: String) -> Reply {
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CONTENT_DISPOSITION, "Attachment")];
    Ok((headers, content).into_response())
}

async fn import_ruleset(State(handle): State<Handle>, body: String) -> Reply {
    let content = content(&handle, &body)?;
    let done = handle.import(&content, false, &handle.registry.world.tasks).await.or_fail("Import ruleset error")?;
    let [streams, tables, rules] = done.counts;
    text(StatusCode::OK, format!("imported {streams} streams, {tables} tables and {rules} rules"))
}

async fn export(State(handle): State<Handle>) -> Reply {
    download(handle.export(None).or_fail("export error")?.to_string())
}

async fn export_some(State(handle): State<Handle>, body: String) -> Reply {
    let rules: Vec<String> = read(&body)?;
    download(handle.export(Some(&rules)).or_fail("export error")?.to_string())
}

async fn import(State(handle): State<Handle>, Query(how): Query<How>, body: String) -> Reply {
    let content = content(&handle, &body)?;
    let done = run_import(&handle, &how, &content, &handle.registry.world.tasks).await.or_fail("")?;
    answer(done, handle, how)
}

async fn run_import(handle: &Handle, how: &How, content: &str, node: &Tasks) -> Result<Imported, RulesError> {
    // Nothing is cleared for what cannot be read.
    if let Some(answer) = transfer::unreadable(content) {
        return Err(RulesError::refused(Code::Undefined, answer.to_string()));
    }
    if how.partial.as_deref() != Some("1") {
        handle.clear().await?;
    }
    handle.import(content, true, node).await
}

/// What could not be imported is told name by name; the rest was, so that the answer is a success.
fn answer(done: Imported, handle: Handle, how: How) -> Reply {
    if let Some(program) = handle.stop.filter(|_| how.stop.as_deref() == Some("1")) {
        program.token().cancel();
    }
    let body = json!({"ErrorMsg": "", "ConfigResponse": done.response()});
    text(StatusCode::OK, format!("{body}\n"))
}

async fn import_status(State(handle): State<Handle>) -> Reply {
    let last = handle.last_import.lock().response();
    document(last)
}

async fn export_v2(State(handle): State<Handle>) -> Reply {
    let export = handle.export(None).or_fail("export error")?;
    let failed = |error: serde_saphyr::ser::Error| RulesError::refused(Code::Undefined, error.to_string());
    download(serde_saphyr::to_string(&transfer_v2::to_v2(&export)).map_err(failed).or_fail("export error")?)
}

async fn import_v2(State(handle): State<Handle>, Query(how): Query<How>, body: String) -> Reply {
    let content = content(&handle, &body)?;
    // A few lines of aliases can stand for gigabytes.
    let options =
        serde_saphyr::options! { alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 } };
    let parsed = serde_saphyr::from_str_with_options::<Value>(&content, options);
    let wrong = |error: serde_saphyr::Error| RulesError::refused(Code::Undefined, error.to_string());
    let content = transfer_v2::from_v2(&parsed.map_err(wrong).or_fail("data import error")?).to_string();
    let done = run_import(&handle, &how, &content, &handle.registry.world.tasks).await.or_fail("")?;
    answer(done, handle, how)
}

async fn import_async(State(handle): State<Handle>, Query(how): Query<How>, body: String) -> Reply {
    let content = content(&handle, &body)?;
    let node = handle.registry.world.tasks.child("import");
    let id = {
        let mut imports = handle.imports.lock();
        while imports.len() >= MAX_TASKS {
            imports.pop_first();
        }
        let id = format!("{:020}", edgeward_service::clock::now_ms()) + &imports.len().to_string();
        let import = AsyncImport { status: "running", message: String::new(), node: node.clone() };
        imports.insert(id.clone(), import);
        id
    };
    let (worker, name) = (handle.clone(), id.clone());
    // Told to stop it ends behind the definition it works on, so that memory and disk agree.
    handle.registry.world.tasks.spawn("import", async move {
        let outcome = run_import(&worker, &how, &content, &node).await;
        let (status, message) = match outcome {
            Ok(_) if node.is_cancelled() => ("cancelled", String::new()),
            Ok(done) if done.errors.is_empty() => ("finished", String::new()),
            Ok(done) => ("failed", Value::Object(done.errors).to_string()),
            Err(error) => ("failed", error.to_string()),
        };
        if let Some(import) = worker.imports.lock().get_mut(&name) {
            (import.status, import.message) = (status, message);
        }
    });
    text(StatusCode::OK, json!({"id": id}).to_string())
}

async fn task(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let shown = handle
        .imports
        .lock()
        .get(&id)
        .map(|import| json!({"id": id, "status": import.status, "message": import.message}).to_string());
    let missing = || RulesError::not_found(format!("task {id} not found"));
    text(StatusCode::OK, shown.ok_or_else(missing).or_fail("get async task error")?)
}

/// What was imported by now stays.
async fn cancel_task(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let node = handle.imports.lock().get(&id).map(|import| import.node.clone());
    let missing = || RulesError::not_found(format!("task {id} not found"));
    node.ok_or_else(missing).or_fail("cancel async task error")?.token().cancel();
    text(StatusCode::OK, "")
}

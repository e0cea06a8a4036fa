//! `/config/uploads`: files users keep beside their rules.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::{delete, get};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::multipart;
use super::reply::{Failure, Prefixed, Reply, document, read, text};
use crate::Handle;
use crate::error::{Code, Result, RulesError};
use crate::uploads::Uploads;

/// Largest upload in bytes.
const MAX_UPLOAD: usize = 64 << 20;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/config/uploads", get(list).post(upload).layer(DefaultBodyLimit::max(MAX_UPLOAD)))
        .route("/config/uploads/{n}", delete(remove))
}

async fn list(State(handle): State<Handle>) -> Reply {
    document(json!(handle.uploads.work(|uploads| Ok(uploads.list())).await.or_fail("")?))
}

async fn upload(State(handle): State<Handle>, headers: HeaderMap, body: Bytes) -> Reply {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Some(boundary) = multipart::boundary(content_type).map(str::to_owned) {
        let keep = move |uploads: &Uploads| {
            let none = || RulesError::refused(Code::Undefined, "Error Retrieving the File: no uploadFile");
            let file = multipart::file(&body, &boundary, "uploadFile").ok_or_else(none)?;
            uploads.keep(&file.name, file.content)
        };
        return created(handle.uploads.work(keep).await);
    }
    let body = std::str::from_utf8(&body).map_err(|_| bad("the body is no UTF-8"))?;
    let upload = read(body)?;
    created(handle.uploads.work(move |uploads| uploads.take(upload)).await)
}

fn bad(message: &str) -> Failure {
    Failure::new("Invalid body", RulesError::refused(Code::Undefined, message))
}

fn created(path: Result<String>) -> Reply {
    text(StatusCode::CREATED, path.or_fail("")?)
}

async fn remove(State(handle): State<Handle>, Path(name): Path<String>) -> Reply {
    handle.uploads.work(move |uploads| uploads.remove(&name)).await.or_fail("")?;
    text(StatusCode::OK, "ok")
}

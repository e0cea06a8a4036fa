//! `/ruletest`: trial runs.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, post};
use http::StatusCode;
use serde_json::json;

use super::reply::{Reply, text};
use crate::Handle;
use crate::error::Result;
use crate::trial::Request;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/ruletest", post(create))
        .route("/ruletest/{id}/start", post(start))
        .route("/ruletest/{id}", delete(remove))
}

/// Errors of trials are `{"msg": text}`.
fn told<T>(result: Result<T>, answer: impl FnOnce(T) -> String) -> Reply {
    match result {
        Ok(done) => text(StatusCode::OK, answer(done)),
        Err(error) => text(StatusCode::BAD_REQUEST, json!({"msg": error.to_string()}).to_string()),
    }
}

async fn create(State(handle): State<Handle>, body: String) -> Reply {
    match serde_json::from_str::<Request>(&body) {
        Ok(request) => {
            told(handle.create_trial(request).await, |(id, port)| json!({"id": id, "port": port}).to_string())
        }
        Err(error) => text(StatusCode::BAD_REQUEST, json!({"msg": format!("Invalid body: {error}")}).to_string()),
    }
}

async fn start(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    told(handle.start_trial(&id).await, |()| String::new())
}

async fn remove(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    handle.remove_trial(&id).await;
    text(StatusCode::OK, "")
}

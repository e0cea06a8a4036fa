//! `POST /batch/req`: several requests in one.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::IntoResponse as _;
use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::reply::{Reply, document, read};

/// Most requests of one batch.
const MAX_REQUESTS: usize = 10_000;
/// Largest answer of one of them, in bytes.
const MAX_ANSWER: usize = 16 << 20;

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    body: Value,
}

/// Runs `[{method,path,body}]` in order and answers `[{code,response,error}]`.
pub(super) async fn run(api: Router, body: String) -> Reply {
    let items: Vec<Item> = read(&body)?;
    let mut answers = Vec::with_capacity(items.len().min(MAX_REQUESTS));
    for item in items.into_iter().take(MAX_REQUESTS) {
        answers.push(one(&api, item).await);
    }
    document(Value::Array(answers))
}

async fn one(api: &Router, item: Item) -> Value {
    let body = match item.body {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let request = Request::builder().method(item.method.as_str()).uri(&item.path).body(Body::from(body));
    let Ok(request) = request else {
        return json!({"code": 400, "response": "", "error": format!("invalid request {} {}", item.method, item.path)});
    };
    let Ok(response) = api.clone().oneshot(request).await;
    let (parts, body) = response.into_response().into_parts();
    let text = to_bytes(body, MAX_ANSWER).await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let (response, error) = match text {
        Ok(text) if parts.status.is_success() => (text, String::new()),
        Ok(text) => (String::new(), text),
        Err(error) => (String::new(), error.to_string()),
    };
    json!({"code": parts.status.as_u16(), "response": response, "error": error})
}

//! `/rules` and what lies below.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{Prefixed, Reply, document, read, text};
use crate::error::{Code, Result, RulesError};
use crate::{Handle, status};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/rules", get(list).post(create))
        .route("/rules/validate", post(validate))
        .route("/rules/bulkstart", post(bulk_start))
        .route("/rules/bulkstop", post(bulk_stop))
        .route("/rules/status/all", get(all_status))
        .route("/rules/tags/match", get(match_tags))
        .route("/rules/{id}", get(show).put(update).delete(delete))
        .route("/rules/{id}/status", get(show_status))
        .route("/rules/{id}/start", post(start))
        .route("/rules/{id}/stop", post(stop))
        .route("/rules/{id}/restart", post(restart))
        .route("/rules/{id}/topo", get(topo))
        .route("/rules/{id}/explain", get(explain))
        .route("/rules/{id}/schema", get(schema))
        .route("/rules/{id}/scantables", get(scan_tables))
        .route("/rules/{id}/reset_state", put(reset_state))
        .route("/v2/rules/{id}/status", get(structured_status))
        .route("/rules/usage/cpu", get(cpu))
        .route("/rules/{id}/tags", put(set_tags).patch(add_tags).delete(remove_tags))
}

async fn list(State(handle): State<Handle>) -> Reply {
    document(handle.registry.list())
}

async fn create(State(handle): State<Handle>, body: String) -> Reply {
    let id = handle.create_rule(&body).await.or_fail("")?;
    text(StatusCode::CREATED, format!("Rule {id} was created successfully."))
}

async fn show(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    document(handle.registry.document(&id).or_fail("describe rule error")?)
}

async fn update(State(handle): State<Handle>, Path(id): Path<String>, body: String) -> Reply {
    handle.update_rule(&id, &body).await.or_fail("Update rule error")?;
    text(StatusCode::OK, format!("Rule {id} was updated successfully."))
}

async fn delete(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    handle.delete_rule(&id).await.or_fail("delete rule error")?;
    text(StatusCode::OK, format!("Rule {id} is dropped."))
}

async fn show_status(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    document(handle.rule_status(&id).or_fail("get rule status error")?)
}

async fn all_status(State(handle): State<Handle>) -> Reply {
    document(handle.registry.all_status())
}

async fn start(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    handle.start_rule(&id).await.or_fail("start rule error")?;
    text(StatusCode::OK, format!("Rule {id} was started"))
}

async fn stop(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    handle.stop_rule(&id).await.or_fail("stop rule error")?;
    text(StatusCode::OK, format!("Rule {id} was stopped."))
}

async fn restart(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    handle.registry.restart(&id).await.or_fail("restart rule error")?;
    text(StatusCode::OK, format!("Rule {id} was restarted"))
}

async fn topo(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let rule = handle.registry.get(&id).or_fail("get rule topo error")?;
    document(status::topo(&rule).or_fail("get rule topo error")?)
}

async fn explain(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    text(StatusCode::OK, handle.explain_rule(&id).or_fail("explain rules error")?)
}

async fn structured_status(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let rule = handle.registry.get(&id).or_fail("get rule status error")?;
    document(status::structured(&rule, &handle.registry.zone()))
}

async fn schema(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    document(handle.rule_schema(&id).or_fail("get rule schema error")?)
}

async fn scan_tables(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    document(json!(handle.rule_scan_tables(&id).or_fail("get rule scan tables error")?))
}

async fn cpu(State(handle): State<Handle>) -> Reply {
    document(handle.registry.cpu_usage())
}

#[derive(Deserialize)]
struct Reset {
    #[serde(default, rename = "type")]
    kind: i64,
    #[serde(default)]
    params: Value,
}

/// `params` of the type 1.
#[derive(Deserialize)]
struct Offset {
    #[serde(default, rename = "streamName")]
    stream: String,
    #[serde(default)]
    input: serde_json::Map<String, Value>,
}

async fn reset_state(State(handle): State<Handle>, Path(id): Path<String>, body: String) -> Reply {
    let reset: Reset = read(&body)?;
    let refused = |text: String| RulesError::refused(Code::Rule, text);
    let done = match reset.kind {
        1 => handle
            .registry
            .get(&id)
            .and_then(|_| serde_json::from_value(reset.params).map_err(|error| refused(error.to_string())))
            .and_then(|Offset { stream, input }| handle.registry.reset(&id, &stream, &Value::Object(input))),
        other => Err(refused(format!("unknown stateType:{other}"))),
    };
    done.or_fail("")?;
    text(StatusCode::OK, "success")
}

/// 400 for what is no JSON, 422 with the bare text for a rule that is wrong.
async fn validate(State(handle): State<Handle>, body: String) -> Reply {
    let readable = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
    match handle.validate_rule(&body) {
        Ok(sources) => document(json!({"sources": sources, "valid": true})),
        Err(error) if readable => text(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        Err(error) => Err(error).or_fail(""),
    }
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Vec<String>,
}

async fn bulk_start(State(handle): State<Handle>, body: String) -> Reply {
    let Tags { tags } = read(&body)?;
    let mut results = Vec::new();
    for id in handle.registry.tagged(&tags) {
        let result = handle.start_rule(&id).await;
        results.push(bulk_result(&id, &result));
    }
    document(Value::Array(results))
}

async fn bulk_stop(State(handle): State<Handle>, body: String) -> Reply {
    let Tags { tags } = read(&body)?;
    let mut results = Vec::new();
    for id in handle.registry.tagged(&tags) {
        let result = handle.stop_rule(&id).await;
        results.push(bulk_result(&id, &result));
    }
    document(Value::Array(results))
}

fn bulk_result(id: &str, result: &Result<()>) -> Value {
    let error = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
    json!({"ruleId": id, "success": result.is_ok(), "error": error})
}

async fn match_tags(State(handle): State<Handle>, body: String) -> Reply {
    let Tags { tags } = read(&body)?;
    document(json!({"rules": handle.registry.tagged(&tags)}))
}

async fn set_tags(State(handle): State<Handle>, Path(id): Path<String>, body: String) -> Reply {
    let Tags { tags } = read(&body)?;
    handle.registry.tag(&id, |_| tags).await.or_fail("set rule tags error")?;
    text(StatusCode::OK, "")
}

async fn add_tags(State(handle): State<Handle>, Path(id): Path<String>, body: String) -> Reply {
    let Tags { tags } = read(&body)?;
    let add = |mut known: Vec<String>| {
        tags.into_iter().for_each(|tag| {
            if !known.contains(&tag) {
                known.push(tag)
            }
        });
        known
    };
    handle.registry.tag(&id, add).await.or_fail("add rule tags error")?;
    text(StatusCode::OK, "")
}

async fn remove_tags(State(handle): State<Handle>, Path(id): Path<String>, body: String) -> Reply {
    let Tags { tags } = read(&body)?;
    let remove = |known: Vec<String>| known.into_iter().filter(|tag| !tags.contains(tag)).collect();
    handle.registry.tag(&id, remove).await.or_fail("delete rule tags error")?;
    text(StatusCode::OK, "")
}

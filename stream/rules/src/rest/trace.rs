//! `/trace` and `/tracer`: spans of the messages rules send.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;

use super::reply::{Prefixed, Reply, document, read, text};
use crate::Handle;
use crate::error::{Code, Result, RulesError};
use crate::trace::Strategy;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/rules/{id}/trace/start", post(start))
        .route("/rules/{id}/trace/stop", post(stop))
        .route("/trace/{id}", get(show))
        .route("/trace/rule/{id}", get(of_rule))
        .route("/tracer", post(tracer))
}

#[derive(Deserialize, Default)]
struct Start {
    #[serde(default)]
    strategy: String,
}

async fn start(State(handle): State<Handle>, Path(id): Path<String>, body: String) -> Reply {
    let Start { strategy } = if body.trim().is_empty() { Start::default() } else { read(&body)? };
    let strategy = match strategy.as_str() {
        "always" => Ok(Strategy::Always),
        "" | "head" => Ok(Strategy::Head),
        other => Err(RulesError::refused(Code::Rule, format!("unknown strategy {other}; use always or head"))),
    };
    handle.trace_rule(&id, strategy.or_fail("start trace rule error")?).or_fail("start trace rule error")?;
    text(StatusCode::OK, "")
}

async fn stop(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    handle.trace_rule(&id, Strategy::Off).or_fail("stop trace rule error")?;
    text(StatusCode::OK, "")
}

impl Handle {
    fn trace_rule(&self, id: &str, strategy: Strategy) -> Result<()> {
        self.registry.get(id)?;
        self.registry.world.traces.set(id, strategy);
        Ok(())
    }
}

async fn show(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let missing = || RulesError::not_found(format!("trace {id} not found"));
    document(handle.registry.world.traces.show(&id).ok_or_else(missing).or_fail("get trace error")?)
}

async fn of_rule(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    document(handle.registry.world.traces.of_rule(&id))
}

#[derive(Deserialize)]
struct Tracer {
    #[serde(default)]
    action: bool,
}

/// Spans are always kept here; what is refused is sending them to a collector.
async fn tracer(body: String) -> Reply {
    let Tracer { action } = read(&body)?;
    if action {
        let message = "spans are kept in the program; sending them to a collector is not supported by this version";
        return Err(RulesError::refused(Code::Undefined, message)).or_fail("set tracer error");
    }
    text(StatusCode::OK, "")
}

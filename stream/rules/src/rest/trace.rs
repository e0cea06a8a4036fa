//! `/trace` and `/tracer`: spans of the messages rules send.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::reply::{Prefixed, Reply, document, read, text};
use crate::error::{Code, Result, RulesError};
use crate::store::{Kind, Store};
use crate::trace::{Strategy, Target};
use crate::{Handle, Tracing};

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

/// Where traces are sent; the last request counts, also after a restart.
#[derive(Deserialize, Serialize)]
struct Tracer {
    #[serde(default)]
    action: bool,
    #[serde(default)]
    service_name: String,
    #[serde(default)]
    collector_url: String,
}

/// Under which the last request is remembered.
const TRACER: &str = "tracer";

impl Tracer {
    fn target(&self) -> Option<Target> {
        self.action.then(|| Target::new(&self.service_name, &self.collector_url))
    }
}

/// What `/tracer` was told last: a collector or none. None if it was told nothing.
pub(crate) fn told(store: &Store) -> Result<Option<Option<Target>>> {
    let marks = store.load(Kind::Mark)?;
    let found = marks.into_iter().find(|(name, _)| name == TRACER);
    let read = found.and_then(|(_, text)| serde_json::from_str::<Tracer>(&text).ok());
    Ok(read.map(|tracer| tracer.target()))
}

async fn tracer(State(handle): State<Handle>, body: String) -> Reply {
    let mut tracer: Tracer = read(&body)?;
    let Tracing { service, collector, .. } = &handle.tracing;
    for (given, default) in [(&mut tracer.service_name, service), (&mut tracer.collector_url, collector)] {
        if given.is_empty() {
            given.clone_from(default);
        }
    }
    let world = &handle.registry.world;
    let text_of = serde_json::to_string(&tracer).unwrap_or_default();
    world.store.put(Kind::Mark, TRACER, &text_of).await.or_fail("set tracer error")?;
    world.traces.export_to(tracer.target());
    text(StatusCode::OK, "")
}

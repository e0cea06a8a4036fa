//! `/metadata/…/confKeys`: configuration keys, and whether what they name can be reached.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use edgeward_connect::{Props, ping};
use http::StatusCode;
use serde_json::{Map, Value};

use super::reply::{Prefixed, Reply, document, read, text};
use crate::Handle;
use crate::conf::Scope;
use crate::error::RulesError;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .merge(keys(Scope::Sources, ["/metadata/sources/yaml/{n}", "/metadata/sources/{n}/confKeys/{k}"]))
        .merge(keys(Scope::Sinks, ["/metadata/sinks/yaml/{n}", "/metadata/sinks/{n}/confKeys/{k}"]))
        .merge(keys(Scope::Connections, ["/metadata/connections/yaml/{n}", "/metadata/connections/{n}/confKeys/{k}"]))
        .route("/metadata/sources/connection/{n}", post(test))
        .route("/metadata/sinks/connection/{n}", post(test))
        .route("/metadata/lookups/connection/{n}", post(test))
}

fn keys(scope: Scope, [yaml, key]: [&'static str; 2]) -> Router<Handle> {
    let show = move |State(handle): State<Handle>, Path(plugin): Path<String>| async move {
        let reply: Reply = document(handle.registry.world.confs.of(scope, &plugin));
        reply
    };
    let set = move |State(handle): State<Handle>, Path((plugin, key)): Path<(String, String)>, body: String| async move {
        let props: Map<String, Value> = read(&body)?;
        handle.put_key(scope, &plugin, &key, props).await.or_fail("add confkey failed")?;
        text(StatusCode::OK, "")
    };
    let unset = move |State(handle): State<Handle>, Path((plugin, key)): Path<(String, String)>| async move {
        handle.delete_key(scope, &plugin, &key).await.or_fail("delete confkey failed")?;
        text(StatusCode::OK, "")
    };
    Router::new().route(yaml, get(show)).route(key, put(set).delete(unset))
}

/// Whether the peer that properties name can be reached.
async fn test(Path(kind): Path<String>, body: String) -> Reply {
    let props: Map<String, Value> = read(&body)?;
    ping(&kind, &Props::new(props)).await.map_err(RulesError::from).or_fail("")?;
    text(StatusCode::OK, "")
}

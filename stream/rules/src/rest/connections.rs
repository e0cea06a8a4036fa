//! `/connections`: what rules share through `connectionSelector`.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use edgeward_connect::ConnectionInfo;
use edgeward_engine::Connection;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::reply::{Prefixed, Reply, document, read, text};
use crate::conf::Scope;
use crate::error::{Code, Result, RulesError};
use crate::{Handle, secrets};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/connections", get(list).post(create))
        .route("/connection/websocket", get(websockets))
        .route("/connections/{id}", get(show).put(update).delete(delete))
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    id: String,
    #[serde(default)]
    typ: String,
    #[serde(default)]
    props: Map<String, Value>,
}

fn shown(info: &ConnectionInfo) -> Value {
    let (status, error) = match &info.status {
        Connection::Connected => ("connected", ""),
        Connection::Connecting => ("connecting", ""),
        Connection::Disconnected(reason) => ("disconnected", reason.as_str()),
    };
    let props = secrets::masked(info.props.all());
    json!({"id": info.id, "typ": info.kind, "props": props, "status": status, "err": error})
}

impl Handle {
    fn connection(&self, id: &str) -> Result<ConnectionInfo> {
        let found = self.registry.world.hosts.connections.get(id);
        found.ok_or_else(|| RulesError::not_found(format!("connection {id} not existed")))
    }
}

async fn list(State(handle): State<Handle>) -> Reply {
    let all: Value = handle.registry.world.hosts.connections.list().iter().map(shown).collect();
    // As eKuiper: it writes the status before the type is known.
    text(StatusCode::OK, all.to_string())
}

/// Ids of the connections over WebSocket.
async fn websockets(State(handle): State<Handle>) -> Reply {
    let all = handle.registry.world.hosts.connections.list().into_iter();
    document(all.filter(|info| info.kind == "websocket").map(|info| Value::from(info.id)).collect())
}

async fn create(State(handle): State<Handle>, body: String) -> Reply {
    let Body { id, typ, props } = read(&body)?;
    let refuse = |message: String| Err(RulesError::refused(Code::ConfKey, message)).or_fail("create connection failed");
    if id.is_empty() || typ.is_empty() {
        return refuse("connection id and type should be defined".into());
    }
    if handle.connection(&id).is_ok() {
        return refuse(format!("connection {id} already been created"));
    }
    handle.put_key(Scope::Connections, &typ, &id, props).await.or_fail("create connection failed")?;
    text(StatusCode::CREATED, "success")
}

async fn show(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    document(shown(&handle.connection(&id).or_fail("get connection failed")?))
}

async fn update(State(handle): State<Handle>, Path(id): Path<String>, body: String) -> Reply {
    let Body { props, .. } = read(&body)?;
    let kind = handle.connection(&id).or_fail("update connection failed")?.kind;
    handle.put_key(Scope::Connections, &kind, &id, props).await.or_fail("update connection failed")?;
    text(StatusCode::OK, "success")
}

async fn delete(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let kind = handle.connection(&id).or_fail("drop connection failed")?.kind;
    handle.delete_key(Scope::Connections, &kind, &id).await.or_fail("drop connection failed")?;
    text(StatusCode::OK, "success")
}

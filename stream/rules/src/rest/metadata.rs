//! `/metadata/…/confKeys` and `/connections`: configuration keys and named connections.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

use super::reply::{Prefixed, Reply, document, read, text};
use crate::conf::Scope;
use crate::error::{Code, Result, RulesError};
use crate::{Handle, secrets};

/// How long a peer may take to answer a connectivity test.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .merge(keys(Scope::Sources, ["/metadata/sources/yaml/{n}", "/metadata/sources/{n}/confKeys/{k}"]))
        .merge(keys(Scope::Sinks, ["/metadata/sinks/yaml/{n}", "/metadata/sinks/{n}/confKeys/{k}"]))
        .merge(keys(Scope::Connections, ["/metadata/connections/yaml/{n}", "/metadata/connections/{n}/confKeys/{k}"]))
        .route("/metadata/sources/connection/{n}", post(test))
        .route("/metadata/sinks/connection/{n}", post(test))
        .route("/metadata/lookups/connection/{n}", post(test))
        .route("/connections", get(list).post(create))
        .route("/connection/websocket", get(websockets))
        .route("/connections/{id}", get(show).put(update).delete(delete))
}

fn keys(scope: Scope, [yaml, key]: [&'static str; 2]) -> Router<Handle> {
    let show = move |State(handle): State<Handle>, Path(plugin): Path<String>| async move {
        let reply: Reply = document(handle.registry.world.confs.of(scope, &plugin));
        reply
    };
    let set = move |State(handle): State<Handle>, Path((plugin, key)): Path<(String, String)>, body: String| async move {
        let props: Map<String, Value> = read(&body)?;
        let confs = &handle.registry.world.confs;
        confs.put(scope, &plugin, &key, props).await.or_fail("add confkey failed")?;
        text(StatusCode::OK, "")
    };
    let unset = move |State(handle): State<Handle>, Path((plugin, key)): Path<(String, String)>| async move {
        handle.registry.world.confs.delete(scope, &plugin, &key).await.or_fail("delete confkey failed")?;
        text(StatusCode::OK, "")
    };
    Router::new().route(yaml, get(show)).route(key, put(set).delete(unset))
}

/// Whether the peer that properties name can be reached.
async fn test(Path(_): Path<String>, body: String) -> Reply {
    let props: Map<String, Value> = read(&body)?;
    reach(&props).await.or_fail("")?;
    text(StatusCode::OK, "")
}

/// Opens a TCP connection to the server of some properties; what names no server needs none.
async fn reach(props: &Map<String, Value>) -> Result<()> {
    let named = ["server", "addr", "url", "host", "brokers", "dburl"].iter().find_map(|key| {
        let found = props.iter().find(|(known, _)| known.eq_ignore_ascii_case(key))?;
        found.1.as_str().filter(|text| !text.is_empty())
    });
    let Some(server) = named else { return Ok(()) };
    let refuse = |reason: String| RulesError::refused(Code::Io, format!("cannot reach {server}: {reason}"));
    let (host, port) = host_and_port(server).ok_or_else(|| refuse("it names no host and port".into()))?;
    match tokio::time::timeout(PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(refuse(error.to_string())),
        Err(_) => Err(refuse("no answer within 5 s".into())),
    }
}

fn host_and_port(server: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = server.split_once("://").unwrap_or(("", server));
    let authority = rest.split(['/', '?', ',']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let default = match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "tcp" | "mqtt" => Some(1883),
        "ssl" | "tls" | "mqtts" => Some(8883),
        "redis" => Some(6379),
        _ => None,
    };
    match authority.rsplit_once(':') {
        Some((host, port)) => Some((host.trim_matches(['[', ']']), port.parse().ok()?)),
        None => Some((authority, default?)),
    }
}

#[derive(Deserialize)]
struct Connection {
    #[serde(default)]
    id: String,
    #[serde(default)]
    typ: String,
    #[serde(default)]
    props: Map<String, Value>,
}

async fn list(State(handle): State<Handle>) -> Reply {
    let mut all = Vec::new();
    for (typ, id, props) in handle.registry.world.confs.connections() {
        all.push(shown(&typ, &id, &props).await);
    }
    document(Value::Array(all))
}

/// Ids of the connections over WebSocket.
async fn websockets(State(handle): State<Handle>) -> Reply {
    let all = handle.registry.world.confs.connections().into_iter();
    document(all.filter(|(typ, ..)| typ == "websocket").map(|(_, id, _)| Value::from(id)).collect())
}

async fn shown(typ: &str, id: &str, props: &Map<String, Value>) -> Value {
    let (status, error) = match reach(props).await {
        Ok(()) => ("connected", String::new()),
        Err(error) => ("disconnected", error.to_string()),
    };
    json!({"id": id, "typ": typ, "props": secrets::masked(props), "status": status, "err": error})
}

fn find(handle: &Handle, id: &str) -> Result<(String, String, Map<String, Value>)> {
    let found = handle.registry.world.confs.connections().into_iter().find(|(_, known, _)| known == id);
    found.ok_or_else(|| RulesError::not_found(format!("connection {id} not existed")))
}

async fn create(State(handle): State<Handle>, body: String) -> Reply {
    let connection: Connection = read(&body)?;
    let refuse = |message: String| Err(RulesError::refused(Code::ConfKey, message)).or_fail("create connection failed");
    if connection.id.is_empty() || connection.typ.is_empty() {
        return refuse("connection id and type should be defined".into());
    }
    if find(&handle, &connection.id).is_ok() {
        return refuse(format!("connection {} already existed", connection.id));
    }
    save(&handle, connection).await.or_fail("create connection failed")?;
    text(StatusCode::CREATED, "success")
}

async fn save(handle: &Handle, connection: Connection) -> Result<()> {
    crate::definition::check_name("connection", &connection.id)?;
    crate::definition::check_name("connection type", &connection.typ)?;
    handle.registry.world.confs.put(Scope::Connections, &connection.typ, &connection.id, connection.props).await
}

async fn show(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let (typ, id, props) = find(&handle, &id).or_fail("get connection failed")?;
    document(shown(&typ, &id, &props).await)
}

async fn update(State(handle): State<Handle>, Path(id): Path<String>, body: String) -> Reply {
    let mut connection: Connection = read(&body)?;
    let (typ, ..) = find(&handle, &id).or_fail("update connection failed")?;
    connection.id = id;
    connection.typ = typ;
    save(&handle, connection).await.or_fail("update connection failed")?;
    text(StatusCode::OK, "success")
}

async fn delete(State(handle): State<Handle>, Path(id): Path<String>) -> Reply {
    let (typ, id, _) = find(&handle, &id).or_fail("drop connection failed")?;
    handle.registry.world.confs.delete(Scope::Connections, &typ, &id).await.or_fail("drop connection failed")?;
    text(StatusCode::OK, "success")
}

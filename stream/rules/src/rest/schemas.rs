//! `/schemas`: what SCHEMAID and `schemaId` name.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::{get, put};
use edgeward_connect::{MAX_SCHEMA_BYTES, SchemaFile, SchemaInfo, Schemas};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::multipart;
use super::reply::{Prefixed, Reply, document, read, text};
use crate::Handle;
use crate::error::{Code, Result, RulesError};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/schemas/{kind}", get(list).post(create))
        .route("/schemas/{kind}/{n}", get(show).put(update).delete(delete))
        .route("/schemas/{kind}/{n}/upload", put(upload))
        .layer(DefaultBodyLimit::max(2 * MAX_SCHEMA_BYTES))
}

/// `{name, content | file, soFile, version}`.
#[derive(Deserialize)]
pub(crate) struct Body {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    content: String,
    #[serde(default)]
    file: String,
    #[serde(default, rename = "soFile")]
    library: String,
    #[serde(default)]
    version: String,
}

fn refused(message: impl Into<String>) -> RulesError {
    RulesError::refused(Code::Undefined, message)
}

impl Handle {
    async fn schema_file(&self, body: &Body) -> Result<SchemaFile> {
        if !body.library.is_empty() {
            return Err(refused("soFile names a Go plug-in, which cannot be loaded by this program; leave it out"));
        }
        match (body.content.is_empty(), body.file.is_empty()) {
            (false, true) => Ok(SchemaFile::Text(body.content.clone())),
            (true, false) => named(&body.file, self.fetch(&body.file).await?),
            (false, false) => Err(refused("cannot specify both content and file")),
            (true, true) => Err(refused("must specify content or file")),
        }
    }

    /// Registers a schema or replaces it.
    pub(crate) async fn put_schema(&self, kind: String, name: String, body: Body, create: bool) -> Result<()> {
        let file = self.schema_file(&body).await?;
        let change = move |schemas: &Schemas| match create {
            true => schemas.create(&kind, &name, file, &body.version),
            false => schemas.update(&kind, &name, file, &body.version),
        };
        self.schemas(change).await
    }

    /// Works on the registry off the runtime's threads.
    pub(crate) async fn schemas<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Schemas) -> std::result::Result<T, edgeward_connect::ConnectError> + Send + 'static,
    ) -> Result<T> {
        let schemas = self.registry.world.hosts.schemas.clone();
        let done = tokio::task::spawn_blocking(move || work(&schemas)).await;
        Ok(done.map_err(|_| refused("the program is stopping"))??)
    }
}

/// A package or a text, by the file's name.
fn named(name: &str, content: Vec<u8>) -> Result<SchemaFile> {
    if name.to_ascii_lowercase().ends_with(".zip") {
        return Ok(SchemaFile::Zip(content));
    }
    let text = String::from_utf8(content).map_err(|_| refused(format!("{name} is no UTF-8")))?;
    Ok(SchemaFile::Text(text))
}

/// A schema as it is shown and exported.
pub(crate) fn shown(kind: &str, info: &SchemaInfo) -> Value {
    let file = info.file.as_ref().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    json!({
        "type": kind,
        "name": info.name,
        "content": info.content,
        "file": file,
        "soFile": "",
        "version": info.version,
    })
}

async fn list(State(handle): State<Handle>, Path(kind): Path<String>) -> Reply {
    document(json!(handle.schemas(move |schemas| schemas.list(&kind)).await.or_fail("")?))
}

async fn create(State(handle): State<Handle>, Path(kind): Path<String>, body: String) -> Reply {
    let body: Body = read(&body)?;
    let name = body.name.clone();
    handle.put_schema(kind.clone(), name.clone(), body, true).await.or_fail("schema create command error")?;
    text(StatusCode::CREATED, format!("{kind} schema {name} is created"))
}

async fn show(State(handle): State<Handle>, Path((kind, name)): Path<(String, String)>) -> Reply {
    let asked = kind.clone();
    let missing = |error: RulesError| RulesError::not_found(error.to_string());
    let found = handle.schemas(move |schemas| schemas.get(&asked, &name)).await.map_err(missing);
    document(shown(&kind, &found.or_fail("describe schema error")?))
}

async fn update(State(handle): State<Handle>, Path((kind, name)): Path<(String, String)>, body: String) -> Reply {
    let body: Body = read(&body)?;
    handle.put_schema(kind.clone(), name.clone(), body, false).await.or_fail("schema update command error")?;
    text(StatusCode::OK, format!("{kind} schema {name} is updated"))
}

/// The same with the file as a form (`uploadFile`) or as the body itself.
async fn upload(
    State(handle): State<Handle>,
    Path((kind, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let file = match multipart::boundary(content_type) {
        Some(boundary) => {
            let file = multipart::file(&body, boundary, "uploadFile");
            let missing = || refused("Error Retrieving the File: no uploadFile");
            file.ok_or_else(missing).and_then(|file| named(&file.name, file.content.to_vec()))
        }
        None if body.starts_with(b"PK") => Ok(SchemaFile::Zip(body.to_vec())),
        None => named("the body", body.to_vec()),
    };
    let file = file.or_fail("schema update command error")?;
    let (at, of) = (name.clone(), kind.clone());
    let updated = handle.schemas(move |schemas| schemas.update(&of, &at, file, "")).await;
    updated.or_fail("schema update command error")?;
    text(StatusCode::OK, format!("{kind} schema {name} is updated"))
}

async fn delete(State(handle): State<Handle>, Path((kind, name)): Path<(String, String)>) -> Reply {
    let (of, at) = (kind.clone(), name.clone());
    let deleted = handle.schemas(move |schemas| schemas.delete(&of, &at)).await;
    deleted.or_fail("delete schema error")?;
    text(StatusCode::OK, format!("{kind} schema {name} is deleted"))
}

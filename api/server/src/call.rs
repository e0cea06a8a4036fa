//! One request for a resource, with everything its handler needs.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_objects::{ApiError, Object};
use edgeward_store::{Entry, Key, Scope, StoreError};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;

use crate::auth::Identity;
use crate::catalog::Served;
use crate::http::media::{self, Encoding, Form};
use crate::http::path::ResourcePath;
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::render;
use crate::server::Server;
use crate::tables::Include;

/// One request for a resource.
pub(crate) struct Call {
    pub(crate) server: Arc<Server>,
    pub(crate) served: Arc<Served>,
    pub(crate) path: ResourcePath,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) identity: Arc<Identity>,
    pub(crate) form: Form,
    pub(crate) body: Bytes,
    /// Sent as `Warning` headers with the answer.
    pub(crate) warnings: Mutex<Vec<String>>,
}

impl Call {
    /// The namespace in the path; empty for cluster-scoped resources and lists of all namespaces.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.path.namespace.as_deref()
    }

    /// The name in the path, empty for collections.
    pub(crate) fn name(&self) -> &str {
        self.path.name.as_deref().unwrap_or_default()
    }

    /// Where the named object is stored.
    pub(crate) fn key(&self) -> Key {
        self.key_of(self.name())
    }

    /// Where an object of that name is stored.
    pub(crate) fn key_of(&self, name: &str) -> Key {
        Key::new(self.served.storage.clone(), self.namespace(), name)
    }

    /// What the collection in the path spans.
    pub(crate) fn scope(&self) -> Scope {
        Scope::new(self.served.storage.clone(), self.namespace())
    }

    /// The stored object at the path, or 404.
    pub(crate) async fn stored(&self) -> Result<Arc<Entry>, ApiError> {
        let found = self.server.store.get(self.key()).await.map_err(|error| self.refused(error))?;
        found.ok_or_else(|| ApiError::not_found(&self.served.resource, self.name()))
    }

    /// A refusal of the store in the words of the API.
    pub(crate) fn refused(&self, error: StoreError) -> ApiError {
        store_error(error, &self.served)
    }

    /// `422` about the object of this call.
    pub(crate) fn invalid(&self, name: &str, causes: Vec<edgeward_objects::Cause>) -> ApiError {
        ApiError::invalid(&self.served.kind.group, &self.served.kind.kind, name, causes)
    }

    /// Adds a warning for the client.
    pub(crate) fn warn(&self, text: impl Into<String>) {
        self.warnings.lock().push(text.into());
    }

    /// The body as a JSON value; 400 if it is none, 415 if its encoding is unknown.
    pub(crate) fn body_value(&self) -> Result<Value, ApiError> {
        match media::encoding(&self.headers)? {
            Encoding::Json => parse_json(&self.body),
            Encoding::Yaml => parse_yaml(&self.body),
        }
    }

    /// The body as an object.
    pub(crate) fn body_object(&self) -> Result<Object, ApiError> {
        Object::from_value(self.body_value()?).map_err(|error| ApiError::bad_request(error.to_string()))
    }

    /// What a table row carries of its object.
    pub(crate) fn include(&self) -> Result<Include, ApiError> {
        Include::parse(self.query.get("includeObject"))
    }

    /// Answers with a stored object in the form the client asked for.
    pub(crate) fn answer(&self, status: StatusCode, entry: &Entry) -> Result<Reply, ApiError> {
        let bytes = render::in_form(entry, &self.served, self.form, self.include()?)?;
        Ok(Reply::with_status(status, bytes))
    }

    /// Answers with an object that is not stored as it is (dry run, final state of a deletion).
    pub(crate) fn answer_object(&self, status: StatusCode, object: &Object) -> Result<Reply, ApiError> {
        let bytes = render::object_in_form(object, &self.served, self.form, self.include()?);
        Ok(Reply::with_status(status, bytes))
    }
}

/// JSON text to a value, with the reason as 400.
pub(crate) fn parse_json(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let what = if bytes.is_empty() {
            "the request body is empty".to_owned()
        } else {
            format!("the request body is no valid JSON: {error}")
        };
        ApiError::bad_request(what)
    })
}

/// YAML text to a JSON value.
pub(crate) fn parse_yaml(bytes: &[u8]) -> Result<Value, ApiError> {
    // As YAML 1.2 and kubectl have it, only `true` and `false` are booleans; `y` and `on` are texts.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_slice_with_options(bytes, options)
        .map_err(|error| ApiError::bad_request(format!("the request body is no valid YAML: {error}")))
}

/// A refusal of the store in the words of the API.
pub(crate) fn store_error(error: StoreError, served: &Served) -> ApiError {
    match error {
        StoreError::Exists(key) => ApiError::already_exists(&served.resource, &key.name),
        StoreError::NotFound(key) => ApiError::not_found(&served.resource, &key.name),
        StoreError::Conflict { key, .. } => ApiError::modified(&served.resource, &key.name),
        StoreError::Compacted { requested, compacted } => ApiError::too_old_resource_version(requested, compacted),
        StoreError::Future { requested, current } => ApiError::too_large_resource_version(requested, current),
        StoreError::TooLarge { limit, .. } => ApiError::entity_too_large(limit),
        StoreError::Full | StoreError::Closed => ApiError::unavailable(error.to_string()),
        other => ApiError::internal(other),
    }
}

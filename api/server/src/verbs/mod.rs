//! The verbs on objects and collections, one file per family.

pub(crate) mod create;
pub(crate) mod decode;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod metadata;
pub(crate) mod patch;
pub(crate) mod read;
pub(crate) mod store;
pub(crate) mod update;
pub(crate) mod watch;

use std::sync::Arc;

use edgeward_objects::ApiError;
use http::Method;

use crate::call::Call;
use crate::http::path::ResourcePath;
use crate::http::query::Query;
use crate::http::reply::Reply;

/// What a request wants to do, in the words permissions use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// The verb of a method on a path.
    pub(crate) fn of(method: &Method, path: &ResourcePath, query: &Query) -> Result<Self, ApiError> {
        let named = path.name.is_some();
        Ok(match *method {
            // A watch on one object is a watch on the collection with its name as field selector.
            Method::GET if query.flag("watch") && path.subresource.is_none() => Verb::Watch,
            Method::GET | Method::HEAD if named => Verb::Get,
            Method::GET | Method::HEAD => Verb::List,
            Method::POST => Verb::Create,
            Method::PUT if named => Verb::Update,
            Method::PATCH if named => Verb::Patch,
            Method::DELETE if named => Verb::Delete,
            Method::DELETE => Verb::DeleteCollection,
            _ => return Err(ApiError::method_not_allowed()),
        })
    }

    /// The name discovery and permissions use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }

    /// Whether it changes anything.
    pub(crate) fn writes(self) -> bool {
        !matches!(self, Verb::Get | Verb::List | Verb::Watch)
    }
}

/// Handles a verb on an object or a collection.
pub(crate) async fn handle(call: &Arc<Call>, verb: Verb) -> Result<Reply, ApiError> {
    if !call.served.kind.is_stored() {
        return crate::subresources::reviews::create(call).await;
    }
    match verb {
        Verb::Get => read::get(call).await,
        Verb::List => list::list(call).await,
        Verb::Watch => watch::watch(call).await,
        Verb::Create if call.path.name.is_some() => Err(ApiError::method_not_allowed()),
        Verb::Create => create::create(call).await,
        Verb::Update => update::update(call, update::Part::Main).await,
        Verb::Patch => patch::patch(call, update::Part::Main).await,
        Verb::Delete => delete::delete(call).await,
        Verb::DeleteCollection => delete::delete_collection(call).await,
    }
}

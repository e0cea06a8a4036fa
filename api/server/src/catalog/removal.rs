//! Deleting a CRD deletes its objects first.

use std::sync::Arc;

use edgeward_objects::{ApiError, Object};
use edgeward_store::{Entry, Scope, Write};
use http::StatusCode;

use super::Definition;
use crate::call::Call;
use crate::http::reply::Reply;
use crate::server::{Server, crd_resource};

/// Keeps a CRD until its objects are gone; the name Kubernetes uses.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// For a CRD: removes its objects. If some must wait for their finalizers, the CRD stays, marked as being deleted, until the
/// last of them is gone; then this answers in place of the ordinary deletion. `None` for everything else.
pub(crate) async fn delete_objects_first(
    call: &Call,
    old: &Arc<Entry>,
    after: &Object,
) -> Result<Option<Reply>, ApiError> {
    if call.served.storage != crd_resource() {
        return Ok(None);
    }
    let Some(definition) = Definition::parse(after, old.revision) else { return Ok(None) };
    if remove_objects(&call.server, &definition).await.map_err(|error| call.refused(error))? == 0 {
        return Ok(None);
    }
    let mut waiting = after.clone();
    let mut finalizers: Vec<String> =
        waiting.finalizers().map(str::to_owned).filter(|known| known != CLEANUP).collect();
    finalizers.push(CLEANUP.to_owned());
    waiting.set(&["metadata", "finalizers"], finalizers);
    let entry = crate::verbs::store::replace(call, old, &waiting).await?;
    call.answer(StatusCode::OK, &entry).map(Some)
}

/// Deletes every object of a definition that nothing holds back, marks the others, and counts those.
async fn remove_objects(server: &Server, definition: &Definition) -> Result<usize, edgeward_store::StoreError> {
    let mut held = 0;
    for entry in server.list_all(Scope::new(definition.storage.clone(), None)).await? {
        let Ok(mut object) = Object::from_bytes(&entry.value) else { continue };
        let write = if object.finalizers().next().is_none() {
            Write::Delete { key: entry.key.clone(), expected: None, last: None }
        } else {
            held += 1;
            if object.is_deleting() {
                continue;
            }
            object.set(&["metadata", "deletionTimestamp"], edgeward_service::clock::now_rfc3339());
            object.set(&["metadata", "deletionGracePeriodSeconds"], 0);
            Write::Update { key: entry.key.clone(), value: object.to_bytes().into(), expected: entry.revision }
        };
        match server.store.write(write).await {
            Ok(_) | Err(edgeward_store::StoreError::NotFound(_) | edgeward_store::StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(held)
}

/// Lets go of every CRD that waits for objects and has none left. Called whenever an object of a custom resource was removed.
pub(crate) async fn finish(server: &Arc<Server>, removed: &Entry) {
    let name = format!("{}.{}", removed.key.resource.plural, removed.key.resource.group);
    let key = edgeward_store::Key::new(crd_resource(), None, &name);
    let Ok(Some(entry)) = server.store.get(key).await else { return };
    let Ok(mut crd) = Object::from_bytes(&entry.value) else { return };
    if !crd.is_deleting() || !crd.finalizers().any(|finalizer| finalizer == CLEANUP) {
        return;
    }
    let left = server.list_all(Scope::new(removed.key.resource.clone(), None)).await.map_or(1, |left| left.len());
    if left > 0 {
        return;
    }
    let finalizers: Vec<String> = crd.finalizers().filter(|known| *known != CLEANUP).map(str::to_owned).collect();
    let write = if finalizers.is_empty() {
        Write::Delete { key: entry.key.clone(), expected: Some(entry.revision), last: None }
    } else {
        crd.set(&["metadata", "finalizers"], finalizers);
        Write::Update { key: entry.key.clone(), value: crd.to_bytes().into(), expected: entry.revision }
    };
    if let Err(error) = server.store.write(write).await {
        tracing::warn!(%error, crd = name, "cannot finish the deletion of a custom resource definition");
    }
    if let Err(error) = server.refresh_catalog().await {
        tracing::warn!(%error, "cannot read custom resource definitions");
    }
}

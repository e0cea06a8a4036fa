//! Writing objects into the store in the one form [`crate::render`] counts on.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_objects::{ApiError, Object};
use edgeward_store::{Entry, Key, Revision, Write};
use serde_json::{Map, Value};

use crate::call::Call;
use crate::catalog::Served;
use crate::convert;
use crate::server::crd_resource;

/// The stored bytes of an object: `apiVersion`, `kind` and `metadata` first, no resourceVersion, the storage version.
pub(crate) fn encode(object: &Object, served: &Served) -> Bytes {
    let mut object = object.clone();
    object.remove(&["metadata", "resourceVersion"]);
    convert::to_stored(&mut object, served);
    let mut map = object.into_map();
    let mut ordered = Map::with_capacity(map.len());
    for key in ["apiVersion", "kind", "metadata"] {
        ordered.insert(key.to_owned(), map.shift_remove(key).unwrap_or(Value::Null));
    }
    ordered.extend(map);
    // A map of JSON values with text keys always serialises.
    serde_json::to_vec(&ordered).unwrap_or_default().into()
}

/// Stores a new object.
pub(crate) async fn create(call: &Call, object: &Object) -> Result<Arc<Entry>, ApiError> {
    let key = call.key_of(object.name());
    write(call, Write::Create { key, value: encode(object, &call.served) }).await
}

/// Replaces an object that is at a revision; nothing is written where nothing changed.
pub(crate) async fn replace(call: &Call, old: &Arc<Entry>, object: &Object) -> Result<Arc<Entry>, ApiError> {
    let value = encode(object, &call.served);
    if value == old.value {
        return Ok(old.clone());
    }
    write(call, Write::Update { key: old.key.clone(), value, expected: old.revision }).await
}

/// Removes an object that is at a revision, leaving a final state for watchers.
pub(crate) async fn remove(
    call: &Call,
    key: Key,
    expected: Option<Revision>,
    last: Option<&Object>,
) -> Result<Arc<Entry>, ApiError> {
    let last = last.map(|object| encode(object, &call.served));
    let entry = write(call, Write::Delete { key, expected, last }).await?;
    if call.served.is_core("services") {
        call.server.addresses.release(&entry);
    }
    if call.served.custom.is_some() {
        crate::catalog::removal::finish(&call.server, &entry).await;
    }
    Ok(entry)
}

async fn write(call: &Call, write: Write) -> Result<Arc<Entry>, ApiError> {
    let entry = call.server.store.write(write).await.map_err(|error| call.refused(error))?;
    if call.served.storage == crd_resource() {
        // A new kind is served before its creator has the answer.
        call.server.refresh_catalog().await.map_err(|error| call.refused(error))?;
    }
    Ok(entry)
}

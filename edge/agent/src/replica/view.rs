//! The replica as the local API shows it: without marks, and with the live status of devices.

use std::sync::Arc;

use edgeward_objects::Object;
use edgeward_store::{
    Change, Entry, Key, ListQuery, Page, Revision, Scope, SqliteStore, Store, StoreError, Watch, Write,
};
use futures::StreamExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::kinds::{DEVICE, DEVICE_STATUS};
use super::{Document, Replica};

/// The live status of devices, from the twins. `None` for a device without twin.
pub(crate) type DeviceStatuses = dyn Fn(&str, &str) -> BoxFuture<'static, Option<Value>> + Send + Sync;

/// A read-only store over a replica, for the local API server.
///
/// Devices and DeviceStatuses are filled in from the twins when they are read; a watch of them tells of changes of the
/// documents, not of every reading.
pub(crate) struct LocalView {
    store: Arc<SqliteStore>,
    statuses: Arc<DeviceStatuses>,
}

impl LocalView {
    /// A view of the replica; `statuses` gives the status of a device by namespace and name.
    pub(crate) fn new(replica: &Replica, statuses: Arc<DeviceStatuses>) -> Self {
        Self { store: replica.store().clone(), statuses }
    }

    async fn show(&self, entry: Arc<Entry>) -> Arc<Entry> {
        let Ok(document) = Document::read(&entry.value) else { return entry };
        let mut object = document.object;
        if DEVICE.is(&entry.key)
            && let Some(status) = self.status(&entry.key).await
        {
            object.set(&["status"], status);
        }
        shown(&entry, &object)
    }

    /// The DeviceStatus that belongs to a Device: same name and namespace, owned by it.
    async fn device_status(&self, device: &Entry) -> Option<Arc<Entry>> {
        let document = Document::read(&device.value).ok()?.object;
        let status = self.status(&device.key).await?;
        let mut object = Object::new(&DEVICE_STATUS.gvk(), device.key.namespace.as_deref(), &device.key.name);
        for field in ["uid", "creationTimestamp"] {
            if let Some(value) = document.get(&["metadata", field]) {
                object.set(&["metadata", field], value.clone());
            }
        }
        object.set(&["spec"], Value::Object(serde_json::Map::new()));
        object.set(&["status"], status);
        let key = DEVICE_STATUS.key(device.key.namespace.as_deref(), &device.key.name);
        Some(shown(&Entry { key, ..device.clone() }, &object))
    }

    async fn status(&self, key: &Key) -> Option<Value> {
        (self.statuses)(key.namespace.as_deref().unwrap_or_default(), &key.name).await
    }

    async fn read(&self, key: Key) -> Result<Option<Arc<Entry>>, StoreError> {
        if DEVICE_STATUS.is(&key) {
            let device = DEVICE.key(key.namespace.as_deref(), &key.name);
            return Ok(match self.store.get(device).await? {
                Some(device) => self.device_status(&device).await,
                None => None,
            });
        }
        Ok(match self.store.get(key).await? {
            Some(entry) => Some(self.show(entry).await),
            None => None,
        })
    }

    async fn read_page(&self, mut query: ListQuery) -> Result<Page, StoreError> {
        let statuses = query.scope.resource == DEVICE_STATUS.resource();
        if statuses {
            query.scope.resource = DEVICE.resource();
            if let Some(after) = &mut query.after {
                after.resource = DEVICE.resource();
            }
        }
        let page = self.store.list(query).await?;
        let mut entries = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            if statuses {
                entries.extend(self.device_status(&entry).await);
            } else {
                entries.push(self.show(entry).await);
            }
        }
        Ok(Page { entries, ..page })
    }
}

impl Store for LocalView {
    fn revision(&self) -> Revision {
        self.store.revision()
    }

    fn compacted(&self) -> Revision {
        self.store.compacted()
    }

    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Arc<Entry>>, StoreError>> {
        Box::pin(self.read(key))
    }

    fn list(&self, query: ListQuery) -> BoxFuture<'_, Result<Page, StoreError>> {
        Box::pin(self.read_page(query))
    }

    fn write(&self, _: Write) -> BoxFuture<'_, Result<Arc<Entry>, StoreError>> {
        let reason = "the local API of a node is read-only".to_owned();
        Box::pin(std::future::ready(Err(StoreError::NotWritable { path: "replica".into(), reason })))
    }

    fn watch(&self, scope: Scope, from: Revision) -> Result<Watch, StoreError> {
        let changes = self.store.watch(scope, from)?;
        Ok(Watch::new(changes.map(|change| {
            Ok(match change? {
                Change::Put { entry, previous } => {
                    Change::Put { entry: plain(&entry), previous: previous.as_ref().map(plain) }
                }
                Change::Deleted { entry, previous } => {
                    Change::Deleted { entry: plain(&entry), previous: plain(&previous) }
                }
            })
        })))
    }
}

impl std::fmt::Debug for LocalView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalView").finish_non_exhaustive()
    }
}

fn plain(entry: &Arc<Entry>) -> Arc<Entry> {
    match Document::read(&entry.value) {
        Ok(document) => shown(entry, &document.object),
        Err(_) => entry.clone(),
    }
}

fn shown(entry: &Entry, object: &Object) -> Arc<Entry> {
    Arc::new(Entry { value: object.to_bytes().into(), ..entry.clone() })
}

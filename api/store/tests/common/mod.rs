//! What the store's tests share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use bytes::Bytes;
use edgeward_objects::GroupResource;
use edgeward_store::{Change, Entry, Key, ListQuery, Page, Scope, Store, StoreError, Write};

pub(crate) fn pods() -> GroupResource {
    GroupResource::new("", "pods")
}

/// `ns/name`, or `name` for a cluster-scoped node.
pub(crate) fn key(text: &str) -> Key {
    match text.split_once('/') {
        Some((namespace, name)) => Key::new(pods(), Some(namespace), name),
        None => Key::new(GroupResource::new("", "nodes"), None, text),
    }
}

pub(crate) fn scope(namespace: Option<&str>) -> Scope {
    Scope::new(pods(), namespace)
}

pub(crate) async fn create(store: &dyn Store, at: &str, value: &str) -> Result<Arc<Entry>, StoreError> {
    store.write(Write::Create { key: key(at), value: Bytes::copy_from_slice(value.as_bytes()) }).await
}

pub(crate) async fn update(store: &dyn Store, at: &str, value: &str, expected: u64) -> Result<Arc<Entry>, StoreError> {
    store.write(Write::Update { key: key(at), value: Bytes::copy_from_slice(value.as_bytes()), expected }).await
}

pub(crate) async fn delete(store: &dyn Store, at: &str, expected: Option<u64>) -> Result<Arc<Entry>, StoreError> {
    store.write(Write::Delete { key: key(at), expected, last: None }).await
}

/// Returns when the writer has tidied up behind all writes answered before: it takes no write before it has.
pub(crate) async fn settle(store: &dyn Store) {
    assert!(matches!(delete(store, "no/such", None).await, Err(StoreError::NotFound(_))));
}

pub(crate) async fn list(store: &dyn Store, at: Option<u64>) -> Result<Page, StoreError> {
    store.list(ListQuery { scope: scope(None), at, limit: 0, after: None }).await
}

/// `a/x=1 a/y=2`, in list order.
pub(crate) fn show(entries: &[Arc<Entry>]) -> String {
    entries.iter().map(|entry| line(entry)).collect::<Vec<_>>().join(" ")
}

/// `+a/x=1@2`, `~a/x=2@3`, `-a/x=2@4`.
pub(crate) fn show_change(change: &Change) -> String {
    let sign = match change {
        Change::Put { previous: None, .. } => '+',
        Change::Put { .. } => '~',
        Change::Deleted { .. } => '-',
    };
    format!("{sign}{}@{}", line(change.entry()), change.revision())
}

fn line(entry: &Entry) -> String {
    let namespace = entry.key.namespace.as_deref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{namespace}{}={}", entry.key.name, String::from_utf8_lossy(&entry.value))
}

//! What this node needs of the cluster, on its own disk.
//!
//! Objects are kept as Kubernetes objects in the same store the cloud uses, so that the local read API is the ordinary API
//! server over it. Each carries a mark: the cloud's version of it, and whether the node has something to say about it
//! (see `document`). What the node has to say is not a queue of messages but the object itself: after an outage of any
//! length the newest state of each object crosses the link once.

mod document;
pub(crate) mod kinds;
mod unsent;
mod view;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edgeward_objects::{GroupResource, Object};
use edgeward_service::{Counter, clock};
use edgeward_store::{Entry, Key, ListQuery, Options, Revision, Scope, SqliteStore, Store, StoreError, Watch, Write};
use edgeward_wire::HaveEntry;
use serde_json::Value;

pub(crate) use document::Document;
use kinds::{EVENT, KINDS, Kind, POD};
pub(crate) use unsent::Unsent;
pub(crate) use view::LocalView;

use crate::Error;

/// How often a change is made again when others change the same object meanwhile.
const ATTEMPTS: usize = 32;

/// The node's copy of its part of the cluster; cheap to clone.
#[derive(Clone)]
pub struct Replica {
    store: Arc<SqliteStore>,
    unsent: Arc<Unsent>,
    changes: Arc<AtomicU64>,
}

/// What to do with an object after looking at it.
enum Step {
    Keep,
    Put(Box<Document>),
    Delete,
}

/// What a document from the cloud did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It is stored.
    Stored,
    /// The replica already had this or a newer version.
    Old,
    /// It is not something a node keeps.
    Unknown,
}

impl Replica {
    /// Opens the replica's file; it is made when missing.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        // A node's replica is small and quiet: few readers, short history.
        let options = Options { readers: 2, recent_bytes: 1 << 20, history_revisions: 2_000, ..Options::default() };
        let opened = tokio::task::spawn_blocking(move || SqliteStore::open(path, options));
        let store = opened.await.map_err(|_| Error::Stopped("replica"))??;
        let seed = u64::try_from(clock::now_ms()).unwrap_or(0) << 16;
        let changes = Arc::new(AtomicU64::new(seed));
        Ok(Self { store: Arc::new(store), unsent: Arc::default(), changes })
    }

    /// Stores a document from the cloud, unless it is older than what is here. `version` is the cloud's resourceVersion.
    pub(crate) async fn apply(&self, kind: &Kind, mut object: Object, version: &str) -> Result<Applied, Error> {
        if object.name().is_empty() {
            return Ok(Applied::Unknown);
        }
        if object.kind().is_empty() || object.api_version().is_empty() {
            // KubeEdge's sync controller leaves them out.
            object.set_gvk(&kind.gvk());
        }
        let key = kind.key(object.namespace(), object.name());
        let mut applied = Applied::Stored;
        self.modify(&key, |stored| {
            let mut next = Document::new(object.clone());
            next.mark.version = version.to_owned();
            if let Some(stored) = stored.filter(|stored| stored.object.uid() == object.uid() || stored.is_local()) {
                if is_older(version, &stored.mark.version) {
                    applied = Applied::Old;
                    return Step::Keep;
                }
                next.take_over(stored);
            }
            applied = Applied::Stored;
            Step::Put(Box::new(next))
        })
        .await?;
        Ok(applied)
    }

    /// The cloud removed an object. `uid` may be empty (KubeEdge sends some deletes without).
    pub(crate) async fn remove(&self, key: &Key, uid: &str) -> Result<(), Error> {
        self.modify(key, |stored| match stored {
            Some(stored) if uid.is_empty() || stored.object.uid() == uid => Step::Delete,
            _ => Step::Keep,
        })
        .await
    }

    /// Changes the node's own word about an object (its status) and notes it for the cloud. `change` returns whether
    /// there is anything new. An object that is gone, or was replaced by another of the same name, is left alone.
    pub(crate) async fn report(
        &self,
        key: &Key,
        uid: &str,
        mut change: impl FnMut(&mut Object) -> bool,
    ) -> Result<(), Error> {
        let number = self.changes.fetch_add(1, Ordering::Relaxed);
        let mut noted = false;
        self.modify(key, |stored| {
            noted = false;
            let Some(mut document) = stored.filter(|stored| uid.is_empty() || stored.object.uid() == uid) else {
                return Step::Keep;
            };
            if !change(&mut document.object) {
                return Step::Keep;
            }
            noted = true;
            document.mark.own_status = true;
            document.mark.unsent = Some(number);
            Step::Put(Box::new(document))
        })
        .await?;
        if noted {
            self.unsent.push(key);
        }
        Ok(())
    }

    /// Stores an object of the node's own making (its Node, an Event) and, if `send`, notes it for the cloud.
    pub(crate) async fn put_own(&self, key: &Key, object: Object, send: bool) -> Result<(), Error> {
        let number = self.changes.fetch_add(1, Ordering::Relaxed);
        self.modify(key, |stored| {
            let mut next = Document::new(object.clone());
            next.mark.version = stored.map(|stored| stored.mark.version).unwrap_or_default();
            next.mark.own_status = true;
            next.mark.unsent = send.then_some(number);
            Step::Put(Box::new(next))
        })
        .await?;
        if send {
            self.unsent.push(key);
        }
        Ok(())
    }

    /// Nothing of a pod is left on this node; the cloud is to remove the object.
    pub(crate) async fn pod_is_gone(&self, key: &Key, uid: &str) -> Result<(), Error> {
        let number = self.changes.fetch_add(1, Ordering::Relaxed);
        let mut noted = false;
        self.modify(key, |stored| {
            noted = false;
            match stored.filter(|stored| stored.object.uid() == uid) {
                Some(mut document) => {
                    noted = true;
                    (document.mark.gone, document.mark.unsent) = (true, Some(number));
                    Step::Put(Box::new(document))
                }
                None => Step::Keep,
            }
        })
        .await?;
        if noted {
            self.unsent.push(key);
        }
        Ok(())
    }

    /// The cloud has the change with this number; later ones stay noted. `version` is the cloud's new resourceVersion, if
    /// it told one. A pod that is gone leaves the replica.
    pub(crate) async fn confirm(&self, key: &Key, number: u64, version: &str) -> Result<(), Error> {
        self.modify(key, |stored| match stored {
            Some(document) if document.mark.unsent == Some(number) && document.mark.gone => Step::Delete,
            Some(mut document) => {
                if document.mark.unsent == Some(number) {
                    document.mark.unsent = None;
                } else if document.mark.version == version {
                    return Step::Keep;
                }
                // For objects of the node's own making it is enough to know that the cloud has them.
                if EVENT.is(key) {
                    document.mark.version = version.to_owned();
                }
                Step::Put(Box::new(document))
            }
            None => Step::Keep,
        })
        .await
    }

    /// One object with its mark.
    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Document>, Error> {
        Ok(self.store.get(key.clone()).await?.as_deref().and_then(parse))
    }

    /// All objects of a kind and the revision they were read at.
    pub(crate) async fn list(&self, kind: &Kind) -> Result<(Vec<(Key, Document)>, Revision), Error> {
        let query = ListQuery { scope: Scope::new(kind.resource(), None), at: None, limit: 0, after: None };
        let page = self.store.list(query).await?;
        let documents = page.entries.iter().filter_map(|entry| Some((entry.key.clone(), parse(entry)?))).collect();
        Ok((documents, page.revision))
    }

    /// The keys of a resource in a namespace.
    pub(crate) async fn keys(&self, resource: GroupResource, namespace: &str) -> Result<Vec<Key>, Error> {
        let scope = Scope::new(resource, Some(namespace));
        let page = self.store.list(ListQuery { scope, at: None, limit: 0, after: None }).await?;
        Ok(page.entries.iter().map(|entry| entry.key.clone()).collect())
    }

    /// Changes of a kind after a revision.
    pub(crate) fn watch(&self, kind: &Kind, from: Revision) -> Result<Watch, Error> {
        Ok(self.store.watch(Scope::new(kind.resource(), None), from)?)
    }

    /// Everything here that came from the cloud, with the cloud's versions.
    pub(crate) async fn have(&self) -> Result<Vec<HaveEntry>, Error> {
        let mut entries = Vec::new();
        for kind in KINDS.iter().filter(|kind| !EVENT.same(kind)) {
            for (key, document) in self.list(kind).await?.0 {
                if document.mark.version.is_empty() {
                    continue;
                }
                let namespace = key.namespace.as_deref().unwrap_or("null");
                let resource = format!("{namespace}/{}/{}", kind.word, key.name);
                entries.push(HaveEntry { resource, resource_version: document.mark.version });
            }
        }
        Ok(entries)
    }

    /// The objects with something to tell, after reading all marks again: the start of a session.
    ///
    /// The node's word about its pods is among it in any case: while the node was out of sight, the cloud may have judged
    /// them itself (a lost node's pods count as not ready), and nobody but the node can set that right.
    pub(crate) async fn unsent(&self) -> Result<Arc<Unsent>, Error> {
        self.unsent.rewind();
        for kind in [kinds::NODE, POD, EVENT] {
            for (key, document) in self.list(kind).await?.0 {
                if document.mark.unsent.is_some() {
                    self.unsent.push(&key);
                } else if POD.is(&key) && document.mark.own_status {
                    self.report(&key, document.object.uid(), |_| true).await?;
                }
            }
        }
        Ok(self.unsent.clone())
    }

    /// The store itself, for reading.
    pub(crate) fn store(&self) -> &Arc<SqliteStore> {
        &self.store
    }

    /// Reads, decides and writes; again when somebody else wrote in between.
    async fn modify(&self, key: &Key, mut decide: impl FnMut(Option<Document>) -> Step) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let stored = self.store.get(key.clone()).await?;
            let revision = stored.as_ref().map(|entry| entry.revision);
            let write = match (decide(stored.as_deref().and_then(parse)), revision) {
                (Step::Keep, _) | (Step::Delete, None) => return Ok(()),
                (Step::Delete, expected) => Write::Delete { key: key.clone(), expected, last: None },
                (Step::Put(document), None) => Write::Create { key: key.clone(), value: document.write().into() },
                (Step::Put(document), Some(expected)) => {
                    Write::Update { key: key.clone(), value: document.write().into(), expected }
                }
            };
            match self.store.write(write).await {
                Err(StoreError::Conflict { .. } | StoreError::Exists(_) | StoreError::NotFound(_)) => RETRIES.inc(),
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(()),
            }
        }
        Err(Error::Contended(key.to_string()))
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("revision", &self.store.revision()).finish_non_exhaustive()
    }
}

impl Document {
    /// Made here and never seen by the cloud: the first document from there is the same object.
    fn is_local(&self) -> bool {
        self.object.uid().is_empty()
    }

    /// A newer document of the same object keeps what only the node knows.
    fn take_over(&mut self, stored: Self) {
        if stored.mark.own_status {
            let status = stored.object.get(&["status"]).cloned();
            self.object.set(&["status"], status.unwrap_or(Value::Null));
        }
        let version = std::mem::take(&mut self.mark.version);
        self.mark = document::Mark { version, ..stored.mark };
    }
}

impl Kind {
    fn same(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

/// A value that is no object cannot be of use to anybody; it counts as absent and is replaced when the cloud sends it.
fn parse(entry: &Entry) -> Option<Document> {
    Document::read(&entry.value)
        .inspect_err(|error| tracing::error!(key = %entry.key, %error, "stored object is not readable"))
        .ok()
}

/// Versions of one cluster grow; whatever is not a number is taken as newer.
fn is_older(version: &str, than: &str) -> bool {
    matches!((version.parse::<u64>(), than.parse::<u64>()), (Ok(version), Ok(than)) if version < than)
}

static RETRIES: Counter = Counter::new("edgeward_replica_retries_total", "changes made again because of another one");

#[cfg(test)]
mod tests;

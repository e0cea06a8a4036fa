//! Which objects of one node changed since its session last looked: a set, so a burst of changes to one object is one.

use indexmap::IndexSet;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::metrics::RESYNCS;
use crate::object::ObjectId;

/// Shared by the view, which adds, and one session, which takes.
#[derive(Debug)]
pub(crate) struct Changes {
    limit: usize,
    changed: Mutex<Changed>,
    notify: Notify,
}

/// What changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// These objects, oldest change first.
    These(IndexSet<ObjectId>),
    /// Too many to remember, or not known: compare everything.
    Everything,
}

impl Changes {
    /// Begins with everything.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, changed: Mutex::new(Changed::Everything), notify: Notify::new() }
    }

    pub(crate) fn add(&self, id: &ObjectId) {
        let mut changed = self.changed.lock();
        if let Changed::These(set) = &mut *changed {
            set.insert(id.clone());
            if set.len() > self.limit {
                *changed = Changed::Everything;
                RESYNCS.inc();
            }
        }
        drop(changed);
        self.notify.notify_one();
    }

    pub(crate) fn add_everything(&self) {
        *self.changed.lock() = Changed::Everything;
        self.notify.notify_one();
    }

    pub(crate) fn take(&self) -> Changed {
        std::mem::replace(&mut *self.changed.lock(), Changed::These(IndexSet::new()))
    }

    /// Waits until there may be something to take. Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.notify.notified().await;
    }
}

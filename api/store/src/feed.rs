//! Recent changes in memory, shared by all watches.
//!
//! A watch is a cursor, not a queue: each change is kept once, per resource, and a watch that fell behind what is kept reads
//! the rest from disk. So a hundred slow watches cost no more memory than none.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use edgeward_objects::GroupResource;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Change, Revision, Scope};

/// What the memory of a change costs beside its values, roughly.
const CHANGE_BYTES: usize = 256;

pub(crate) struct Feed {
    revision: AtomicU64,
    compacted: AtomicU64,
    limit: usize,
    recent: Mutex<Recent>,
}

struct Recent {
    /// Rings made from now on hold everything above this.
    floor: Revision,
    rings: HashMap<GroupResource, Ring>,
    /// Resources and sizes of the kept changes in order of revision: who gives up its oldest next.
    order: VecDeque<(GroupResource, usize)>,
    bytes: usize,
    closed: bool,
}

struct Ring {
    /// All changes of the resource above `floor`.
    changes: VecDeque<Change>,
    floor: Revision,
    news: watch::Sender<Revision>,
}

/// What memory can say to a cursor.
pub(crate) enum Answer {
    /// These changes, and the revision up to which they are complete.
    Changes(Vec<Change>, Revision),
    /// Nothing new.
    Idle,
    /// Memory does not reach back that far; read the disk.
    Behind,
}

impl Feed {
    pub(crate) fn new(revision: Revision, compacted: Revision, limit: usize) -> Self {
        let recent = Recent { floor: revision, rings: HashMap::new(), order: VecDeque::new(), bytes: 0, closed: false };
        Self { revision: revision.into(), compacted: compacted.into(), limit, recent: Mutex::new(recent) }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision.load(Ordering::Acquire)
    }

    pub(crate) fn compacted(&self) -> Revision {
        self.compacted.load(Ordering::Acquire)
    }

    pub(crate) fn set_compacted(&self, revision: Revision) {
        self.compacted.store(revision, Ordering::Release);
    }

    /// Makes committed changes visible, in order of revision.
    pub(crate) fn publish(&self, changes: &[Change]) {
        let Some(newest) = changes.last().map(Change::revision) else { return };
        let mut recent = self.recent.lock();
        for change in changes {
            recent.push(change.clone());
        }
        recent.shrink(self.limit);
        self.revision.store(newest, Ordering::Release);
        for change in changes {
            if let Some(ring) = recent.rings.get(&change.entry().key.resource) {
                ring.news.send_replace(newest);
            }
        }
    }

    /// Forgets everything kept, so that watches read the disk: after a commit that failed in an unknown state.
    pub(crate) fn reset(&self, revision: Revision) {
        let mut recent = self.recent.lock();
        (recent.floor, recent.bytes) = (revision, 0);
        recent.order.clear();
        self.revision.store(revision, Ordering::Release);
        for ring in recent.rings.values_mut() {
            ring.changes.clear();
            ring.floor = revision;
            ring.news.send_replace(revision);
        }
    }

    /// Ends all watches.
    pub(crate) fn close(&self) {
        let mut recent = self.recent.lock();
        recent.closed = true;
        recent.rings.clear();
    }

    /// Tells of news about a resource. `None` once closed.
    pub(crate) fn subscribe(&self, resource: &GroupResource) -> Option<watch::Receiver<Revision>> {
        let mut recent = self.recent.lock();
        if recent.closed { None } else { Some(recent.ring(resource).news.subscribe()) }
    }

    /// Changes of a scope above a revision, at most `limit`.
    pub(crate) fn after(&self, scope: &Scope, above: Revision, limit: usize) -> Answer {
        let mut recent = self.recent.lock();
        let ring = recent.ring(&scope.resource);
        if above < ring.floor {
            return Answer::Behind;
        }
        let first = ring.changes.partition_point(|change| change.revision() <= above);
        let Some(newest) = ring.changes.back().filter(|_| first < ring.changes.len()).map(Change::revision) else {
            return Answer::Idle;
        };
        let fresh = ring.changes.range(first..).filter(|change| scope.contains(&change.entry().key));
        let changes: Vec<Change> = fresh.take(limit).cloned().collect();
        match changes.last() {
            Some(last) if changes.len() == limit => Answer::Changes(changes.clone(), last.revision()),
            _ => Answer::Changes(changes, newest),
        }
    }
}

impl Recent {
    fn ring(&mut self, resource: &GroupResource) -> &mut Ring {
        let floor = self.floor;
        self.rings.entry(resource.clone()).or_insert_with(|| Ring {
            changes: VecDeque::new(),
            floor,
            news: watch::Sender::new(floor),
        })
    }

    fn push(&mut self, change: Change) {
        let previous = match &change {
            Change::Put { previous, .. } => previous.as_ref(),
            Change::Deleted { previous, .. } => Some(previous),
        };
        let size = CHANGE_BYTES + change.entry().value.len() + previous.map_or(0, |entry| entry.value.len());
        let resource = change.entry().key.resource.clone();
        self.ring(&resource).changes.push_back(change);
        self.order.push_back((resource, size));
        self.bytes += size;
    }

    fn shrink(&mut self, limit: usize) {
        while self.bytes > limit {
            let Some((resource, size)) = self.order.pop_front() else { break };
            self.bytes -= size;
            if let Some(ring) = self.rings.get_mut(&resource)
                && let Some(change) = ring.changes.pop_front()
            {
                ring.floor = change.revision();
            }
        }
    }
}

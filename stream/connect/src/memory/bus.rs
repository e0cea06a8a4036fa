//! Topics inside the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use edgeward_engine::Emitter;
use edgeward_mqtt::{Filter, FilterTree};
use parking_lot::RwLock;

use super::lookup::Table;

/// The topics of the `memory` connector. There are no queues here: a sink hands its rows to the streams itself.
#[derive(Default)]
pub struct MemoryBus {
    listeners: RwLock<FilterTree<Listener>>,
    ids: AtomicU64,
}

struct Listener {
    id: u64,
    target: Target,
}

/// Who listens to a topic.
#[derive(Clone)]
pub(super) enum Target {
    Stream(Emitter),
    Table(Arc<Table>),
}

/// A stream's place on the bus; dropping it ends it.
pub(super) struct Listening {
    bus: Arc<MemoryBus>,
    filter: Filter,
    id: u64,
}

impl MemoryBus {
    pub(super) fn listen(self: &Arc<Self>, filter: Filter, target: Target) -> Listening {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        self.listeners.write().insert(&filter, Listener { id, target });
        Listening { bus: self.clone(), filter, id }
    }

    /// The streams and tables that listen to a topic.
    pub(super) fn listeners(&self, topic: &str) -> Vec<Target> {
        let mut found = Vec::new();
        self.listeners.read().for_each_match(topic.as_bytes(), |listener| found.push(listener.target.clone()));
        found
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.bus.listeners.write().remove(&self.filter, |listener| listener.id == self.id);
    }
}

//! Which objects have changes the cloud does not know. A cache of the marks on disk: nothing is lost with it.

use std::collections::{HashSet, VecDeque};

use edgeward_store::Key;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Keys in the order their first unsent change was made, each at most once. Its size is bounded by the replica's.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Key>,
    queued: HashSet<Key>,
    /// Sent and not answered: a second message about the same object waits, so that none overtakes another.
    busy: HashSet<Key>,
}

impl Unsent {
    /// The object has a change to be sent.
    pub(crate) fn push(&self, key: &Key) {
        let mut state = self.state.lock();
        if state.queued.insert(key.clone()) {
            state.waiting.push_back(key.clone());
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Waits for an object with something to send that is not already under way. One caller at a time. Cancel-safe.
    pub(crate) async fn next(&self) -> Key {
        loop {
            if let Some(key) = self.pop() {
                return key;
            }
            self.changed.notified().await;
        }
    }

    fn pop(&self) -> Option<Key> {
        let mut state = self.state.lock();
        let index = state.waiting.iter().position(|key| !state.busy.contains(key))?;
        let key = state.waiting.remove(index)?;
        state.queued.remove(&key);
        state.busy.insert(key.clone());
        Some(key)
    }

    /// The message about the object was answered or given up.
    pub(crate) fn done(&self, key: &Key) {
        self.state.lock().busy.remove(key);
        self.changed.notify_one();
    }

    /// A new session begins: nothing is under way.
    pub(crate) fn rewind(&self) {
        self.state.lock().busy.clear();
        self.changed.notify_one();
    }
}

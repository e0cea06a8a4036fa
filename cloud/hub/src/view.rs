//! What each node should see: the objects placed on it and the objects those mention.
//!
//! Fed by one watch per kind for the whole hub ([`crate::watch`]); told apart per node by two indexes that count mentions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::changes::Changes;
use crate::object::{KINDS, Object, ObjectId};

/// The objects of all kinds and who sees them.
#[derive(Debug, Default)]
pub(crate) struct View {
    state: RwLock<State>,
    /// Sessions to tell, by node.
    listeners: RwLock<HashMap<Arc<str>, Arc<Changes>>>,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<ObjectId, Arc<Object>>,
    /// Objects each node sees, with how many reasons there are.
    seen: HashMap<Arc<str>, HashMap<ObjectId, u32>>,
    /// The inverse.
    seers: HashMap<ObjectId, HashSet<Arc<str>>>,
    /// Kinds whose list is complete. Nothing is said about the others, least of all that something is gone.
    ready: [bool; KINDS.len()],
}

impl View {
    /// An object was added or changed.
    pub(crate) fn apply(&self, object: Object) {
        let mut affected = HashSet::new();
        self.state.write().put(object, &mut affected);
        self.tell(&affected);
    }

    /// An object is gone.
    pub(crate) fn remove(&self, id: &ObjectId) {
        let mut affected = HashSet::new();
        self.state.write().remove(id, &mut affected);
        self.tell(&affected);
    }

    /// The list of a kind is complete: what it did not hold is gone.
    pub(crate) fn complete(&self, kind: usize, listed: &HashSet<ObjectId>) {
        let mut affected = HashSet::new();
        let mut state = self.state.write();
        let gone: Vec<ObjectId> =
            state.objects.keys().filter(|id| id.kind() == Some(kind) && !listed.contains(id)).cloned().collect();
        for id in gone {
            state.remove(&id, &mut affected);
        }
        let first = !std::mem::replace(&mut state.ready[kind], true);
        drop(state);
        self.tell(&affected);
        if first {
            self.listeners.read().values().for_each(|changes| changes.add_everything());
        }
    }

    /// The object, if this node sees it.
    pub(crate) fn object(&self, node: &str, id: &ObjectId) -> Option<Arc<Object>> {
        let state = self.state.read();
        state.sees(node, id).then(|| state.objects.get(id).cloned()).flatten()
    }

    /// Whether this node sees the object, if it exists.
    pub(crate) fn sees(&self, node: &str, id: &ObjectId) -> bool {
        self.state.read().sees(node, id)
    }

    /// The node's objects, in the order in which it needs them.
    pub(crate) fn objects_of(&self, node: &str) -> Vec<ObjectId> {
        let state = self.state.read();
        let mut ids: Vec<(usize, ObjectId)> = state
            .seen
            .get(node)
            .into_iter()
            .flat_map(HashMap::keys)
            .filter(|id| state.objects.contains_key(*id))
            .filter_map(|id| Some((id.kind()?, id.clone())))
            .collect();
        drop(state);
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether the list of this object's kind is complete, so that absence means something.
    pub(crate) fn is_ready(&self, id: &ObjectId) -> bool {
        id.kind().is_some_and(|kind| self.state.read().ready[kind])
    }

    /// Tells `changes` of this node from now on, instead of whom it told before.
    pub(crate) fn listen(&self, node: Arc<str>, changes: Arc<Changes>) {
        self.listeners.write().insert(node, changes);
    }

    /// Ends what [`View::listen`] began, unless another took over.
    pub(crate) fn unlisten(&self, node: &str, changes: &Arc<Changes>) {
        let mut listeners = self.listeners.write();
        if listeners.get(node).is_some_and(|current| Arc::ptr_eq(current, changes)) {
            listeners.remove(node);
        }
    }

    fn tell(&self, affected: &HashSet<(Arc<str>, ObjectId)>) {
        if affected.is_empty() {
            return;
        }
        let listeners = self.listeners.read();
        let mut ordered: Vec<_> = affected.iter().map(|(node, id)| (id.kind(), id, node)).collect();
        ordered.sort_unstable();
        for (_, id, node) in ordered {
            if let Some(changes) = listeners.get(node) {
                changes.add(id);
            }
        }
    }
}

type Affected = HashSet<(Arc<str>, ObjectId)>;

impl State {
    fn sees(&self, node: &str, id: &ObjectId) -> bool {
        self.seen.get(node).is_some_and(|ids| ids.contains_key(id))
    }

    fn put(&mut self, mut object: Object, affected: &mut Affected) {
        let before = self.objects.get(&object.id).cloned();
        if let Some(before) = &before {
            // A watch that starts over may show an older state before it shows the newest.
            if before.uid == object.uid && before.version > object.version {
                return;
            }
        }
        let unchanged = before.as_ref().is_some_and(|before| object.inherit(before));
        let object = Arc::new(object);
        self.objects.insert(object.id.clone(), object.clone());
        // Gain before loss, so that what is mentioned before and after is not called lost.
        self.count(&object, true, affected);
        if let Some(before) = before {
            self.count(&before, false, affected);
        }
        if !unchanged {
            self.affect_seers(&object.id, affected);
        }
    }

    fn remove(&mut self, id: &ObjectId, affected: &mut Affected) {
        let Some(object) = self.objects.remove(id) else { return };
        self.affect_seers(id, affected);
        self.count(&object, false, affected);
    }

    fn affect_seers(&self, id: &ObjectId, affected: &mut Affected) {
        for node in self.seers.get(id).into_iter().flatten() {
            affected.insert((node.clone(), id.clone()));
        }
    }

    /// Adds or takes away one reason for the node of this object to see it and what it mentions.
    fn count(&mut self, object: &Object, gained: bool, affected: &mut Affected) {
        let Some(node) = &object.node else { return };
        for id in std::iter::once(&object.id).chain(&object.mentions) {
            let ids = self.seen.entry(node.clone()).or_default();
            let reasons = ids.entry(id.clone()).or_insert(0);
            let turned = if gained {
                *reasons += 1;
                *reasons == 1
            } else {
                *reasons = reasons.saturating_sub(1);
                *reasons == 0
            };
            if !turned {
                continue;
            }
            affected.insert((node.clone(), id.clone()));
            if gained {
                self.seers.entry(id.clone()).or_default().insert(node.clone());
            } else {
                self.forget(node, id);
            }
        }
    }

    fn forget(&mut self, node: &Arc<str>, id: &ObjectId) {
        if let Some(ids) = self.seen.get_mut(node) {
            ids.remove(id);
            if ids.is_empty() {
                self.seen.remove(node);
            }
        }
        if let Some(nodes) = self.seers.get_mut(id) {
            nodes.remove(node);
            if nodes.is_empty() {
                self.seers.remove(id);
            }
        }
    }
}

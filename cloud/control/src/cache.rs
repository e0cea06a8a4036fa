//! What the API holds of one kind, kept in memory by one watch and shared by all controllers.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Backoff, Tasks};
use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;

/// Removed objects that are remembered, so that a late event cannot bring one back.
const TOMBSTONES: usize = 4096;

/// Where an object is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl Key {
    /// A key from its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

/// What a watch says to the controllers.
pub enum Seen<'a, K> {
    /// Added or modified.
    Changed {
        /// What the cache held until now.
        before: Option<Arc<K>>,
        /// What it holds from now on.
        now: &'a Arc<K>,
    },
    /// Deleted; the last known state.
    Gone(&'a Arc<K>),
    /// The whole kind was listed anew: anything may have happened.
    Relisted,
}

/// Objects of one kind. Clones share the contents.
pub struct Cache<K> {
    state: Arc<RwLock<State<K>>>,
    index: fn(&K) -> Vec<String>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), index: self.index }
    }
}

struct State<K> {
    objects: HashMap<Key, Arc<K>>,
    indexed: HashMap<String, HashSet<Key>>,
    tombstones: VecDeque<String>,
    /// What the watch told last of objects that our own writes have moved on since.
    told: HashMap<Key, Option<Arc<K>>>,
    listed: bool,
}

impl<K: Resource + Debug> Cache<K> {
    /// An empty cache whose objects can be found under the strings `index` gives for them.
    pub fn new(index: fn(&K) -> Vec<String>) -> Self {
        let state = State {
            objects: HashMap::new(),
            indexed: HashMap::new(),
            tombstones: VecDeque::new(),
            told: HashMap::new(),
            listed: false,
        };
        Self { state: Arc::new(RwLock::new(state)), index }
    }

    /// Whether the first list is complete: before that, absence means nothing.
    pub fn is_listed(&self) -> bool {
        self.state.read().listed
    }

    /// The object, if it is there.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.state.read().objects.get(key).cloned()
    }

    /// All objects, in no order.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.state.read().objects.values().cloned().collect()
    }

    /// The keys of all objects, in no order.
    pub fn keys(&self) -> Vec<Key> {
        self.state.read().objects.keys().cloned().collect()
    }

    /// All objects of a namespace, in no order.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.state.read();
        state.objects.iter().filter(|(key, _)| key.namespace == namespace).map(|(_, object)| object.clone()).collect()
    }

    /// The objects indexed under `term`.
    pub fn find(&self, term: &str) -> Vec<Arc<K>> {
        let state = self.state.read();
        let keys = state.indexed.get(term).into_iter().flatten();
        keys.filter_map(|key| state.objects.get(key).cloned()).collect()
    }

    /// Takes in the answer to a write, so that the next reconcile already sees it: without this a controller that is
    /// faster than its watch creates the same pod twice. States not newer than the one held are ignored. Returns what was
    /// held before, or `None` when the new state was ignored.
    pub fn put(&self, object: K) -> Option<(Option<Arc<K>>, Arc<K>)> {
        let mut state = self.state.write();
        let (held, now) = state.set(object, |held, new| held < new, self.index)?;
        // Others must still hear of this change when the watch brings it.
        state.told.entry(Key::of(&*now)).or_insert_with(|| held.clone());
        Some((held, now))
    }

    /// Takes in what the watch brings. Returns what the watch brought before, or `None` when a newer state is held.
    fn see(&self, object: K) -> Option<(Option<Arc<K>>, Arc<K>)> {
        let mut state = self.state.write();
        let (held, now) = state.set(object, |held, new| held <= new, self.index)?;
        let told = state.told.remove(&Key::of(&*now));
        Some((told.unwrap_or(held), now))
    }

    /// Takes in that an object is gone.
    pub fn remove(&self, object: &K) {
        let mut state = self.state.write();
        if let Some(uid) = object.meta().uid.clone() {
            state.tombstones.push_back(uid);
            if state.tombstones.len() > TOMBSTONES {
                state.tombstones.pop_front();
            }
        }
        let key = Key::of(object);
        let held = state.objects.get(&key).cloned();
        // A successor of the same name may be there already.
        if held.as_deref().is_some_and(|held| held.meta().uid == object.meta().uid) {
            state.told.remove(&key);
            state.replace(key, held, None, self.index);
        }
    }

    /// Drops everything that a fresh list does not contain.
    fn retain(&self, listed: &HashSet<Key>) {
        let mut state = self.state.write();
        let gone: Vec<Key> = state.objects.keys().filter(|key| !listed.contains(key)).cloned().collect();
        for key in gone {
            let held = state.objects.get(&key).cloned();
            state.replace(key, held, None, self.index);
        }
        // A list is told as a whole.
        state.told.clear();
        state.listed = true;
    }
}

impl<K: Resource> State<K> {
    /// Holds an object unless it is dead, or not `newer` than the one held.
    fn set(
        &mut self,
        object: K,
        newer: fn(u64, u64) -> bool,
        index: fn(&K) -> Vec<String>,
    ) -> Option<(Option<Arc<K>>, Arc<K>)> {
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        if self.tombstones.iter().any(|dead| dead == uid) {
            return None;
        }
        let key = Key::of(&object);
        let held = self.objects.get(&key).cloned();
        if held.as_deref().is_some_and(|held| !newer(revision(held), revision(&object))) {
            return None;
        }
        let object = Arc::new(object);
        self.replace(key, held.clone(), Some(object.clone()), index);
        Some((held, object))
    }

    fn replace(&mut self, key: Key, before: Option<Arc<K>>, now: Option<Arc<K>>, index: fn(&K) -> Vec<String>) {
        for term in before.as_deref().map(index).unwrap_or_default() {
            if let Some(keys) = self.indexed.get_mut(&term) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.indexed.remove(&term);
                }
            }
        }
        let Some(now) = now else {
            self.objects.remove(&key);
            return;
        };
        for term in index(&now) {
            self.indexed.entry(term).or_default().insert(key.clone());
        }
        self.objects.insert(key, now);
    }
}

/// The resourceVersion as a number. Ours are numbers, and Kubernetes itself now compares them so.
fn revision<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Runs the one watch that fills `cache` and tells `notify` of each change, until `tasks` is cancelled.
pub fn keep<K, F>(api: Api<K>, cache: Cache<K>, tasks: &Tasks, notify: F)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    F: Fn(Seen<'_, K>) + Send + 'static,
{
    tasks.spawn_until_cancelled("watch", async move {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        let mut events = watcher::watcher(api, watcher::Config::default()).boxed();
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    backoff.reset();
                    take_in(event, &cache, &mut listed, &notify);
                }
                Err(error) => {
                    let delay = backoff.next_delay();
                    tracing::debug!(%error, delay_ms = delay.as_millis(), "watch failed, trying again");
                    tokio::time::sleep(delay).await;
                }
            }
        }
    });
}

fn take_in<K: Resource + Debug>(
    event: Event<K>,
    cache: &Cache<K>,
    listed: &mut HashSet<Key>,
    notify: &impl Fn(Seen<'_, K>),
) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(mut object) => {
            object.meta_mut().managed_fields = None;
            listed.insert(Key::of(&object));
            cache.see(object);
        }
        Event::InitDone => {
            cache.retain(listed);
            notify(Seen::Relisted);
        }
        Event::Apply(mut object) => {
            object.meta_mut().managed_fields = None;
            if let Some((before, now)) = cache.see(object) {
                notify(Seen::Changed { before, now: &now });
            }
        }
        Event::Delete(object) => {
            cache.remove(&object);
            notify(Seen::Gone(&Arc::new(object)));
        }
    }
}

/// The owner that controls this object.
pub fn controller_of<K: Resource>(
    object: &K,
) -> Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference> {
    object.meta().owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    fn pod_index(pod: &Pod) -> Vec<String> {
        pod.spec.iter().filter_map(|spec| spec.node_name.clone()).collect()
    }

    fn pod(name: &str, uid: &str, revision: u64, node: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"namespace": "d", "name": name, "uid": uid, "resourceVersion": revision.to_string()},
            "spec": {"nodeName": node, "containers": []},
        }))
        .unwrap()
    }

    #[test]
    fn an_older_state_never_replaces_a_newer_one() {
        let cache = Cache::new(pod_index);
        assert!(cache.put(pod("a", "1", 5, "n1")).is_some());
        assert!(cache.put(pod("a", "1", 4, "n2")).is_none());
        assert_eq!(cache.find("n1").len(), 1);
        assert!(cache.put(pod("a", "1", 6, "n2")).is_some());
        assert_eq!((cache.find("n1").len(), cache.find("n2").len()), (0, 1));
    }

    #[test]
    fn the_watch_tells_of_a_change_that_an_own_write_brought_first() {
        let cache = Cache::new(pod_index);
        cache.see(pod("a", "1", 1, ""));
        cache.put(pod("a", "1", 2, "n1"));
        cache.put(pod("a", "1", 4, "n2"));
        let node = |pod: &Option<Arc<Pod>>| pod.as_ref().and_then(|pod| pod.spec.as_ref()?.node_name.clone());
        assert!(cache.see(pod("a", "1", 2, "n1")).is_none(), "an older state than the one held");
        let (before, _) = cache.see(pod("a", "1", 4, "n2")).unwrap();
        assert_eq!(node(&before).as_deref(), Some(""), "nobody was told of the change");
        let (before, _) = cache.see(pod("a", "1", 5, "n3")).unwrap();
        assert_eq!(node(&before).as_deref(), Some("n2"));
        assert!(cache.put(pod("a", "1", 5, "n3")).is_none(), "an answer that comes after the watch is no news");
        assert!(cache.state.read().told.is_empty());
    }

    #[test]
    fn a_removed_object_stays_away_and_its_successor_does_not() {
        let cache = Cache::new(pod_index);
        cache.put(pod("a", "1", 5, "n1"));
        cache.remove(&pod("a", "1", 6, "n1"));
        assert!(cache.put(pod("a", "1", 7, "n1")).is_none());
        assert!(cache.put(pod("a", "2", 8, "n1")).is_some());
        cache.remove(&pod("a", "1", 6, "n1"));
        assert!(cache.get(&Key::new("d", "a")).is_some(), "the late death of a predecessor took its successor along");
    }

    #[test]
    fn a_relist_drops_what_it_does_not_contain() {
        let cache = Cache::new(pod_index);
        assert!(!cache.is_listed());
        let mut listed = HashSet::new();
        cache.put(pod("old", "1", 1, "n1"));
        for event in [Event::Init, Event::InitApply(pod("new", "2", 2, "n1")), Event::InitDone] {
            take_in(event, &cache, &mut listed, &|_: Seen<'_, Pod>| {});
        }
        assert!(cache.is_listed());
        assert_eq!(cache.keys(), [Key::new("d", "new")]);
    }
}

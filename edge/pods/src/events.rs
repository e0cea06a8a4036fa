//! Events about pods, repeated ones counted rather than multiplied.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use edgeward_service::Counter;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use parking_lot::Mutex;

use crate::{NodeApi, pod};

static FORGOTTEN: Counter = Counter::new(
    "edgeward_pods_events_forgotten_total",
    "events whose count starts anew because too many are remembered",
);

/// Different events that are remembered for counting.
const MAX_REMEMBERED: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EventKind {
    Normal,
    Warning,
}

/// Writes events through the node's API.
pub(crate) struct Recorder {
    api: Arc<dyn NodeApi>,
    node: String,
    seen: Mutex<HashMap<Key, Seen>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    uid: String,
    field: Option<String>,
    kind: EventKind,
    reason: &'static str,
    message: String,
}

struct Seen {
    name: String,
    count: i32,
    first: Time,
}

impl Recorder {
    pub(crate) fn new(api: Arc<dyn NodeApi>, node: String) -> Self {
        Self { api, node, seen: Mutex::default() }
    }

    /// An event about the pod as a whole.
    pub(crate) fn pod(&self, pod: &Pod, kind: EventKind, reason: &'static str, message: &str) {
        self.record(pod, None, kind, reason, message);
    }

    /// An event about one container, with the field path kubectl shows.
    pub(crate) fn container(&self, pod: &Pod, name: &str, kind: EventKind, reason: &'static str, message: &str) {
        let init = pod::init_containers(pod).iter().any(|container| container.name == name);
        let list = if init { "initContainers" } else { "containers" };
        self.record(pod, Some(format!("spec.{list}{{{name}}}")), kind, reason, message);
    }

    fn record(&self, pod: &Pod, field: Option<String>, kind: EventKind, reason: &'static str, message: &str) {
        let key = pod::key(pod);
        tracing::debug!(namespace = key.namespace, pod = key.name, reason, message, "event");
        let now = Time(pod::now());
        let about = Key { uid: key.uid.clone(), field: field.clone(), kind, reason, message: message.to_owned() };
        let (name, count, first) = self.count(about, &key.name, now.clone());
        self.api.record_event(Event {
            metadata: ObjectMeta { name: Some(name), namespace: Some(key.namespace.clone()), ..ObjectMeta::default() },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: Some(key.namespace),
                name: Some(key.name),
                uid: Some(key.uid),
                resource_version: pod.metadata.resource_version.clone(),
                field_path: field,
            },
            type_: Some(format!("{kind:?}")),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            count: Some(count),
            first_timestamp: Some(first),
            last_timestamp: Some(now),
            source: Some(EventSource { component: Some("kubelet".to_owned()), host: Some(self.node.clone()) }),
            reporting_component: Some("kubelet".to_owned()),
            reporting_instance: Some(self.node.clone()),
            ..Event::default()
        });
    }

    fn count(&self, key: Key, pod_name: &str, now: Time) -> (String, i32, Time) {
        let mut seen = self.seen.lock();
        if seen.len() >= MAX_REMEMBERED && !seen.contains_key(&key) {
            FORGOTTEN.add(seen.len() as u64);
            seen.clear();
        }
        let entry = seen.entry(key).or_insert_with(|| {
            let stamp = u64::try_from(now.0.as_nanosecond()).unwrap_or_default();
            // Events of one instant differ in reason or field; the hash keeps their names apart.
            let mark = crate::short_hash(format!("{stamp}{:?}", std::time::Instant::now()).as_bytes());
            Seen { name: format!("{pod_name}.{stamp:x}{mark}"), count: 0, first: now }
        });
        entry.count = entry.count.saturating_add(1);
        (entry.name.clone(), entry.count, entry.first.clone())
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("node", &self.node).finish_non_exhaustive()
    }
}

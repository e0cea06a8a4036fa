//! Events as `kubectl describe` shows them: repeated ones are counted, not repeated.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_service::{Counter, clock};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use serde_json::json;

/// Distinct events remembered for counting; beyond it the memory starts over, and repeats become new events.
const REMEMBERED: usize = 1024;

static FAILED: Counter = Counter::new("edgeward_workloads_events_lost_total", "events the API did not take");

/// Records events in the name of one component. Clones share the memory of what was said before.
#[derive(Clone)]
pub struct Recorder {
    client: Client,
    component: &'static str,
    said: Arc<Mutex<HashMap<(String, String), Said>>>,
}

#[derive(Clone)]
struct Said {
    event: String,
    count: i32,
}

/// How loud an event is.
#[derive(Clone, Copy)]
pub enum Level {
    /// Things go as they should.
    Normal,
    /// Somebody may have to act.
    Warning,
}

impl Recorder {
    /// A recorder that names `component` as the source.
    pub fn new(client: Client, component: &'static str) -> Self {
        Self { client, component, said: Arc::default() }
    }

    /// Records that `reason` happened to `object`. Events are a courtesy: a failure is counted, never returned.
    pub async fn record<K>(&self, object: &K, level: Level, reason: &str, message: String)
    where
        K: Resource<DynamicType = ()>,
    {
        self.record_reference(reference(object), level, reason, message).await;
    }

    /// The same for an object whose kind is only known at run time.
    pub async fn record_reference(&self, regarding: ObjectReference, level: Level, reason: &str, message: String) {
        let identity = (regarding.uid.clone().unwrap_or_default(), format!("{reason}\u{0}{message}"));
        let repeated = self.repeat(&identity);
        let namespace = regarding.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        if let Some(said) = repeated {
            let patch = json!({"count": said.count, "lastTimestamp": clock::now_rfc3339()});
            if api.patch(&said.event, &PatchParams::default(), &Patch::Merge(patch)).await.is_ok() {
                return;
            }
        }
        let event = self.event(regarding, namespace, level, reason, message);
        match api.create(&PostParams::default(), &event).await {
            Ok(created) => self.remember(identity, created.metadata.name.unwrap_or_default()),
            Err(error) => {
                FAILED.inc();
                tracing::debug!(%error, reason, "event not recorded");
            }
        }
    }

    fn repeat(&self, identity: &(String, String)) -> Option<Said> {
        let mut memory = self.said.lock();
        let said = memory.get_mut(identity)?;
        said.count += 1;
        Some(said.clone())
    }

    fn remember(&self, identity: (String, String), event: String) {
        let mut said = self.said.lock();
        if said.len() >= REMEMBERED {
            said.clear();
        }
        said.insert(identity, Said { event, count: 1 });
    }

    fn event(
        &self,
        regarding: ObjectReference,
        namespace: String,
        level: Level,
        reason: &str,
        message: String,
    ) -> Event {
        let now = Time(Timestamp::now());
        let name = format!("{}.{:016x}", regarding.name.as_deref().unwrap_or("unknown"), rand::random::<u64>());
        Event {
            metadata: ObjectMeta { name: Some(name), namespace: Some(namespace), ..ObjectMeta::default() },
            involved_object: regarding,
            type_: Some(match level {
                Level::Normal => "Normal".to_owned(),
                Level::Warning => "Warning".to_owned(),
            }),
            reason: Some(reason.to_owned()),
            message: Some(message),
            count: Some(1),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            source: Some(EventSource { component: Some(self.component.to_owned()), host: None }),
            reporting_component: Some(self.component.to_owned()),
            ..Event::default()
        }
    }
}

fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    let meta = object.meta();
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}

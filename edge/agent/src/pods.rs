//! The replica as pods see it: `edgeward_pods::NodeApi`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use edgeward_objects::Object;
use edgeward_pods::{Change, Error as PodsError, NodeApi, PodKey, Token, TokenRequest};
use edgeward_service::{Backoff, Counter, Tasks, clock};
use edgeward_store::{Change as StoreChange, Key};
use edgeward_wire::{Envelope, group, null, operation, source};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, PodStatus, Secret};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::Error;
use crate::link::{Link, LinkState};
use crate::replica::kinds::{CONFIG_MAP, Kind, NODE, POD, SECRET};
use crate::replica::{Document, Replica};
use crate::tokens;

/// Changes waiting for the pods room.
const QUEUE: usize = 64;

/// The node's copy of the API, for pods.
pub(crate) struct PodsApi {
    pub(crate) node: Arc<str>,
    pub(crate) replica: Replica,
    pub(crate) link: Link,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) tasks: Tasks,
    /// ConfigMaps and Secrets being asked for.
    pub(crate) asked: Arc<Mutex<HashSet<Key>>>,
}

impl PodsApi {
    async fn read<T: DeserializeOwned>(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> Read<T> {
        let key = kind.key(namespace, name);
        match self.replica.get(&key).await.map_err(api_error)? {
            Some(document) => typed(document).map(|object| Some(Arc::new(object))),
            None => {
                self.ask_for(kind, key);
                Ok(None)
            }
        }
    }

    /// A KubeEdge cloud sends ConfigMaps and Secrets only to nodes that have asked for them once; ours sends what pods
    /// mention by itself. What comes is kept, and the pods hear of it as of any change.
    fn ask_for(&self, kind: &Kind, key: Key) {
        let wanted = *self.link.state().borrow() == LinkState::Online { own: false };
        if !wanted || NODE.is(&key) || !self.asked.lock().insert(key.clone()) {
            return;
        }
        let resource = format!("{}/{}/{}", key.namespace.as_deref().unwrap_or("null"), kind.word, key.name);
        let (source, group) = (source::EDGED, group::META);
        let message = Envelope::new(clock::now_ms(), source, group, operation::QUERY, resource, null());
        let (link, asked) = (self.link.clone(), self.asked.clone());
        self.tasks.spawn_until_cancelled("ask for object", async move {
            if let Err(error) = link.request(message).await {
                tracing::debug!(%key, %error, "object could not be asked for");
            }
            asked.lock().remove(&key);
        });
    }
}

type Read<T> = Result<Option<Arc<T>>, PodsError>;

impl NodeApi for PodsApi {
    fn watch(&self) -> BoxStream<'static, Change> {
        let (send, receive) = mpsc::channel(QUEUE);
        let feed = Feed { replica: self.replica.clone(), known: HashMap::new(), send };
        self.tasks.spawn_until_cancelled("pod feed", feed.run());
        Box::pin(futures::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive))))
    }

    fn node(&self) -> BoxFuture<'_, Read<Node>> {
        Box::pin(self.read(NODE, None, &self.node))
    }

    fn config_map<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Read<ConfigMap>> {
        Box::pin(self.read(CONFIG_MAP, Some(namespace), name))
    }

    fn secret<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Read<Secret>> {
        Box::pin(self.read(SECRET, Some(namespace), name))
    }

    fn service_account_token(&self, request: TokenRequest) -> BoxFuture<'_, Result<Token, PodsError>> {
        Box::pin(async move { tokens::token(&self.replica, &self.link, &request).await.map_err(api_error) })
    }

    fn update_status<'a>(&'a self, pod: &'a PodKey, status: PodStatus) -> BoxFuture<'a, Result<(), PodsError>> {
        Box::pin(async move {
            let status = serde_json::to_value(&status).map_err(|error| PodsError::Api(error.to_string()))?;
            let change = |object: &mut Object| {
                let new = object.get(&["status"]) != Some(&status);
                object.set(&["status"], status.clone());
                new
            };
            self.replica.report(&key(pod), &pod.uid, change).await.map_err(api_error)
        })
    }

    fn confirm_pod_deleted<'a>(&'a self, pod: &'a PodKey) -> BoxFuture<'a, Result<(), PodsError>> {
        Box::pin(async move {
            tokens::forget(&self.replica, pod).await.map_err(api_error)?;
            self.replica.pod_is_gone(&key(pod), &pod.uid).await.map_err(api_error)
        })
    }

    fn record_event(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            EVENTS_DROPPED.inc();
        }
    }
}

/// Turns the replica's changes into the pods' changes.
struct Feed {
    replica: Replica,
    /// Pods that were sent, with their uids.
    known: HashMap<Key, String>,
    send: mpsc::Sender<Change>,
}

/// The pods room no longer listens.
struct Deaf;

impl Feed {
    async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            match self.round().await {
                Ok(Err(Deaf)) => return,
                Ok(Ok(())) => {}
                Err(error) => tracing::warn!(%error, "pods are read again from the replica"),
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// All pods, then changes, until history is lost.
    async fn round(&mut self) -> Result<Result<(), Deaf>, Error> {
        let (pods, revision) = self.replica.list(POD).await?;
        let mut gone: HashMap<Key, String> = std::mem::take(&mut self.known);
        for (key, document) in pods {
            if gone.get(&key).is_some_and(|uid| uid == document.object.uid()) {
                gone.remove(&key);
            }
            if self.pod(key, document).await.is_err() {
                return Ok(Err(Deaf));
            }
        }
        for (key, uid) in gone {
            if self.send.send(Change::PodGone(pod_key(&key, uid))).await.is_err() {
                return Ok(Err(Deaf));
            }
        }
        if self.send.send(Change::Synced).await.is_err() {
            return Ok(Err(Deaf));
        }
        let watches = [POD, CONFIG_MAP, SECRET].map(|kind| self.replica.watch(kind, revision));
        let [pods, config_maps, secrets] = watches;
        let mut changes = futures::stream::select_all([pods?, config_maps?, secrets?]);
        while let Some(change) = changes.next().await {
            if self.change(change?).await.is_err() {
                return Ok(Err(Deaf));
            }
        }
        Ok(Ok(()))
    }

    async fn change(&mut self, change: StoreChange) -> Result<(), Deaf> {
        let key = change.entry().key.clone();
        if !POD.is(&key) {
            let (namespace, name) = (key.namespace.as_deref().unwrap_or_default().to_owned(), key.name.to_string());
            let change = if SECRET.is(&key) {
                Change::Secret { namespace, name }
            } else {
                Change::ConfigMap { namespace, name }
            };
            return self.send.send(change).await.map_err(|_| Deaf);
        }
        match change {
            StoreChange::Deleted { .. } => match self.known.remove(&key) {
                Some(uid) => self.send.send(Change::PodGone(pod_key(&key, uid))).await.map_err(|_| Deaf),
                None => Ok(()),
            },
            StoreChange::Put { entry, previous } => {
                let Ok(document) = Document::read(&entry.value) else { return Ok(()) };
                let previous = previous.and_then(|previous| Document::read(&previous.value).ok());
                // Its own status reports are no news to the pods room.
                if previous.is_some_and(|previous| same_but_status(&previous.object, &document.object)) {
                    return Ok(());
                }
                self.pod(key, document).await
            }
        }
    }

    async fn pod(&mut self, key: Key, document: Document) -> Result<(), Deaf> {
        let uid = document.object.uid().to_owned();
        let replaced = self.known.insert(key.clone(), uid.clone()).filter(|old| *old != uid);
        if let Some(old) = replaced {
            self.send.send(Change::PodGone(pod_key(&key, old))).await.map_err(|_| Deaf)?;
        }
        match typed::<Pod>(document) {
            Ok(pod) => self.send.send(Change::Pod(Arc::new(pod))).await.map_err(|_| Deaf),
            Err(error) => {
                tracing::error!(%key, %error, "pod cannot be read and is not run");
                Ok(())
            }
        }
    }
}

fn same_but_status(one: &Object, other: &Object) -> bool {
    let rest = |object: &Object| {
        let mut object = object.clone();
        object.remove(&["status"]);
        object
    };
    rest(one) == rest(other)
}

fn typed<T: DeserializeOwned>(document: Document) -> Result<T, PodsError> {
    let object = document.into_cloud_object();
    let name = format!("{} {}", object.kind(), object.name());
    serde_json::from_value(object.into_value())
        .map_err(|error| PodsError::Api(format!("{name} in the replica is not readable: {error}")))
}

fn key(pod: &PodKey) -> Key {
    POD.key(Some(&pod.namespace), &pod.name)
}

fn pod_key(key: &Key, uid: String) -> PodKey {
    PodKey { namespace: key.namespace.as_deref().unwrap_or_default().to_owned(), name: key.name.to_string(), uid }
}

fn api_error(error: Error) -> PodsError {
    PodsError::Api(error.to_string())
}

static EVENTS_DROPPED: Counter =
    Counter::new("edgeward_agent_events_dropped_total", "events dropped because too many came at once");

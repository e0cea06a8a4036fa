//! The node's API in memory: a small but whole implementation.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeward_pods::{Change, Error, NodeApi, PodKey, Token, TokenRequest};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{BoxStream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, PodStatus, Secret};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

/// Pods, ConfigMaps and Secrets by name (all in one namespace), and what the service said of them.
pub struct MemoryApi {
    state: Mutex<State>,
    /// Counts changes, for those who wait.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    pods: BTreeMap<String, Pod>,
    statuses: BTreeMap<String, PodStatus>,
    status_writes: BTreeMap<String, usize>,
    deleted: Vec<String>,
    config_maps: BTreeMap<String, Arc<ConfigMap>>,
    secrets: BTreeMap<String, Arc<Secret>>,
    events: BTreeMap<String, Event>,
    node: Option<Arc<Node>>,
    watchers: Vec<mpsc::Sender<Change>>,
}

impl MemoryApi {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: watch::Sender::new(0) })
    }

    /// Creates or replaces a pod; its status stays.
    pub fn apply(&self, mut pod: Pod) {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let mut state = self.state.lock();
        pod.status = state.statuses.get(&name).cloned();
        state.pods.insert(name, pod.clone());
        state.send(&Change::Pod(Arc::new(pod)));
    }

    /// Creates a pod as an earlier service left it.
    pub fn apply_with_status(&self, pod: Pod, status: Option<PodStatus>) {
        if let (Some(status), Some(name)) = (status, &pod.metadata.name) {
            self.state.lock().statuses.insert(name.clone(), status);
        }
        self.apply(pod);
    }

    /// Asks for graceful deletion.
    pub fn delete(&self, name: &str, grace_seconds: i64) {
        use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
        let mut pod = self.state.lock().pods.get(name).cloned().unwrap();
        pod.metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::now()));
        pod.metadata.deletion_grace_period_seconds = Some(grace_seconds);
        self.apply(pod);
    }

    /// Takes the object away at once.
    pub fn delete_by_force(&self, name: &str) {
        let mut state = self.state.lock();
        let pod = state.pods.remove(name).unwrap();
        state.statuses.remove(name);
        state.send(&Change::PodGone(key(&pod)));
    }

    pub fn set_config_map(&self, name: &str, map: serde_json::Value) {
        let mut state = self.state.lock();
        state.config_maps.insert(name.into(), Arc::new(serde_json::from_value(map).unwrap()));
        state.send(&Change::ConfigMap { namespace: "default".into(), name: name.into() });
    }

    pub fn set_secret(&self, name: &str, secret: serde_json::Value) {
        let mut state = self.state.lock();
        state.secrets.insert(name.into(), Arc::new(serde_json::from_value(secret).unwrap()));
        state.send(&Change::Secret { namespace: "default".into(), name: name.into() });
    }

    pub fn set_node(&self, node: serde_json::Value) {
        self.state.lock().node = Some(Arc::new(serde_json::from_value(node).unwrap()));
    }

    pub fn status(&self, name: &str) -> PodStatus {
        self.state.lock().statuses.get(name).cloned().unwrap_or_default()
    }

    pub fn status_writes(&self, name: &str) -> usize {
        self.state.lock().status_writes.get(name).copied().unwrap_or_default()
    }

    /// `reason xcount: message` of the pod's events.
    pub fn event_texts(&self, name: &str) -> Vec<String> {
        let state = self.state.lock();
        let of_pod = state.events.values().filter(|event| event.involved_object.name.as_deref() == Some(name));
        of_pod
            .map(|event| {
                let (reason, message) =
                    (event.reason.clone().unwrap_or_default(), event.message.clone().unwrap_or_default());
                format!("{reason} x{}: {message}", event.count.unwrap_or_default())
            })
            .collect()
    }

    pub fn has_event(&self, name: &str, reason: &str) -> bool {
        self.event_texts(name).iter().any(|text| text.starts_with(&format!("{reason} ")))
    }

    pub async fn wait_for_status(&self, name: &str, holds: impl Fn(&PodStatus) -> bool) -> PodStatus {
        self.wait(|state| state.statuses.get(name).filter(|status| holds(status)).cloned()).await
    }

    pub async fn wait_deleted(&self, name: &str) {
        self.wait(|state| state.deleted.iter().any(|deleted| deleted == name).then_some(())).await;
    }

    pub async fn wait_event(&self, name: &str, reason: &str) -> String {
        self.wait(|state| {
            let found = state.events.values().find(|event| {
                event.involved_object.name.as_deref() == Some(name) && event.reason.as_deref() == Some(reason)
            });
            found.map(|event| event.message.clone().unwrap_or_default())
        })
        .await
    }

    /// The service that watched is gone.
    pub fn forget_watchers(&self) {
        self.state.lock().watchers.clear();
    }

    async fn wait<T>(&self, find: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(found) = find(&self.state.lock()) {
                return found;
            }
            changes.changed().await.unwrap();
        }
    }

    fn note(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

impl State {
    fn send(&mut self, change: &Change) {
        self.watchers.retain(|watcher| watcher.try_send(change.clone()).is_ok());
    }
}

fn key(pod: &Pod) -> PodKey {
    let meta = pod.metadata.clone();
    PodKey {
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
    }
}

impl NodeApi for MemoryApi {
    fn watch(&self) -> BoxStream<'static, Change> {
        let (sender, mut receiver) = mpsc::channel(1024);
        let mut state = self.state.lock();
        let mut first: Vec<Change> = Vec::new();
        for (name, pod) in &state.pods {
            let pod = Pod { status: state.statuses.get(name).cloned(), ..pod.clone() };
            first.push(Change::Pod(Arc::new(pod)));
        }
        first.push(Change::Synced);
        state.watchers.push(sender);
        let later = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        futures::stream::iter(first).chain(later).boxed()
    }

    fn node(&self) -> BoxFuture<'_, Result<Option<Arc<Node>>, Error>> {
        async { Ok(self.state.lock().node.clone()) }.boxed()
    }

    fn config_map<'a>(&'a self, _: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Arc<ConfigMap>>, Error>> {
        async move { Ok(self.state.lock().config_maps.get(name).cloned()) }.boxed()
    }

    fn secret<'a>(&'a self, _: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Arc<Secret>>, Error>> {
        async move { Ok(self.state.lock().secrets.get(name).cloned()) }.boxed()
    }

    fn service_account_token(&self, request: TokenRequest) -> BoxFuture<'_, Result<Token, Error>> {
        async move {
            let token = format!("token of {} for {}", request.service_account, request.pod.name);
            Ok(Token { token, expires_at: edgeward_service::clock::now_ms() / 1000 + request.expiration_seconds })
        }
        .boxed()
    }

    fn update_status<'a>(&'a self, pod: &'a PodKey, status: PodStatus) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let mut state = self.state.lock();
            if state.pods.contains_key(&pod.name) {
                *state.status_writes.entry(pod.name.clone()).or_default() += 1;
                state.statuses.insert(pod.name.clone(), status);
            }
            drop(state);
            self.note();
            Ok(())
        }
        .boxed()
    }

    fn confirm_pod_deleted<'a>(&'a self, pod: &'a PodKey) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let mut state = self.state.lock();
            state.pods.remove(&pod.name);
            state.deleted.push(pod.name.clone());
            drop(state);
            self.note();
            Ok(())
        }
        .boxed()
    }

    fn record_event(&self, event: Event) {
        let name = event.metadata.name.clone().unwrap_or_default();
        self.state.lock().events.insert(name, event);
        self.note();
    }
}

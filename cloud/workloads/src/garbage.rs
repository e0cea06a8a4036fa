//! Garbage collection by owner references.
//!
//! One metadata watch per kind keeps a graph of who owns whom. When an owner is gone its dependents go; `Foreground`
//! and `Orphan` deletion are carried out through the finalizers the API server set.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Backoff, Tasks};
use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ObjectMeta, PartialObjectMeta, Patch, PatchParams, Preconditions,
};
use kube::discovery::{Discovery, verbs};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use edgeward_control::WorkQueue;
use edgeward_control::{Error, Key};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// Kinds that own nothing, are owned by nothing and change all the time.
const IGNORED: [&str; 2] = ["events", "leases"];

/// One object as far as ownership goes.
#[derive(Clone, Debug)]
struct Vertex {
    resource: Arc<ApiResource>,
    key: Key,
    owners: Vec<OwnerReference>,
    deleting: bool,
    finalizers: Vec<String>,
}

#[derive(Default)]
struct Graph {
    objects: HashMap<String, Vertex>,
    dependents: HashMap<String, HashSet<String>>,
}

impl Graph {
    fn put(&mut self, uid: String, vertex: Vertex) {
        self.remove(&uid);
        for owner in &vertex.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(uid.clone());
        }
        self.objects.insert(uid, vertex);
    }

    fn remove(&mut self, uid: &str) -> Option<Vertex> {
        let vertex = self.objects.remove(uid)?;
        for owner in &vertex.owners {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        Some(vertex)
    }

    fn dependents(&self, uid: &str) -> Vec<String> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }
}

/// The collector's shared parts. Keys in its queue are uids.
pub(crate) struct Collector {
    client: Client,
    graph: Mutex<Graph>,
    queue: WorkQueue,
    watched: Mutex<HashSet<String>>,
    rediscover: Notify,
}

fn uid_key(uid: impl Into<String>) -> Key {
    Key::new("", uid)
}

impl Collector {
    pub(crate) fn start(client: Client, tasks: &Tasks) -> Arc<Self> {
        let collector = Arc::new(Self {
            client,
            graph: Mutex::default(),
            queue: WorkQueue::default(),
            watched: Mutex::default(),
            rediscover: Notify::new(),
        });
        let worker = collector.clone();
        collector.queue.run("garbage", tasks, move |key| {
            let worker = worker.clone();
            async move { worker.reconcile(&key.name).await.map(|()| None) }
        });
        let finder = collector.clone();
        let child = tasks.child("garbage");
        tasks.spawn_until_cancelled("discover kinds", async move { finder.discover(&child).await });
        collector
    }

    /// A custom resource definition came or changed: there may be a new kind to watch.
    pub(crate) fn kinds_changed(&self, _: &CustomResourceDefinition) {
        self.rediscover.notify_one();
    }

    async fn discover(self: Arc<Self>, tasks: &Tasks) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        loop {
            match Discovery::new(self.client.clone()).run_aggregated().await {
                Ok(discovery) => {
                    backoff.reset();
                    for group in discovery.groups() {
                        for (resource, capabilities) in group.recommended_resources() {
                            if capabilities.supports_operation(verbs::WATCH)
                                && capabilities.supports_operation(verbs::DELETE)
                            {
                                self.watch_kind(resource, tasks);
                            }
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "discovery failed, trying again");
                    tokio::time::sleep(backoff.next_delay()).await;
                    continue;
                }
            }
            self.rediscover.notified().await;
            // A definition is served a moment after it appears.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn watch_kind(self: &Arc<Self>, resource: ApiResource, tasks: &Tasks) {
        let name = format!("{}.{}", resource.plural, resource.group);
        if IGNORED.contains(&resource.plural.as_str()) || !self.watched.lock().insert(name) {
            return;
        }
        let (collector, resource) = (self.clone(), Arc::new(resource));
        tasks.spawn_until_cancelled("watch kind", async move {
            let api: Api<PartialObjectMeta> = Api::all_with(collector.client.clone(), &*resource);
            let mut events = watcher::watcher(api, watcher::Config::default()).boxed();
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
            let mut listed = HashSet::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        backoff.reset();
                        collector.take_in(&resource, event, &mut listed);
                    }
                    Err(_) => tokio::time::sleep(backoff.next_delay()).await,
                }
            }
        });
    }

    fn take_in(&self, resource: &Arc<ApiResource>, event: Event<PartialObjectMeta>, listed: &mut HashSet<String>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.extend(object.metadata.uid.clone());
                self.put(resource, object.metadata);
            }
            Event::InitDone => {
                let objects: Vec<_> = {
                    let graph = self.graph.lock();
                    let of_kind = graph.objects.iter().filter(|(_, vertex)| vertex.resource == *resource);
                    of_kind.map(|(uid, _)| uid.clone()).filter(|uid| !listed.contains(uid)).collect()
                };
                objects.iter().for_each(|uid| self.gone(uid));
            }
            Event::Apply(object) => self.put(resource, object.metadata),
            Event::Delete(object) => self.gone(object.metadata.uid.as_deref().unwrap_or_default()),
        }
    }

    fn put(&self, resource: &Arc<ApiResource>, meta: ObjectMeta) {
        let Some(uid) = meta.uid else { return };
        let vertex = Vertex {
            resource: resource.clone(),
            key: Key::new(meta.namespace.unwrap_or_default(), meta.name.unwrap_or_default()),
            owners: meta.owner_references.unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            finalizers: meta.finalizers.unwrap_or_default(),
        };
        let interesting = !vertex.owners.is_empty() || vertex.deleting;
        self.graph.lock().put(uid.clone(), vertex);
        if interesting {
            self.queue.add(uid_key(uid));
        }
    }

    fn gone(&self, uid: &str) {
        let mut graph = self.graph.lock();
        let removed = graph.remove(uid);
        let mut touched = graph.dependents(uid);
        // A foreground deletion of the owner may have waited for this one.
        touched.extend(removed.into_iter().flat_map(|vertex| vertex.owners).map(|owner| owner.uid));
        drop(graph);
        self.queue.add_all(touched.into_iter().map(uid_key));
    }

    async fn reconcile(&self, uid: &str) -> Result<(), Error> {
        let Some(vertex) = self.graph.lock().objects.get(uid).cloned() else { return Ok(()) };
        if vertex.deleting {
            return self.finish_deletion(uid, &vertex).await;
        }
        if vertex.owners.is_empty() {
            return Ok(());
        }
        for owner in &vertex.owners {
            if self.owner_lives(owner, &vertex).await? {
                return Ok(());
            }
        }
        tracing::debug!(namespace = vertex.key.namespace, name = vertex.key.name, "owner is gone, deleting dependent");
        self.delete(uid, &vertex, DeleteParams::background()).await
    }

    /// The graph knows most owners; for one it does not know, the API is asked before anything is deleted.
    async fn owner_lives(&self, owner: &OwnerReference, dependent: &Vertex) -> Result<bool, Error> {
        let known = self
            .graph
            .lock()
            .objects
            .get(&owner.uid)
            .map(|held| held.deleting && held.finalizers.iter().any(|f| f == FOREGROUND));
        if let Some(foreground) = known {
            // An owner deleted in the foreground waits for this dependent to go first.
            return Ok(!foreground);
        }
        let Some(resource) = self.resource_of(owner) else {
            let discovery = Discovery::new(self.client.clone()).run_aggregated().await?;
            let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
            let gvk = kube::core::GroupVersionKind::gvk(group, version, &owner.kind);
            let Some((resource, _)) = discovery.resolve_gvk(&gvk) else {
                // Of a kind this API does not serve nothing can be said, and nothing is deleted on a guess.
                return Ok(true);
            };
            return self.exists(&resource, owner, dependent).await;
        };
        self.exists(&resource, owner, dependent).await
    }

    fn resource_of(&self, owner: &OwnerReference) -> Option<ApiResource> {
        let graph = self.graph.lock();
        let same =
            |vertex: &&Vertex| vertex.resource.kind == owner.kind && vertex.resource.api_version == owner.api_version;
        graph.objects.values().find(same).map(|vertex| (*vertex.resource).clone())
    }

    async fn exists(&self, resource: &ApiResource, owner: &OwnerReference, dependent: &Vertex) -> Result<bool, Error> {
        let namespaced = !dependent.key.namespace.is_empty();
        let mut scopes = vec![Api::<DynamicObject>::all_with(self.client.clone(), resource)];
        if namespaced {
            scopes.insert(0, Api::namespaced_with(self.client.clone(), &dependent.key.namespace, resource));
        }
        for api in scopes {
            // The wrong scope is a wrong path, which answers 404 (or 405) like a missing object.
            match api.get_metadata(&owner.name).await {
                Ok(found) if found.metadata.uid.as_deref() == Some(&owner.uid) => return Ok(true),
                Ok(_) => {}
                Err(error) if Error::from_api(&error, 404) || Error::from_api(&error, 405) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    async fn finish_deletion(&self, uid: &str, vertex: &Vertex) -> Result<(), Error> {
        let dependents: Vec<_> = {
            let graph = self.graph.lock();
            let uids = graph.dependents(uid);
            uids.into_iter().filter_map(|uid| graph.objects.get(&uid).cloned().map(|vertex| (uid, vertex))).collect()
        };
        if vertex.finalizers.iter().any(|finalizer| finalizer == ORPHAN) {
            for (dependent_uid, dependent) in &dependents {
                self.disown(uid, dependent_uid, dependent).await?;
            }
            return self.drop_finalizer(uid, vertex, ORPHAN).await;
        }
        if vertex.finalizers.iter().any(|finalizer| finalizer == FOREGROUND) {
            for (uid, dependent) in dependents.iter().filter(|(_, dependent)| !dependent.deleting) {
                self.delete(uid, dependent, DeleteParams::foreground()).await?;
            }
            if dependents.is_empty() {
                self.drop_finalizer(uid, vertex, FOREGROUND).await?;
            }
        }
        Ok(())
    }

    fn api(&self, vertex: &Vertex) -> Api<DynamicObject> {
        match vertex.key.namespace.as_str() {
            "" => Api::all_with(self.client.clone(), &*vertex.resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &*vertex.resource),
        }
    }

    async fn delete(&self, uid: &str, vertex: &Vertex, mut params: DeleteParams) -> Result<(), Error> {
        params.preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        match self.api(vertex).delete(&vertex.key.name, &params).await {
            Err(error) if !Error::from_api(&error, 404) && !Error::from_api(&error, 409) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn disown(&self, owner: &str, uid: &str, dependent: &Vertex) -> Result<(), Error> {
        let left: Vec<_> = dependent.owners.iter().filter(|reference| reference.uid != owner).collect();
        self.patch(dependent, json!({"metadata": {"uid": uid, "ownerReferences": left}})).await
    }

    async fn drop_finalizer(&self, uid: &str, vertex: &Vertex, name: &str) -> Result<(), Error> {
        let left: Vec<_> = vertex.finalizers.iter().filter(|finalizer| *finalizer != name).collect();
        self.patch(vertex, json!({"metadata": {"uid": uid, "finalizers": left}})).await
    }

    async fn patch(&self, vertex: &Vertex, patch: serde_json::Value) -> Result<(), Error> {
        match self.api(vertex).patch_metadata(&vertex.key.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Err(error) if !Error::from_api(&error, 404) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

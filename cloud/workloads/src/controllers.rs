//! Which controller looks at what: the caches, the queues, and what each change puts into them.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use edgeward_control::{self as control, Cache, Error, Key, Recorder, Seen, WorkQueue, controller_of};
use edgeward_service::Tasks;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::garbage::Collector;
use crate::nodes::Heartbeats;
use crate::scheduler::{self, Assumed};
use crate::{Options, accounts, daemonsets, deployments, endpoints, eviction, namespaces, nodes, pods, replicasets};

/// What all controllers share.
pub(crate) struct Context {
    pub client: Client,
    pub options: Options,
    pub events: Recorder,
    pub pods: Cache<Pod>,
    pub nodes: Cache<Node>,
    pub leases: Cache<Lease>,
    pub deployments: Cache<Deployment>,
    pub replica_sets: Cache<ReplicaSet>,
    pub daemon_sets: Cache<DaemonSet>,
    pub services: Cache<Service>,
    pub slices: Cache<EndpointSlice>,
    pub namespaces: Cache<Namespace>,
    pub accounts: Cache<ServiceAccount>,
    pub heartbeats: Heartbeats,
    pub assumed: Assumed,
    pub evictions: WorkQueue,
}

/// The running controllers.
#[derive(Clone)]
pub struct Handle {
    context: Arc<Context>,
}

impl Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("synced", &self.is_synced()).finish()
    }
}

impl Handle {
    /// Whether the controllers have seen the cluster once; until then they delete nothing.
    pub fn is_synced(&self) -> bool {
        let context = &self.context;
        context.pods.is_listed() && context.nodes.is_listed() && context.replica_sets.is_listed()
    }
}

#[derive(Clone, Default)]
struct Queues {
    scheduler: WorkQueue,
    deployments: WorkQueue,
    replica_sets: WorkQueue,
    daemon_sets: WorkQueue,
    nodes: WorkQueue,
    evictions: WorkQueue,
    services: WorkQueue,
    accounts: WorkQueue,
    namespaces: WorkQueue,
}

fn no_index<K>(_: &K) -> Vec<String> {
    Vec::new()
}

pub(crate) fn start(client: Client, options: Options, tasks: &Tasks) -> Handle {
    let queues = Queues::default();
    let context = Arc::new(Context {
        events: Recorder::new(client.clone(), "edgeward"),
        client: client.clone(),
        options,
        pods: Cache::new(pods::index),
        nodes: Cache::new(no_index),
        leases: Cache::new(no_index),
        deployments: Cache::new(no_index),
        replica_sets: Cache::new(no_index),
        daemon_sets: Cache::new(no_index),
        services: Cache::new(no_index),
        slices: Cache::new(no_index),
        namespaces: Cache::new(no_index),
        accounts: Cache::new(no_index),
        heartbeats: Heartbeats::default(),
        assumed: Assumed::default(),
        evictions: queues.evictions.clone(),
    });
    watch_all(&context, &queues, tasks);
    run_all(&context, &queues, tasks);
    let collector = Collector::start(client.clone(), tasks);
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    control::keep(definitions, Cache::new(no_index), tasks, move |seen| {
        if let Seen::Changed { now, .. } = seen {
            collector.kinds_changed(now);
        }
    });
    Handle { context }
}

fn run_all(context: &Arc<Context>, queues: &Queues, tasks: &Tasks) {
    run(&queues.scheduler, "scheduler", context, tasks, scheduler::reconcile);
    run(&queues.deployments, "deployments", context, tasks, deployments::reconcile);
    run(&queues.replica_sets, "replicasets", context, tasks, replicasets::reconcile);
    run(&queues.daemon_sets, "daemonsets", context, tasks, daemonsets::reconcile);
    run(&queues.nodes, "nodes", context, tasks, nodes::reconcile);
    run(&queues.evictions, "eviction", context, tasks, eviction::reconcile);
    run(&queues.services, "endpoints", context, tasks, endpoints::reconcile);
    run(&queues.accounts, "accounts", context, tasks, accounts::reconcile);
    run(&queues.namespaces, "namespaces", context, tasks, namespaces::reconcile);
}

fn run<F, R>(queue: &WorkQueue, name: &'static str, context: &Arc<Context>, tasks: &Tasks, reconcile: F)
where
    F: Fn(Arc<Context>, Key) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Option<Duration>, Error>> + Send + 'static,
{
    let context = context.clone();
    queue.run(name, tasks, move |key| reconcile(context.clone(), key));
}

fn watch_all(context: &Arc<Context>, queues: &Queues, tasks: &Tasks) {
    watch_pods(context, queues, tasks);
    watch_nodes(context, queues, tasks);
    watch_sets(context, queues, tasks);
    let services = queues.services.clone();
    watch_own(context, &context.services, &services, tasks);
    let owned = services.clone();
    keep(context, &context.slices, tasks, move |seen| {
        // A slice somebody deleted by hand is made again.
        if let Seen::Gone(slice) = seen {
            owned.add_all(owner_key(&**slice, "Service"));
        }
    });
    let (accounts, emptied) = (queues.accounts.clone(), queues.namespaces.clone());
    let held = context.namespaces.clone();
    keep(context, &context.namespaces, tasks, move |seen| {
        let keys = match seen {
            Seen::Changed { now, .. } => vec![Key::of(&**now)],
            Seen::Gone(_) => vec![],
            Seen::Relisted => held.keys(),
        };
        accounts.add_all(keys.clone());
        emptied.add_all(keys);
    });
    let (accounts, namespaces) = (queues.accounts.clone(), context.namespaces.clone());
    keep(context, &context.accounts, tasks, move |seen| match seen {
        Seen::Gone(account) => accounts.add(Key::new("", account.metadata.namespace.clone().unwrap_or_default())),
        Seen::Relisted => accounts.add_all(namespaces.keys()),
        Seen::Changed { .. } => {}
    });
}

fn keep<K, F>(context: &Arc<Context>, cache: &Cache<K>, tasks: &Tasks, notify: F)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    F: Fn(Seen<'_, K>) + Send + 'static,
{
    control::keep(Api::all(context.client.clone()), cache.clone(), tasks, notify);
}

/// A kind whose own changes are all that its controller needs to hear of from this watch.
fn watch_own<K>(context: &Arc<Context>, cache: &Cache<K>, queue: &WorkQueue, tasks: &Tasks)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (queue, held) = (queue.clone(), cache.clone());
    keep(context, cache, tasks, move |seen| match seen {
        Seen::Changed { now, .. } => queue.add(Key::of(&**now)),
        Seen::Gone(object) => queue.add(Key::of(&**object)),
        Seen::Relisted => queue.add_all(held.keys()),
    });
}

/// The key of the object's controller when it is of that kind.
fn owner_key<K: Resource>(object: &K, kind: &str) -> Option<Key> {
    let owner = controller_of(object).filter(|owner| owner.kind == kind)?;
    Some(Key::new(object.meta().namespace.clone().unwrap_or_default(), &owner.name))
}

fn watch_sets(context: &Arc<Context>, queues: &Queues, tasks: &Tasks) {
    watch_own(context, &context.deployments, &queues.deployments, tasks);
    watch_own(context, &context.daemon_sets, &queues.daemon_sets, tasks);
    let (sets, deployments) = (queues.replica_sets.clone(), queues.deployments.clone());
    let held = context.replica_sets.clone();
    keep(context, &context.replica_sets, tasks, move |seen| match seen {
        Seen::Changed { now, .. } => {
            sets.add(Key::of(&**now));
            deployments.add_all(owner_key(&**now, "Deployment"));
        }
        Seen::Gone(set) => deployments.add_all(owner_key(&**set, "Deployment")),
        Seen::Relisted => {
            sets.add_all(held.keys());
            deployments.add_all(held.all().iter().filter_map(|set| owner_key(&**set, "Deployment")));
        }
    });
}

fn watch_pods(context: &Arc<Context>, queues: &Queues, tasks: &Tasks) {
    let (shared, queues) = (context.clone(), queues.clone());
    keep(context, &context.pods, tasks, move |seen| match seen {
        Seen::Changed { before, now } => {
            shared.touch(now, &queues);
            // Labels that changed may have taken it out of a Service it was in.
            if let Some(before) = before.filter(|before| before.metadata.labels != now.metadata.labels) {
                queues.services.add_all(shared.services_of(&before));
            }
        }
        Seen::Gone(pod) => {
            shared.assumed.settle(&Key::of(&**pod));
            shared.touch(pod, &queues);
            queues.namespaces.add(namespaces::of_pod(pod));
            queues.scheduler.add_all(shared.waiting());
        }
        Seen::Relisted => {
            queues.scheduler.add_all(shared.waiting());
            queues.deployments.add_all(shared.deployments.keys());
            queues.replica_sets.add_all(shared.replica_sets.keys());
            queues.daemon_sets.add_all(shared.daemon_sets.keys());
            queues.services.add_all(shared.services.keys());
            queues.evictions.add_all(shared.pods.keys());
        }
    });
}

fn watch_nodes(context: &Arc<Context>, queues: &Queues, tasks: &Tasks) {
    let (shared, changed) = (context.clone(), queues.clone());
    keep(context, &context.nodes, tasks, move |seen| {
        match seen {
            Seen::Changed { before, now } => {
                changed.nodes.add(Key::of(&**now));
                if before.is_some_and(|before| !shared.matters_to_placement(&before, now)) {
                    return;
                }
            }
            Seen::Gone(node) => changed.nodes.add(Key::of(&**node)),
            Seen::Relisted => changed.nodes.add_all(shared.nodes.keys()),
        }
        changed.scheduler.add_all(shared.waiting());
        changed.daemon_sets.add_all(shared.daemon_sets.keys());
        changed.services.add_all(shared.services.keys());
        changed.evictions.add_all(shared.pods.keys());
    });
    let (nodes, leases) = (queues.nodes.clone(), context.leases.clone());
    let api: Api<Lease> = Api::namespaced(context.client.clone(), nodes::LEASES);
    control::keep(api, context.leases.clone(), tasks, move |seen| match seen {
        Seen::Changed { now, .. } => nodes.add(Key::new("", now.metadata.name.clone().unwrap_or_default())),
        Seen::Gone(_) => {}
        Seen::Relisted => nodes.add_all(leases.keys().into_iter().map(|key| Key::new("", key.name))),
    });
}

impl Context {
    /// Puts a pod's change before everybody it may concern.
    fn touch(&self, pod: &Pod, queues: &Queues) {
        let key = Key::of(pod);
        if pods::node_name(pod).is_some() {
            self.assumed.settle(&key);
            queues.evictions.add(key);
        } else if scheduler::wants_node(pod) {
            queues.scheduler.add(key);
        }
        if let Some(owner) = owner_key(pod, "ReplicaSet") {
            // A Deployment that recreates waits for the last old pod to go.
            let set = self.replica_sets.get(&owner);
            queues.deployments.add_all(set.and_then(|set| owner_key(&*set, "Deployment")));
            queues.replica_sets.add(owner);
        }
        queues.daemon_sets.add_all(owner_key(pod, "DaemonSet"));
        queues.services.add_all(self.services_of(pod));
    }

    fn services_of(&self, pod: &Pod) -> Vec<Key> {
        let services = self.services.in_namespace(pod.metadata.namespace.as_deref().unwrap_or_default());
        let labels = pods::labels(pod);
        let selected = services.iter().filter(|service| {
            let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            selector.is_some_and(|s| !s.is_empty() && s.iter().all(|(name, value)| labels.get(name) == Some(value)))
        });
        selected.map(|service| Key::of(&**service)).collect()
    }

    /// Pods without a node.
    fn waiting(&self) -> Vec<Key> {
        self.pods.all().iter().filter(|pod| scheduler::wants_node(pod)).map(|pod| Key::of(&**pod)).collect()
    }

    /// Heartbeats change a node all the time; only some changes concern anybody but the node controller.
    fn matters_to_placement(&self, before: &Node, now: &Node) -> bool {
        let resources = |node: &Node| node.status.as_ref().and_then(|status| status.allocatable.clone());
        before.spec != now.spec
            || before.metadata.labels != now.metadata.labels
            || before.metadata.annotations != now.metadata.annotations
            || resources(before) != resources(now)
            || nodes::ready_status(before) != nodes::ready_status(now)
    }
}

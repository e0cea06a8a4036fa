//! OpenYurt's pools: NodePool, YurtAppSet (v1alpha1 and v1beta1) and UnitedDeployment.
//!
//! A pool is a set of nodes; a set makes one workload per pool. Both are ordinary controllers on [`kube::Client`], so
//! they run as well on somebody else's cluster. This room knows nothing of the link: autonomy during an outage is what
//! eviction and endpoints in `edgeward-workloads` make of the annotations that this room hands down.

mod child;
mod kinds;
mod nodepool;
mod plan;
mod sets;

use std::sync::Arc;
use std::time::Duration;

use edgeward_control::{Cache, Error, Key, Recorder, Seen, WorkQueue, controller_of, keep};
use edgeward_service::Tasks;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::api::DynamicObject;
use kube::{Api, Client};

/// What the controllers of this room share.
struct Context {
    client: Client,
    events: Recorder,
    nodes: Cache<Node>,
    pools: Cache<DynamicObject>,
    united: Cache<DynamicObject>,
    app_sets: Cache<DynamicObject>,
    deployments: Cache<Deployment>,
}

#[derive(Clone, Default)]
struct Queues {
    pools: WorkQueue,
    united: WorkQueue,
    app_sets: WorkQueue,
}

/// Index term of a Deployment: the uid of the set that made it.
fn by_controller(deployment: &Deployment) -> Vec<String> {
    controller_of(deployment).map(|owner| owner.uid.clone()).into_iter().collect()
}

fn no_index<K>(_: &K) -> Vec<String> {
    Vec::new()
}

/// Starts the pool controllers under `tasks`; they run until it is cancelled.
pub fn start(client: Client, tasks: &Tasks) {
    let tasks = tasks.child("pools");
    let queues = Queues::default();
    let context = Arc::new(Context {
        events: Recorder::new(client.clone(), "edgeward-pools"),
        client,
        nodes: Cache::new(no_index),
        pools: Cache::new(no_index),
        united: Cache::new(no_index),
        app_sets: Cache::new(no_index),
        deployments: Cache::new(by_controller),
    });
    watch(&context, &queues, &tasks);
    let shared = context.clone();
    queues.pools.run("nodepools", &tasks, move |key| nodepool::reconcile(shared.clone(), key));
    run_sets(&queues.united, &context, kinds::Kind::UnitedDeployment, &tasks);
    run_sets(&queues.app_sets, &context, kinds::Kind::YurtAppSet, &tasks);
}

fn run_sets(queue: &WorkQueue, context: &Arc<Context>, kind: kinds::Kind, tasks: &Tasks) {
    let context = context.clone();
    queue.run("pool sets", tasks, move |key| reconcile_set(context.clone(), kind, key));
}

async fn reconcile_set(context: Arc<Context>, kind: kinds::Kind, key: Key) -> Result<Option<Duration>, Error> {
    if !context.deployments.is_listed() || !context.pools.is_listed() {
        return Ok(Some(Duration::from_millis(50)));
    }
    sets::reconcile(&context, kind, &key).await.map(|()| None)
}

fn watch(context: &Arc<Context>, queues: &Queues, tasks: &Tasks) {
    let (pools, held) = (queues.pools.clone(), context.pools.clone());
    // A node's heartbeat is not a pool's business; its labels and its readiness are.
    keep(Api::<Node>::all(context.client.clone()), context.nodes.clone(), tasks, move |seen| {
        let concerned = match seen {
            Seen::Changed { before, now } => before.is_none_or(|before| nodepool::differs(&before, now)),
            Seen::Gone(_) | Seen::Relisted => true,
        };
        if concerned {
            pools.add_all(held.keys());
        }
    });
    let (changed, sets) = (queues.pools.clone(), queues.app_sets.clone());
    let (held, held_sets) = (context.pools.clone(), context.app_sets.clone());
    keep(kinds::node_pools(&context.client), context.pools.clone(), tasks, move |seen| {
        match seen {
            Seen::Changed { now, .. } => changed.add(Key::of(&**now)),
            Seen::Gone(_) => {}
            Seen::Relisted => changed.add_all(held.keys()),
        }
        // v1beta1 sets choose pools by label.
        sets.add_all(held_sets.keys());
    });
    watch_sets(&context.united, &queues.united, kinds::Kind::UnitedDeployment, context, tasks);
    watch_sets(&context.app_sets, &queues.app_sets, kinds::Kind::YurtAppSet, context, tasks);
    let (united, app_sets) = (queues.united.clone(), queues.app_sets.clone());
    let deployments = context.deployments.clone();
    keep(Api::<Deployment>::all(context.client.clone()), context.deployments.clone(), tasks, move |seen| {
        let changed: Vec<Arc<Deployment>> = match seen {
            Seen::Changed { now, .. } => vec![now.clone()],
            Seen::Gone(deployment) => vec![deployment.clone()],
            Seen::Relisted => deployments.all(),
        };
        for deployment in changed {
            let Some(owner) = controller_of(&*deployment) else { continue };
            let key = Key::new(deployment.metadata.namespace.clone().unwrap_or_default(), &owner.name);
            match owner.kind.as_str() {
                "UnitedDeployment" => united.add(key),
                "YurtAppSet" => app_sets.add(key),
                _ => {}
            }
        }
    });
}

fn watch_sets(cache: &Cache<DynamicObject>, queue: &WorkQueue, kind: kinds::Kind, context: &Context, tasks: &Tasks) {
    let (queue, held) = (queue.clone(), cache.clone());
    keep(kind.all(&context.client), cache.clone(), tasks, move |seen| match seen {
        Seen::Changed { now, .. } => queue.add(Key::of(&**now)),
        // What a deleted set made goes with it, by owner reference.
        Seen::Gone(_) => {}
        Seen::Relisted => queue.add_all(held.keys()),
    });
}

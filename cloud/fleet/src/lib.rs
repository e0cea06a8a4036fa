//! Devices in the cloud: which node each belongs to, what they report, and what `kubectl get devices` shows of it.
//!
//! An ordinary controller on [`kube::Client`]. The hub sends documents down by itself (it watches Devices and
//! DeviceModels and finds a device's node in `spec.nodeName` or in the annotation this room writes); this room takes
//! what comes up through [`edgeward_hub::DeviceUplink`].
//!
//! - [`placement`]: a v1alpha2 device with a `nodeSelector` gets a node, and keeps it while it matches.
//! - [`report`], [`writer`]: reports go into the DeviceStatus object, as in KubeEdge, at once, one write in flight per
//!   device; what comes meanwhile is merged.
//! - [`mirror`]: the same for people in the Device itself (`status.twins`, `state`, `lastOnlineTime`, `values`,
//!   `nodeName`, `conditions`), about once a second at most.
//!
//! Invariant: the newest report of a property wins; equal values cost no write.
//!
//! # Differences from KubeEdge 1.23
//! - The first report of a property fills its twin. KubeEdge writes an empty twin first.
//! - Equal values are not written again; a property that was deleted on the node leaves the DeviceStatus.
//! - `lastOnlineTime` stays when a device goes offline.
//! - The Device's own `status` is filled too, and v1alpha2 devices are placed.

mod document;
mod kinds;
mod metrics;
mod mirror;
mod placement;
mod report;
mod status;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use edgeward_control::{Cache, Key, Seen, WorkQueue, keep};
use edgeward_hub::{DeviceUplink, HandlerError};
use edgeward_service::Tasks;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Node;
use kube::api::DynamicObject;
use kube::{Api, Client};

use report::Update;
use writer::Writer;

/// How the fleet runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Device's own status follows its reports at most this often.
    pub mirror_interval: Duration,
    /// DeviceStatus writes in flight at once.
    pub writes_in_flight: usize,
    /// Length of `status.values` in characters.
    pub values_chars: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { mirror_interval: Duration::from_secs(1), writes_in_flight: 64, values_chars: 120 }
    }
}

/// What the parts of this room share.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) options: Options,
    pub(crate) devices: Cache<DynamicObject>,
    pub(crate) models: Cache<DynamicObject>,
    pub(crate) statuses: Cache<DynamicObject>,
    pub(crate) nodes: Cache<Node>,
    /// Devices whose placement or own status is to be looked at.
    pub(crate) queue: WorkQueue,
}

/// Takes reports; give it to the hub. Clones are the same fleet.
#[derive(Clone)]
pub struct Fleet {
    writer: Arc<Writer>,
}

impl Fleet {
    /// Starts watching and placing under `tasks`.
    pub fn start(client: Client, options: Options, tasks: &Tasks) -> Self {
        let tasks = tasks.child("fleet");
        let context = Arc::new(Context {
            client,
            options,
            devices: Cache::new(document::index),
            models: Cache::new(|_| Vec::new()),
            statuses: Cache::new(|_| Vec::new()),
            nodes: Cache::new(|_| Vec::new()),
            queue: WorkQueue::default(),
        });
        watch(&context, &tasks);
        let mirror = Arc::new(mirror::Mirror::new(context.clone()));
        context.queue.run("devices", &tasks, move |key| {
            let mirror = mirror.clone();
            async move { mirror.reconcile(&key).await }
        });
        Self { writer: Arc::new(Writer::new(context, tasks)) }
    }
}

fn watch(context: &Arc<Context>, tasks: &Tasks) {
    let (queue, devices) = (context.queue.clone(), context.devices.clone());
    keep(kinds::devices(&context.client), context.devices.clone(), tasks, move |seen| match seen {
        Seen::Changed { now, .. } => queue.add(Key::of(&**now)),
        Seen::Gone(device) => queue.add(Key::of(&**device)),
        Seen::Relisted => queue.add_all(devices.keys()),
    });
    let (queue, devices) = (context.queue.clone(), context.devices.clone());
    keep(kinds::models(&context.client), context.models.clone(), tasks, move |seen| match seen {
        Seen::Changed { before: None, now: model } | Seen::Gone(model) => {
            let users = devices.find(&document::model_term(&Key::of(&**model)));
            queue.add_all(users.iter().map(|device| Key::of(&**device)));
        }
        Seen::Changed { .. } => {}
        Seen::Relisted => queue.add_all(devices.keys()),
    });
    let (queue, devices) = (context.queue.clone(), context.devices.clone());
    keep(kinds::statuses(&context.client), context.statuses.clone(), tasks, move |seen| match seen {
        Seen::Changed { .. } => {}
        // Somebody deleted it, or it belonged to a device of the same name before.
        Seen::Gone(status) => queue.add(Key::of(&**status)),
        Seen::Relisted => queue.add_all(devices.keys()),
    });
    let (queue, devices) = (context.queue.clone(), context.devices.clone());
    keep(Api::<Node>::all(context.client.clone()), context.nodes.clone(), tasks, move |seen| {
        // A heartbeat moves no device.
        let concerned = match seen {
            Seen::Changed { before, now } => before.is_none_or(|before| before.metadata.labels != now.metadata.labels),
            Seen::Gone(_) | Seen::Relisted => true,
        };
        if concerned {
            queue.add_all(devices.keys());
        }
    });
}

impl DeviceUplink for Fleet {
    fn twin_update<'a>(
        &'a self,
        _node: &'a str,
        namespace: &'a str,
        device: &'a str,
        content: &'a str,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(async move { self.writer.submit(Key::new(namespace, device), Update::parse_twins(content)?).await })
    }

    fn state_update<'a>(
        &'a self,
        _node: &'a str,
        namespace: &'a str,
        device: &'a str,
        content: &'a str,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(async move { self.writer.submit(Key::new(namespace, device), Update::parse_state(content)?).await })
    }
}

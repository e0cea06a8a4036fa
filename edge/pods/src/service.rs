//! The service: pods in, containers and statuses out.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Backoff, Counter, Gauge, Tasks};
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, oneshot, watch};

use crate::containerd::Containerd;
use crate::context::Context;
use crate::cri::{self, Cri, Labels};
use crate::logs::{self, LogOptions, LogStream};
use crate::spec::labels;
use crate::worker::{Desired, Ending, Worker, WorkerHandle, remove_pod};
use crate::{Change, Error, NodeApi, Options, PodKey, cgroups, files, images, network, pod, volumes};

static PODS: Gauge = Gauge::new("edgeward_pods_running", "pods this node looks after");
static RUNTIME_LOST: Counter =
    Counter::new("edgeward_pods_runtime_lost_total", "times the connection to the container runtime was lost");

/// The pod service of a node.
#[derive(Debug)]
pub struct Pods;

/// Cheap, cloneable access to the running service.
#[derive(Clone)]
pub struct Handle {
    context: Arc<Context>,
    stop: mpsc::Sender<oneshot::Sender<Result<(), Error>>>,
}

impl Pods {
    /// Starts containerd if needed, imports image archives and begins to run the pods that `api` names, under `tasks`.
    /// Returns once containers can be run. Fails with one clear line when containerd is missing or does not answer.
    pub async fn start(options: Options, api: Arc<dyn NodeApi>, tasks: &Tasks) -> Result<Handle, Error> {
        let tasks = tasks.child("pods");
        for folder in [&options.data_dir, &options.run_dir, &options.log_dir] {
            files::create_dir(folder, 0o755)?;
        }
        network::configure(&options)?;
        let containerd = Containerd::new(&options);
        let cri = Cri::new(&containerd.socket())?;
        containerd.ensure(&cri).await?;
        images::import_all(&options, &containerd, &cri).await?;
        let context = Arc::new(Context::new(options, api, cri));
        context.look_for_trouble().await;
        let (stop, stops) = mpsc::channel(1);
        let watcher = watch_runtime(context.clone(), containerd.clone());
        tasks.spawn_until_cancelled("runtime-events", watcher);
        tasks.spawn_until_cancelled("log-rotation", logs::rotate(context.clone()));
        let workers = tasks.child("workers");
        let manager =
            Manager { context: context.clone(), containerd, tasks: tasks.clone(), workers, pods: HashMap::new() };
        tasks.spawn("manager", manager.run(stops));
        Ok(Handle { context, stop })
    }
}

impl Handle {
    /// The log of a container. `container` may be empty for a pod with one container. Fails with [`Error::NotFound`]
    /// if there is no such pod, container or log.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: LogOptions,
    ) -> Result<LogStream, Error> {
        logs::find(&self.context, namespace, pod, container, options).await
    }

    /// The container runtime: `containerd://1.6.20`, as in `status.nodeInfo.containerRuntimeVersion`.
    pub async fn runtime_version(&self) -> Result<String, Error> {
        self.context.cri.version().await
    }

    /// Why the runtime cannot run pods; `None` while it can.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.context.trouble.subscribe()
    }

    /// Removes every pod of this node from the runtime, with networks, mounts, cgroups and packet filter rules. Nothing
    /// is told to the API. Pods that are still desired come back when the service is started again.
    pub async fn stop_pods(&self) -> Result<(), Error> {
        let (done, result) = oneshot::channel();
        self.stop.send(done).await.map_err(|_| Error::Stopped)?;
        result.await.map_err(|_| Error::Stopped)?
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("node", &self.context.options.node_name).finish_non_exhaustive()
    }
}

/// Keeps a worker for each desired pod.
struct Manager {
    context: Arc<Context>,
    containerd: Containerd,
    tasks: Tasks,
    workers: Tasks,
    pods: HashMap<String, WorkerHandle>,
}

/// Most time a pod gets to end when the whole node is emptied.
const STOP_GRACE: Duration = Duration::from_secs(5);

impl Manager {
    async fn run(mut self, mut stops: mpsc::Receiver<oneshot::Sender<Result<(), Error>>>) {
        let mut changes: BoxStream<'static, Change> = self.context.api.watch();
        let (ended, mut ends) = mpsc::channel::<String>(64);
        let tasks = self.tasks.clone();
        loop {
            tokio::select! {
                () = tasks.cancelled() => break,
                change = changes.next() => match change {
                    Some(change) => self.apply(change, &ended).await,
                    None => break,
                },
                Some(uid) = ends.recv() => self.forget(&uid),
                Some(done) = stops.recv() => {
                    let _ = done.send(self.empty_node().await);
                }
            }
        }
        tasks.cancelled().await;
        if !self.context.options.stop_pods {
            return self.containerd.stop().await;
        }
        let emptied = self.empty_node().await;
        self.containerd.stop().await;
        match emptied {
            Ok(()) => self.remove_run_dir(),
            Err(error) => tracing::error!(%error, "cannot remove all pods"),
        }
    }

    /// An emptied node needs nothing of what its containerd and its network kept for this boot.
    fn remove_run_dir(&self) {
        let run_dir = &self.context.options.run_dir;
        if let Err(error) = std::fs::remove_dir_all(run_dir) {
            tracing::warn!(folder = %run_dir.display(), %error, "cannot remove the node's folder");
        }
        // The folder that all nodes of a machine share goes with the last of them.
        let _ = run_dir.parent().map(std::fs::remove_dir);
    }

    async fn apply(&mut self, change: Change, ended: &mpsc::Sender<String>) {
        match change {
            Change::Pod(pod) => self.desire(pod, ended),
            Change::PodGone(key) => self.gone(&key),
            Change::Synced => self.remove_unknown().await,
            Change::ConfigMap { namespace, name } => self.wake_users(&namespace, &name, false),
            Change::Secret { namespace, name } => self.wake_users(&namespace, &name, true),
        }
        PODS.set(i64::try_from(self.pods.len()).unwrap_or(i64::MAX));
    }

    fn desire(&mut self, pod: Arc<Pod>, ended: &mpsc::Sender<String>) {
        let uid = pod::key(&pod).uid;
        if !is_plain_uid(&uid) {
            tracing::warn!(uid, "pod without a usable uid is left out");
            return;
        }
        if let Some(worker) = self.pods.get(&uid) {
            worker.desired.send_if_modified(|desired| {
                let matters = asks_for_more(&desired.pod, &pod);
                desired.pod = pod;
                matters
            });
            return;
        }
        self.spawn(uid, Desired { pod, gone: false }, ended);
    }

    fn spawn(&mut self, uid: String, desired: Desired, ended: &mpsc::Sender<String>) {
        let tasks = self.workers.child(uid.clone());
        let (worker, handle) = Worker::new(self.context.clone(), desired, &tasks);
        let (ended, name) = (ended.clone(), uid.clone());
        tasks.spawn_until_cancelled("worker", async move {
            worker.run().await;
            // Fails only when the manager is gone too.
            let _ = ended.send(name).await;
        });
        self.pods.insert(uid, handle);
    }

    fn gone(&mut self, key: &PodKey) {
        if let Some(worker) = self.pods.get(&key.uid) {
            worker.desired.send_modify(|desired| desired.gone = true);
        }
    }

    fn forget(&mut self, uid: &str) {
        self.pods.remove(uid);
        PODS.set(i64::try_from(self.pods.len()).unwrap_or(i64::MAX));
    }

    fn wake_users(&self, namespace: &str, name: &str, is_secret: bool) {
        let users = self.pods.values().filter(|worker| worker.uses(namespace, name, is_secret));
        users.for_each(|worker| worker.wake.notify_one());
    }

    /// Removes what runs here and was not named by the API.
    async fn remove_unknown(&self) {
        let mut known = pods_in_runtime(&self.context).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot look for pods of the past");
            Vec::new()
        });
        let in_runtime: HashSet<String> = known.iter().map(|key| key.uid.clone()).collect();
        let on_disk = volumes::uids(&self.context.options).into_iter().filter(|uid| !in_runtime.contains(uid));
        known.extend(on_disk.map(|uid| PodKey { namespace: String::new(), name: String::new(), uid }));
        for key in known.into_iter().filter(|key| !self.pods.contains_key(&key.uid)) {
            let context = self.context.clone();
            self.workers.spawn_until_cancelled("remove-unknown", async move {
                tracing::info!(namespace = key.namespace, pod = key.name, "removing a pod that is no longer desired");
                if let Err(error) = remove_pod(&context, &key, None, Ending { grace: Duration::from_secs(30) }).await {
                    tracing::warn!(namespace = key.namespace, pod = key.name, %error, "cannot remove pod");
                }
            });
        }
    }

    async fn empty_node(&mut self) -> Result<(), Error> {
        self.workers.shutdown(Duration::from_secs(10)).await;
        self.workers = self.tasks.child("workers");
        self.pods.clear();
        // What was being made when its worker was dropped may show up late, or may not be removed while it starts.
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for tries_left in (0..10).rev() {
            let left = pods_in_runtime(&self.context).await?;
            if left.is_empty() {
                break;
            }
            let removals = left.iter().map(|key| remove_pod(&self.context, key, None, Ending { grace: STOP_GRACE }));
            let removed = futures::future::join_all(removals).await.into_iter().collect::<Result<(), Error>>();
            if removed.is_err() {
                if tries_left == 0 {
                    return removed;
                }
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
        network::clean_up(&self.context.options).await;
        cgroups::remove_all(&self.context.options)
    }
}

/// Every pod of this node that the runtime knows.
async fn pods_in_runtime(context: &Context) -> Result<Vec<PodKey>, Error> {
    let selector: Labels = [(labels::NODE.to_owned(), context.options.node_name.clone())].into();
    let sandboxes = context.cri.list_sandboxes(selector.clone()).await?.into_iter().map(|sandbox| sandbox.labels);
    let containers = context.cri.list_containers(selector).await?.into_iter().map(|container| container.labels);
    let key = |marks: Labels| {
        let mark = |name: &str| marks.get(name).cloned().unwrap_or_default();
        PodKey { namespace: mark(labels::POD_NAMESPACE), name: mark(labels::POD_NAME), uid: mark(labels::POD_UID) }
    };
    let mut keys: Vec<PodKey> = sandboxes.chain(containers).map(key).collect();
    keys.sort();
    keys.dedup();
    Ok(keys)
}

/// Follows containerd's events, wakes the pods they concern, and brings containerd back when it is gone.
async fn watch_runtime(context: Arc<Context>, containerd: Containerd) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    loop {
        if follow(&context).await {
            backoff.reset();
            RUNTIME_LOST.inc();
            tracing::warn!("the connection to the container runtime was lost");
        }
        tokio::time::sleep(backoff.next_delay()).await;
        if let Err(error) = containerd.ensure(&context.cri).await {
            tracing::error!(%error, "the container runtime is not available");
            context.set_trouble(Some(error.to_string()));
        }
    }
}

/// Wakes the pods whose containers end, until the connection breaks. Tells whether there was one.
async fn follow(context: &Context) -> bool {
    let mut events = pin!(context.cri.subscribe());
    let mut connected = false;
    loop {
        // What ended before the subscription, or was missed, is seen by looking.
        context.ended.wake_all();
        connected |= context.look_for_trouble().await;
        // A runtime that is not ready has no event for becoming so.
        let trouble = context.trouble.borrow().is_some();
        let patience = if trouble { Duration::from_secs(1) } else { context.options.relist_interval };
        loop {
            match tokio::time::timeout(patience, events.next()).await {
                Ok(Some(Ok(envelope))) => {
                    cri::ended_container(&envelope).iter().for_each(|id| context.ended.note(id));
                }
                Ok(Some(Err(_)) | None) => return connected,
                Err(_) => break,
            }
        }
    }
}

/// Whether a new document wants anything of its worker. Our own status comes back with each write and does not.
fn asks_for_more(before: &Pod, now: &Pod) -> bool {
    let (old, new) = (&before.metadata, &now.metadata);
    before.spec != now.spec
        || old.deletion_timestamp != new.deletion_timestamp
        || old.deletion_grace_period_seconds != new.deletion_grace_period_seconds
        || old.labels != new.labels
        || old.annotations != new.annotations
        || (pod::spec(now).readiness_gates.is_some() && before.status != now.status)
}

/// The uid becomes part of paths.
fn is_plain_uid(uid: &str) -> bool {
    (1..=128).contains(&uid.len()) && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

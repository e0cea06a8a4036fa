//! One task for each pod. It looks at what should be and what is, and takes the next steps; every wake-up does the same,
//! so a lost event costs time and never correctness.

mod admission;
mod backoff;
mod ensure;
mod hooks;
mod start;
mod stop;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Backoff, Tasks};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::context::Context;
use crate::probes::Probes;
use crate::references::Names;
use crate::status::{self, Failure, Seen, Waiting};
use crate::{Error, PodKey, pod};
pub(crate) use admission::Admitted;
use backoff::CrashBackoff;
pub(crate) use stop::{Ending, remove_pod};
pub(crate) use view::{ContainerView, View};

/// What a pod should be.
#[derive(Clone, Debug)]
pub(crate) struct Desired {
    pub(crate) pod: Arc<Pod>,
    /// The object is gone; nobody waits for a confirmation.
    pub(crate) gone: bool,
}

impl Desired {
    /// Whether the pod is to end.
    pub(crate) fn must_end(&self) -> bool {
        self.gone || pod::is_deleted(&self.pod)
    }
}

/// The task of one pod.
pub(crate) struct Worker {
    context: Arc<Context>,
    key: PodKey,
    desired: watch::Receiver<Desired>,
    wake: Arc<Notify>,
    probes: Probes,
    /// Why containers wait.
    waiting: BTreeMap<String, Waiting>,
    crashes: HashMap<String, CrashBackoff>,
    /// Back-off of image pulls by image, and when the last one failed.
    pulls: HashMap<String, (CrashBackoff, Instant)>,
    failure: Option<Failure>,
    admitted: bool,
    /// Addresses of the sandbox with this id.
    addresses: (String, Vec<String>),
    /// Last words of ended containers, by container id.
    messages: BTreeMap<String, String>,
    status: PodStatus,
    /// When to look again without being woken.
    again: Option<Instant>,
    errors: Backoff,
}

/// A running worker, seen from outside.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    pub(crate) desired: watch::Sender<Desired>,
    pub(crate) wake: Arc<Notify>,
}

impl WorkerHandle {
    /// Whether the pod uses a ConfigMap or Secret of this name.
    pub(crate) fn uses(&self, namespace: &str, name: &str, is_secret: bool) -> bool {
        let pod = self.desired.borrow().pod.clone();
        let names = Names::of(&pod);
        let names = if is_secret { names.secrets } else { names.config_maps };
        pod::key(&pod).namespace == namespace && names.contains(name)
    }
}

impl Worker {
    pub(crate) fn new(context: Arc<Context>, desired: Desired, tasks: &Tasks) -> (Self, WorkerHandle) {
        let key = pod::key(&desired.pod);
        let status = desired.pod.status.clone().unwrap_or_default();
        let wake = Arc::new(Notify::new());
        let (sender, receiver) = watch::channel(desired);
        let worker = Self {
            probes: Probes::new(context.cri.clone(), tasks.child("probes"), wake.clone()),
            context,
            key,
            desired: receiver,
            wake: wake.clone(),
            waiting: BTreeMap::new(),
            crashes: HashMap::new(),
            pulls: HashMap::new(),
            failure: None,
            admitted: false,
            addresses: (String::new(), Vec::new()),
            messages: BTreeMap::new(),
            status,
            again: None,
            errors: Backoff::new(Duration::from_millis(200), Duration::from_secs(30)),
        };
        (worker, WorkerHandle { desired: sender, wake })
    }

    /// Runs until the pod is gone.
    pub(crate) async fn run(mut self) {
        loop {
            self.again = None;
            let desired = self.desired.borrow_and_update().clone();
            let result = if desired.must_end() { self.end(&desired).await } else { self.live(&desired).await };
            match result {
                Ok(true) => break,
                Ok(false) => self.errors.reset(),
                Err(error) => {
                    tracing::warn!(namespace = self.key.namespace, pod = self.key.name, %error, "pod step failed, trying again");
                    let delay = self.errors.next_delay();
                    self.look_again_in(delay);
                }
            }
            self.rest().await;
        }
        self.probes.stop_all();
        self.context.admitted.remove(&self.key.uid);
        self.context.ended.watch(&self.key.uid, &self.wake, std::iter::empty());
    }

    /// One round for a pod that should run; given up at once when it should end instead.
    async fn live(&mut self, desired: &Desired) -> Result<bool, Error> {
        let mut changes = self.desired.clone();
        tokio::select! {
            result = self.ensure(&desired.pod) => result.map(|()| false),
            _ = changes.wait_for(Desired::must_end) => {
                self.look_again_in(Duration::ZERO);
                Ok(false)
            }
        }
    }

    /// Waits for a reason to look again.
    async fn rest(&mut self) {
        let again = self.again;
        let timer = async {
            match again {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.desired.changed() => {}
            () = self.wake.notified() => {}
            () = timer => {}
        }
    }

    fn look_again_in(&mut self, delay: Duration) {
        self.look_again_at(Instant::now() + delay);
    }

    fn look_again_at(&mut self, at: Instant) {
        self.again = Some(self.again.map_or(at, |known| known.min(at)));
    }

    /// What the runtime has of this pod now.
    async fn view(&mut self) -> Result<View, Error> {
        let context = self.context.clone();
        let ended = context.ended.of(&self.key.uid);
        let view = View::read(&context.cri, &context.options, &self.key.uid, &ended).await?;
        context.ended.watch(&self.key.uid, &self.wake, view.ids());
        self.read_addresses(&view).await?;
        for (_, instance) in view.all().filter(|(_, instance)| instance.has_exited()) {
            let id = &instance.status.id;
            if !self.messages.contains_key(id) {
                let message = hooks::last_words(&context.options, &self.key, instance);
                self.messages.insert(id.clone(), message);
            }
        }
        self.messages.retain(|id, _| view.all().any(|(_, instance)| instance.status.id == *id));
        Ok(view)
    }

    async fn read_addresses(&mut self, view: &View) -> Result<(), Error> {
        let Some(sandbox) = view.ready_sandbox() else { return Ok(()) };
        if self.addresses.0 == sandbox.id {
            return Ok(());
        }
        let network = self.context.cri.sandbox_status(&sandbox.id).await?.network.unwrap_or_default();
        let mut ips = vec![network.ip];
        ips.extend(network.additional_ips.into_iter().map(|ip| ip.ip));
        ips.retain(|ip| !ip.is_empty());
        if pod::host_network(&self.desired.borrow().pod) {
            ips = self.context.host_ips.clone();
        }
        self.addresses = (sandbox.id.clone(), ips);
        Ok(())
    }

    /// Writes the status if it differs from the last one.
    async fn publish(&mut self, pod: &Pod, view: &View) -> Result<(), Error> {
        let status = status::build(&Seen {
            pod,
            view,
            before: &self.status,
            waiting: &self.waiting,
            probed: &self.probes.results(),
            messages: &self.messages,
            pod_ips: &self.addresses.1,
            host_ips: &self.context.host_ips,
            failure: self.failure.as_ref(),
        });
        if status != self.status {
            self.context.api.update_status(&self.key, status.clone()).await?;
            self.status = status;
        }
        Ok(())
    }
}

//! Work that one node's messages cause: in order per object, side by side for different objects.
//!
//! Each object with work has a lane and a task for as long as there is work. Requests to the API and reports of devices
//! have separate shares, so that a slow API call never holds up twins. When a share is full the session stops reading.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use edgeward_service::Tasks;
use edgeward_service::clock::now_ms;
use edgeward_wire::{DeviceTopic, Envelope, Frame, Resource, Telemetry, group, ok, operation, source};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_tungstenite::tungstenite::Message;

use crate::metrics::{TELEMETRY_ERRORS, UPSTREAM_WAITS, VIOLATIONS};
use crate::object::ObjectId;
use crate::requests::Requests;
use crate::service::Hub;

/// One session's work.
#[derive(Clone)]
pub(crate) struct Upstream {
    inner: Arc<Inner>,
}

struct Inner {
    hub: Arc<Hub>,
    node: Arc<str>,
    own: bool,
    tasks: Tasks,
    outgoing: mpsc::Sender<Message>,
    lanes: Mutex<HashMap<Lane, VecDeque<(Job, OwnedSemaphorePermit)>>>,
    api: Share,
    devices: Share,
}

/// Limits of one kind of work.
struct Share {
    waiting: Arc<Semaphore>,
    running: Semaphore,
}

/// A message to work on.
pub(crate) enum Job {
    Message(Box<Envelope>),
    Telemetry(Telemetry),
}

/// Work of one lane is done in order.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Lane {
    Telemetry,
    Device(String),
    Object(String),
}

impl Upstream {
    pub(crate) fn new(hub: Arc<Hub>, node: Arc<str>, own: bool, tasks: Tasks, outgoing: mpsc::Sender<Message>) -> Self {
        let share = || Share {
            waiting: Arc::new(Semaphore::new(hub.options.upstream_messages)),
            running: Semaphore::new(hub.options.upstream_parallel),
        };
        let (api, devices) = (share(), share());
        Self { inner: Arc::new(Inner { hub, node, own, tasks, outgoing, lanes: Mutex::default(), api, devices }) }
    }

    /// Takes a message in; waits while the share of its kind is full.
    pub(crate) async fn submit(&self, job: Job) {
        let lane = lane(&job);
        let waiting = &self.inner.share(&lane).waiting;
        if waiting.available_permits() == 0 {
            UPSTREAM_WAITS.inc();
        }
        // The semaphores are never closed.
        let Ok(permit) = waiting.clone().acquire_owned().await else { return };
        let mut lanes = self.inner.lanes.lock();
        if let Some(queue) = lanes.get_mut(&lane) {
            queue.push_back((job, permit));
            return;
        }
        lanes.insert(lane.clone(), VecDeque::from([(job, permit)]));
        drop(lanes);
        let inner = self.inner.clone();
        self.inner.tasks.spawn_until_cancelled("upstream lane", async move { inner.drain(lane).await });
    }
}

impl Inner {
    fn share(&self, lane: &Lane) -> &Share {
        match lane {
            Lane::Object(_) => &self.api,
            Lane::Device(_) | Lane::Telemetry => &self.devices,
        }
    }

    /// Works until the lane is empty, then removes it.
    async fn drain(&self, lane: Lane) {
        loop {
            let next = {
                let mut lanes = self.lanes.lock();
                let next = lanes.get_mut(&lane).and_then(VecDeque::pop_front);
                if next.is_none() {
                    lanes.remove(&lane);
                }
                next
            };
            let Some((job, _waiting)) = next else { return };
            let Ok(_running) = self.share(&lane).running.acquire().await else { return };
            if let Some(answer) = self.work(job).await {
                // The receiver is gone when the session ends; then this task ends too.
                let _ = self.outgoing.send(answer).await;
            }
        }
    }

    async fn work(&self, job: Job) -> Option<Message> {
        match job {
            Job::Telemetry(batch) => self.telemetry(batch).await,
            Job::Message(message) => {
                let answer = match message.resource() {
                    Resource::Device { namespace, name, topic } => self.device(&message, namespace, name, topic).await,
                    _ => self.requests().serve(&message).await,
                };
                answer.map(|answer| Message::text(answer.encode()))
            }
        }
    }

    fn requests(&self) -> Requests<'_> {
        Requests {
            client: &self.hub.client,
            view: &self.hub.view,
            node: &self.node,
            answer_events: self.own,
            cluster_ca_pem: &self.hub.cluster_ca_pem,
        }
    }

    async fn telemetry(&self, batch: Telemetry) -> Option<Message> {
        match self.hub.handlers.telemetry.store(&self.node, batch).await {
            Ok(through_seq) => Frame::TelemetryAck { through_seq }.encode().ok().map(Message::Binary),
            Err(error) => {
                TELEMETRY_ERRORS.inc();
                tracing::warn!(node = %self.node, %error, "telemetry not stored; the node will send it again");
                None
            }
        }
    }

    async fn device(&self, message: &Envelope, namespace: &str, name: &str, topic: DeviceTopic) -> Option<Envelope> {
        let refuse = |reason: &str| Some(message.refuse(now_ms(), source::DEVICE_CONTROLLER, group::TWIN, reason));
        if message.route.operation != operation::UPDATE {
            return refuse("devices only report updates");
        }
        if !self.hub.view.sees(&self.node, &ObjectId::new(Some(namespace), "device", name)) {
            VIOLATIONS.inc();
            tracing::warn!(node = %self.node, namespace, name, "node reported a device that is not its own");
            return refuse(&format!("device {namespace}/{name} is not assigned to node {}", self.node));
        }
        let content = match message.document() {
            Ok(content) => content,
            Err(error) => return refuse(&error.to_string()),
        };
        let devices = &self.hub.handlers.devices;
        let stored = match topic {
            DeviceTopic::Twin => devices.twin_update(&self.node, namespace, name, &content).await,
            DeviceTopic::State => devices.state_update(&self.node, namespace, name, &content).await,
        };
        if let Err(error) = stored {
            tracing::debug!(node = %self.node, namespace, name, %error, "device report not taken");
            return refuse(&error.to_string());
        }
        let mut confirmation = message.answer(now_ms(), source::DEVICE_CONTROLLER, group::TWIN, ok());
        confirmation.route.resource = Resource::Twin.to_string();
        Some(confirmation)
    }
}

/// Messages about one object are of one lane, whatever they are called.
fn lane(job: &Job) -> Lane {
    let Job::Message(message) = job else { return Lane::Telemetry };
    match message.resource() {
        Resource::Device { namespace, name, .. } => Lane::Device(format!("{namespace}/{name}")),
        Resource::Object { namespace, kind, name } => {
            let kind = kind.strip_suffix("patch").or_else(|| kind.strip_suffix("status")).unwrap_or(kind);
            Lane::Object(format!("{}/{kind}/{}", namespace.unwrap_or("null"), name.unwrap_or_default()))
        }
        _ => Lane::Object(message.route.resource.clone()),
    }
}

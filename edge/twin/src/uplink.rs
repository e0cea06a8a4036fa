//! The queue of changes the cloud has not confirmed: newest value of each property, one message in flight per device.
//!
//! Nothing is queued as a message: the queue holds device names, and the message is written from the twin when the link
//! asks for it. So a backlog is never larger than the twins themselves, and after an outage each property crosses once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use crate::actor::Command;
use crate::device::DeviceId;
use crate::error::TwinError;

/// A message for the cloud: route and content of the KubeEdge envelope with source `twin` and group `resource`
/// (recorded in `c_device.jsonl`).
#[derive(Debug)]
pub struct Outgoing {
    /// To [`TwinUplink::confirm`] once the cloud answered.
    pub id: u64,
    /// The device it is about.
    pub device: DeviceId,
    /// `update`.
    pub operation: &'static str,
    /// `device/<ns>/<name>/twin/edge_updated` or `device/<ns>/<name>/state/update`.
    pub resource: String,
    /// JSON: an object for twins, a JSON string holding an object for states, as KubeEdge sends them.
    pub content: Box<RawValue>,
}

/// The link's end of the queue; there is one per node.
///
/// ```text
/// on every new session: uplink.rewind().await
/// loop: let message = uplink.next().await?; send it; when its answer came: uplink.confirm(message.id).await
/// ```
/// Any number of messages may be unconfirmed at once, of different devices; none is repeated before
/// [`TwinUplink::rewind`].
#[derive(Debug)]
pub struct TwinUplink {
    commands: mpsc::Sender<Command>,
    /// A question that was asked and whose answer nobody has seen yet.
    asked: Option<oneshot::Receiver<Outgoing>>,
    node: Arc<str>,
}

impl TwinUplink {
    pub(crate) fn new(commands: mpsc::Sender<Command>, node: Arc<str>) -> Self {
        Self { commands, asked: None, node }
    }

    /// Waits for the next change. Cancel-safe: a message that came meanwhile is returned by the next call.
    pub async fn next(&mut self) -> Result<Outgoing, TwinError> {
        if self.asked.is_none() {
            let (reply, answer) = oneshot::channel();
            self.send(Command::Take(reply)).await?;
            self.asked = Some(answer);
        }
        let Some(answer) = self.asked.as_mut() else { return Err(TwinError::Stopped) };
        let outgoing = answer.await.map_err(|_| TwinError::Stopped);
        self.asked = None;
        outgoing
    }

    /// The cloud has it. The flag on disk follows with the next transaction: a crash before that repeats the message,
    /// which is harmless because the newest value wins.
    pub async fn confirm(&self, id: u64) -> Result<(), TwinError> {
        self.send(Command::Confirm(id)).await
    }

    /// A new session begins: everything sent and not confirmed is to be sent again.
    pub async fn rewind(&mut self) -> Result<(), TwinError> {
        self.asked = None;
        self.send(Command::Rewind).await
    }

    /// The question a KubeEdge edge asks at every connect: operation, resource, content. KubeEdge 1.23's cloud ignores
    /// it, and so may a link.
    pub fn membership_query(&self) -> Result<(&'static str, &'static str, Box<RawValue>), TwinError> {
        let detail = serde_json::json!({
            "event_type": "group_membership_event",
            "event_id": crate::publish::event_id(),
            "group_id": &*self.node,
            "operation": "detail",
            "timestamp": edgeward_service::clock::now_ms(),
        });
        let content = serde_json::value::to_raw_value(&detail.to_string()).map_err(|_| TwinError::Stopped)?;
        Ok(("get", "membership/detail", content))
    }

    async fn send(&self, command: Command) -> Result<(), TwinError> {
        self.commands.send(command).await.map_err(|_| TwinError::Stopped)
    }
}

/// What one message carried, to be marked when it is confirmed.
#[derive(Debug)]
pub(crate) struct Carried {
    pub device: DeviceId,
    /// Property and the revision sent.
    pub twins: Vec<(Arc<str>, u64)>,
    /// Revision of the state sent, if it was a state message.
    pub state: Option<u64>,
}

/// Which devices have something to say, and which are waiting for an answer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<DeviceId>,
    queued: HashSet<DeviceId>,
    in_flight: HashMap<u64, Carried>,
    busy: HashSet<DeviceId>,
    last_id: u64,
}

impl Queue {
    /// The device has an unconfirmed change.
    pub(crate) fn push(&mut self, device: &DeviceId) {
        if !self.busy.contains(device) && self.queued.insert(device.clone()) {
            self.waiting.push_back(device.clone());
        }
    }

    /// The next device to speak.
    pub(crate) fn pop(&mut self) -> Option<DeviceId> {
        let device = self.waiting.pop_front()?;
        self.queued.remove(&device);
        Some(device)
    }

    /// Notes a message as sent and gives it its id.
    pub(crate) fn sent(&mut self, carried: Carried) -> u64 {
        self.last_id += 1;
        self.busy.insert(carried.device.clone());
        self.in_flight.insert(self.last_id, carried);
        self.last_id
    }

    /// The message was confirmed; `None` for ids of an earlier session or of a device that left.
    pub(crate) fn settle(&mut self, id: u64) -> Option<Carried> {
        let carried = self.in_flight.remove(&id)?;
        self.busy.remove(&carried.device);
        Some(carried)
    }

    /// Everything in flight waits again.
    pub(crate) fn rewind(&mut self) {
        self.busy.clear();
        let devices: Vec<_> = self.in_flight.drain().map(|(_, carried)| carried.device).collect();
        for device in devices {
            self.push(&device);
        }
    }

    /// The device is gone.
    pub(crate) fn forget(&mut self, device: &DeviceId) {
        self.busy.remove(device);
        self.in_flight.retain(|_, carried| carried.device != *device);
        if self.queued.remove(device) {
            self.waiting.retain(|waiting| waiting != device);
        }
    }
}

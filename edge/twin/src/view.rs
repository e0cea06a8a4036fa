//! What others see of the state: the local API's views and the link's messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeward_service::clock::now_ms;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::state_answer;
use crate::apply::{DeviceEntry, State};
use crate::device::DeviceId;
use crate::drive::Drivers;
use crate::handle::{DeviceView, TwinView};
use crate::payload::{Answer, TwinOut, TwinsOut};
use crate::publish::event_id;
use crate::uplink::{Carried, Outgoing};

impl State {
    /// A device as the local API shows it.
    pub(crate) fn view(&self, id: &DeviceId, drivers: &Drivers) -> Option<DeviceView> {
        let device = self.devices.get(id)?;
        let document = device.document.as_ref();
        let twins = device.twins.iter().filter(|(_, entry)| !entry.is_deleted()).map(|(name, entry)| TwinView {
            name: name.clone(),
            value_type: entry.value_type.clone(),
            expected: entry.expected.as_ref().map(|side| (side.value.clone(), side.timestamp)),
            actual: entry.actual.as_ref().map(|side| (side.value.clone(), side.timestamp)),
            unconfirmed: entry.is_dirty(),
        });
        Some(DeviceView {
            id: id.clone(),
            description: device.description.clone(),
            model: document.map_or_else(String::new, |document| document.model.clone()),
            model_found: document.is_some_and(|document| self.model_of(document).is_some()),
            protocol: document.map_or_else(String::new, |document| document.protocol.name.clone()),
            driven: drivers.is_driven(id),
            state: device.state,
            last_online: device.last_online.clone(),
            twins: twins.collect(),
        })
    }

    /// The next message for the cloud; devices that have nothing left to say are passed over.
    pub(crate) fn take(&mut self) -> Option<Outgoing> {
        loop {
            let id = self.queue.pop()?;
            let Some(device) = self.devices.get(&id).filter(|device| device.is_dirty()) else { continue };
            let written = if device.state_is_dirty() { state_message(device) } else { twin_message(device) };
            let Some((resource, content, carried)) = written else { continue };
            let id = self.queue.sent(carried);
            return Some(Outgoing { id, device: device.id.clone(), operation: "update", resource, content });
        }
    }

    /// Marks what a confirmed message carried. Returns the device if a row changed.
    pub(crate) fn confirm(&mut self, id: u64) -> Option<Carried> {
        let carried = self.queue.settle(id)?;
        let device = self.devices.get_mut(&carried.device)?;
        if let Some(revision) = carried.state {
            device.state_confirmed = device.state_confirmed.max(revision);
        }
        for (name, revision) in &carried.twins {
            if let Some(entry) = device.twins.get_mut(name) {
                entry.confirmed = entry.confirmed.max(*revision);
            }
        }
        if device.is_dirty() {
            self.queue.push(&carried.device);
        }
        Some(carried)
    }
}

type Written = (String, Box<RawValue>, Carried);

fn state_message(device: &DeviceEntry) -> Option<Written> {
    let text = serde_json::to_string(&state_answer(device, &event_id(), now_ms())).ok()?;
    let carried = Carried { device: device.id.clone(), twins: Vec::new(), state: Some(device.state_revision) };
    // A JSON string that holds JSON: KubeEdge's cloud expects it so.
    Some((format!("device/{}/state/update", device.id), raw(&text)?, carried))
}

fn twin_message(device: &DeviceEntry) -> Option<Written> {
    let dirty = || device.twins.iter().filter(|(_, entry)| entry.is_dirty());
    let twin: BTreeMap<&str, TwinOut<'_>> = dirty().map(|(name, entry)| (&**name, TwinOut::for_cloud(entry))).collect();
    let twins: Vec<(Arc<str>, u64)> = dirty().map(|(name, entry)| (name.clone(), entry.revision)).collect();
    let content = raw(&Answer { event_id: &event_id(), timestamp: now_ms(), body: TwinsOut { twin } })?;
    let carried = Carried { device: device.id.clone(), twins, state: None };
    Some((format!("device/{}/twin/edge_updated", device.id), content, carried))
}

fn raw(content: &impl Serialize) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(content).ok()
}

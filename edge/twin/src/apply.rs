//! The state of all devices and what each request, document or report makes of it.
//!
//! Nothing here waits or writes: changes are made in memory and noted in [`Effects`]; the actor commits them, then
//! publishes. If the commit fails, what was touched is read back from disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use edgeward_service::clock::now_rfc3339;

use crate::answer::{document, result, state_answer};
use crate::desired::definition;
use crate::device::{Device, DeviceId, Model};
use crate::error::TwinError;
use crate::metrics;
use crate::payload::{
    Answer, BaseRequest, DeviceState, MemberOut, MembersOut, MembershipOut, NOT_FOUND, Refusal, TwinOut, TwinRequest,
    TwinsOut, UpdateRequest, ValueRequest, parse_state, to_bytes,
};
use crate::publish::{self, Publication, Request, device_topic, event_id, membership_topic};
use crate::store::{Batch, DeviceRow, TwinRow};
use crate::twin::{Entry, Origin, Step, step};
use crate::uplink::Queue;

/// One device in memory.
#[derive(Clone, Debug)]
pub(crate) struct DeviceEntry {
    pub id: DeviceId,
    pub description: String,
    pub state: Option<DeviceState>,
    pub last_online: Option<String>,
    pub state_revision: u64,
    pub state_confirmed: u64,
    pub twins: BTreeMap<Arc<str>, Entry>,
    /// The last desired value of each property that came from the cloud.
    pub cloud_desired: BTreeMap<Arc<str>, Arc<str>>,
    /// Its document, once it arrived; not stored, the agent's replica has it.
    pub document: Option<Arc<Device>>,
}

impl DeviceEntry {
    pub(crate) fn new(id: DeviceId, description: String) -> Self {
        Self {
            id,
            description,
            state: None,
            last_online: None,
            state_revision: 0,
            state_confirmed: 0,
            twins: BTreeMap::new(),
            cloud_desired: BTreeMap::new(),
            document: None,
        }
    }

    /// Puts a stored property in its place.
    pub(crate) fn install(&mut self, name: Arc<str>, entry: Entry, cloud_desired: Option<Arc<str>>) {
        if let Some(desired) = cloud_desired {
            self.cloud_desired.insert(name.clone(), desired);
        }
        self.twins.insert(name, entry);
    }

    pub(crate) fn state_is_dirty(&self) -> bool {
        self.state_revision > self.state_confirmed
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.state_is_dirty() || self.twins.values().any(Entry::is_dirty)
    }

    fn row(&self) -> DeviceRow {
        DeviceRow {
            id: self.id.clone(),
            description: self.description.clone(),
            state: self.state,
            last_online: self.last_online.clone(),
            state_revision: self.state_revision,
            state_confirmed: self.state_confirmed,
        }
    }

    fn twin_row(&self, name: &Arc<str>) -> Option<TwinRow> {
        let entry = self.twins.get(name)?.clone();
        let cloud_desired = self.cloud_desired.get(name).cloned();
        Some(TwinRow { device: self.id.clone(), name: name.clone(), entry, cloud_desired })
    }

    fn goes_to_cloud(&self, name: &str) -> bool {
        let document = self.document.as_ref();
        let property = document.and_then(|device| device.properties.iter().find(|property| &*property.name == name));
        property.is_none_or(|property| property.report_to_cloud)
    }

    /// The cloud dropped reports of properties the document did not list: those it lists now are told again.
    fn tell_newly_listed(&mut self, document: &Device, effects: &mut Effects) {
        let Some(before) = &self.document else { return };
        let was_listed = |name: &str| before.properties.iter().any(|property| &*property.name == name);
        for property in document.properties.iter().filter(|property| !was_listed(&property.name)) {
            if let Some(entry) = self.twins.get_mut(&property.name).filter(|_| property.report_to_cloud) {
                entry.revision += 1;
                effects.twins.insert((self.id.clone(), property.name.clone()));
            }
        }
    }

    fn member(&self) -> MemberOut<'_> {
        MemberOut {
            id: self.id.as_str(),
            name: self.id.name(),
            description: &self.description,
            state: None,
            last_online: None,
        }
    }
}

/// What a batch of changes leads to once it is on disk.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// In order.
    pub publications: Vec<Publication>,
    pub twins: BTreeSet<(DeviceId, Arc<str>)>,
    pub devices: BTreeSet<DeviceId>,
    pub removed: BTreeSet<DeviceId>,
    /// Devices whose driver must be told.
    pub redrive: BTreeSet<DeviceId>,
    /// Update requests to refuse if the commit fails.
    pub requests: Vec<(DeviceId, String)>,
}

impl Effects {
    /// Every device of which something changed.
    pub(crate) fn touched(&self) -> BTreeSet<DeviceId> {
        let twins = self.twins.iter().map(|(id, _)| id);
        twins.chain(&self.devices).chain(&self.removed).cloned().collect()
    }
}

/// All devices and models of the node.
#[derive(Debug)]
pub(crate) struct State {
    pub node: Arc<str>,
    pub max_properties: usize,
    pub devices: BTreeMap<DeviceId, DeviceEntry>,
    pub models: BTreeMap<DeviceId, Arc<Model>>,
    pub queue: Queue,
}

impl State {
    /// Answers one MQTT request. Errors are answers too.
    pub(crate) fn request(&mut self, request: Request, payload: &[u8], now: i64, effects: &mut Effects) {
        match request {
            Request::TwinUpdate(id) => self.twin_update(&id, payload, now, effects),
            Request::TwinGet(id) => self.twin_get(&id, payload, now, effects),
            Request::StateUpdate(id) => {
                // KubeEdge answers neither unknown devices nor unknown states.
                if let Some(state) = parse_state(payload) {
                    let _unknown = self.set_state(&id, state, now, effects);
                }
            }
            Request::MembershipGet => self.membership_get(payload, now, effects),
        }
    }

    fn twin_update(&mut self, id: &DeviceId, payload: &[u8], now: i64, effects: &mut Effects) {
        let request = match UpdateRequest::parse(payload) {
            Ok(request) => request,
            Err(refusal) => {
                // KubeEdge 1.23 answers what it cannot read on the topic of a device without a name (recorded).
                metrics::REFUSED.inc();
                return effects.publications.push(publish::refusal(
                    device_topic("", "twin/update/result"),
                    "",
                    &refusal,
                    now,
                ));
            }
        };
        let updates: Vec<_> =
            request.twin.iter().flatten().map(|(name, update)| (name.as_str(), update.as_ref())).collect();
        if let Err(refusal) = self.update(id, &request.event_id, &updates, Origin::Edge, now, effects) {
            metrics::REFUSED.inc();
            let topic = device_topic(id.as_str(), "twin/update/result");
            effects.publications.push(publish::refusal(topic, &request.event_id, &refusal, now));
        }
    }

    /// Readings of a driver: `actual` values.
    pub(crate) fn report(
        &mut self,
        id: &DeviceId,
        values: Vec<(Arc<str>, String)>,
        now: i64,
        effects: &mut Effects,
    ) -> Result<(), TwinError> {
        let known = self.devices.get(id).ok_or_else(|| TwinError::UnknownDevice(id.clone()))?;
        let model = known.document.as_ref().and_then(|device| self.model_of(device));
        let requests: Vec<(Arc<str>, TwinRequest)> = values
            .into_iter()
            .map(|(name, value)| {
                let definition = model.as_ref().and_then(|model| definition(model, &name));
                let request = TwinRequest {
                    actual: Some(ValueRequest { value: Some(value) }),
                    metadata: definition.map(|definition| definition.value_type.twin_type().into()),
                    ..TwinRequest::default()
                };
                (name, request)
            })
            .collect();
        let refused = |refusal: Refusal| TwinError::Refused { device: id.clone(), reason: refusal.reason };
        crate::payload::check_update(requests.iter().map(|(name, request)| (&**name, Some(request))))
            .map_err(refused)?;
        let updates: Vec<_> = requests.iter().map(|(name, request)| (&**name, Some(request))).collect();
        self.update(id, "", &updates, Origin::Edge, now, effects).map_err(refused)
    }

    /// Applies an update to a device: all of its properties or none.
    fn update(
        &mut self,
        id: &DeviceId,
        event_id: &str,
        updates: &[(&str, Option<&TwinRequest>)],
        origin: Origin,
        now: i64,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        let limit = self.max_properties;
        let device = self.devices.get_mut(id).ok_or_else(|| Refusal {
            code: NOT_FOUND,
            reason: "update rejected due to the device is not existed".to_owned(),
        })?;
        let new = updates.iter().filter(|(name, _)| !device.twins.contains_key(*name)).count();
        if device.twins.len() + new > limit {
            return Err(Refusal::bad(format!("the device would have more than {limit} properties")));
        }
        let steps = updates
            .iter()
            .map(|(name, update)| Ok((*name, step(device.twins.get(*name), *update, origin, now)?)))
            .collect::<Result<Vec<_>, Refusal>>()?;
        let changed = steps.iter().any(|(_, step)| step.changed);
        metrics::UPDATES.inc();
        effects.publications.push(result(id, event_id, &steps, now));
        if changed {
            effects.requests.push((id.clone(), event_id.to_owned()));
            effects.publications.push(document(device, event_id, &steps, now));
        } else {
            metrics::UNCHANGED.inc();
        }
        for (name, step) in steps {
            install(device, name, step, effects);
        }
        effects.publications.extend(publish::delta(id, &device.twins, now));
        Ok(())
    }

    fn twin_get(&self, id: &DeviceId, payload: &[u8], now: i64, effects: &mut Effects) {
        let topic = device_topic(id.as_str(), "twin/get/result");
        let request = match BaseRequest::parse(payload, "twin") {
            Ok(request) => request,
            Err(refusal) => return effects.publications.push(publish::refusal(topic, "", &refusal, now)),
        };
        let Some(device) = self.devices.get(id) else {
            let reason = format!("Device {id} not found while getting twin");
            let refusal = Refusal { code: NOT_FOUND, reason };
            return effects.publications.push(publish::refusal(topic, &request.event_id, &refusal, now));
        };
        let living = device.twins.iter().filter(|(_, entry)| !entry.is_deleted());
        let twin: BTreeMap<&str, TwinOut<'_>> = living.map(|(name, entry)| (&**name, TwinOut::of(entry))).collect();
        let answer = Answer { event_id: &request.event_id, timestamp: now, body: TwinsOut { twin } };
        effects.publications.push(Publication { topic, payload: to_bytes(&answer) });
    }

    /// Notes a state and answers it. An equal state is answered, but costs nothing.
    pub(crate) fn set_state(
        &mut self,
        id: &DeviceId,
        state: DeviceState,
        now: i64,
        effects: &mut Effects,
    ) -> Result<(), TwinError> {
        let device = self.devices.get_mut(id).ok_or_else(|| TwinError::UnknownDevice(id.clone()))?;
        let changed = device.state != Some(state);
        if state.is_online() {
            device.last_online = Some(now_rfc3339());
        }
        if changed {
            device.state = Some(state);
            device.state_revision += 1;
            effects.devices.insert(id.clone());
        }
        let topic = device_topic(id.as_str(), "state/update/result");
        effects.publications.push(Publication { topic, payload: to_bytes(&state_answer(device, &event_id(), now)) });
        Ok(())
    }

    fn membership_get(&self, payload: &[u8], now: i64, effects: &mut Effects) {
        let topic = membership_topic(&self.node, "get/result");
        let request = match BaseRequest::parse(payload, "membership") {
            Ok(request) => request,
            Err(refusal) => return effects.publications.push(publish::refusal(topic, "", &refusal, now)),
        };
        let devices = self.devices.values().map(|device| MemberOut {
            state: device.state.map(DeviceState::as_str),
            last_online: device.last_online.as_deref(),
            ..device.member()
        });
        let body = MembersOut { devices: devices.collect() };
        let answer = Answer { event_id: &request.event_id, timestamp: now, body };
        effects.publications.push(Publication { topic, payload: to_bytes(&answer) });
    }

    /// A device joined the node, or its description changed.
    pub(crate) fn add(&mut self, id: &DeviceId, description: &str, now: i64, effects: &mut Effects) {
        if let Some(device) = self.devices.get_mut(id) {
            if device.description != description {
                description.clone_into(&mut device.description);
                effects.devices.insert(id.clone());
            }
            return;
        }
        let device = DeviceEntry::new(id.clone(), description.to_owned());
        let body = MembershipOut { added_devices: Some(vec![device.member()]), removed_devices: None };
        effects.publications.push(self.membership_updated(body, now));
        self.devices.insert(id.clone(), device);
        effects.devices.insert(id.clone());
    }

    /// A device left the node.
    pub(crate) fn remove(&mut self, id: &DeviceId, now: i64, effects: &mut Effects) {
        let Some(device) = self.devices.remove(id) else { return };
        let body = MembershipOut { added_devices: None, removed_devices: Some(vec![device.member()]) };
        effects.publications.push(self.membership_updated(body, now));
        effects.twins.retain(|(touched, _)| touched != id);
        effects.devices.remove(id);
        effects.removed.insert(id.clone());
        effects.redrive.insert(id.clone());
    }

    fn membership_updated(&self, body: MembershipOut<'_>, now: i64) -> Publication {
        let answer = Answer { event_id: &event_id(), timestamp: now, body };
        Publication { topic: membership_topic(&self.node, "updated"), payload: to_bytes(&answer) }
    }

    /// A device's document arrived.
    pub(crate) fn apply_device(&mut self, document: Device, now: i64, effects: &mut Effects) {
        let id = document.id.clone();
        self.add(&id, &document.description, now, effects);
        if let Some(device) = self.devices.get_mut(&id) {
            device.tell_newly_listed(&document, effects);
            device.document = Some(Arc::new(document));
        }
        self.apply_desired(&id, now, effects);
        effects.redrive.insert(id);
    }

    /// The rows of a batch, copied for the disk.
    pub(crate) fn rows(&self, effects: &Effects) -> Batch {
        let twin_row = |(id, name): &(DeviceId, Arc<str>)| self.devices.get(id)?.twin_row(name);
        Batch {
            removed: effects.removed.iter().cloned().collect(),
            devices: effects.devices.iter().filter_map(|id| Some(self.devices.get(id)?.row())).collect(),
            twins: effects.twins.iter().filter_map(twin_row).collect(),
        }
    }
}

/// Puts a step in its place and notes what it touches.
pub(crate) fn install(device: &mut DeviceEntry, name: &str, mut step: Step, effects: &mut Effects) {
    let name: Arc<str> = match device.twins.get_key_value(name) {
        Some((name, _)) => name.clone(),
        None => name.into(),
    };
    if step.changed {
        if !device.goes_to_cloud(&name) {
            step.next.confirmed = step.next.revision;
        }
        effects.twins.insert((device.id.clone(), name.clone()));
        if step.touched_expected || step.deleted {
            effects.redrive.insert(device.id.clone());
        }
    }
    device.twins.insert(name, step.next);
}

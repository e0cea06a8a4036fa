//! Desired values on their way down, and the models they are checked against.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::answer::document;
use crate::apply::{DeviceEntry, Effects, State, install};
use crate::device::{Access, Device, DeviceId, Model, ModelProperty};
use crate::metrics;
use crate::payload::{TwinRequest, ValueRequest, check_type};
use crate::publish::{self, event_id};
use crate::twin::{Origin, step};

impl State {
    /// A model arrived or left: its devices see it.
    pub(crate) fn set_model(&mut self, id: &DeviceId, model: Option<Model>, now: i64, effects: &mut Effects) {
        match model {
            Some(model) => self.models.insert(id.clone(), Arc::new(model)),
            None => self.models.remove(id),
        };
        let uses = |device: &DeviceEntry| {
            let document = device.document.as_ref();
            id.namespace() == device.id.namespace() && document.is_some_and(|document| document.model == id.name())
        };
        let users: Vec<_> =
            self.devices.values().filter(|device| uses(device)).map(|device| device.id.clone()).collect();
        for user in users {
            self.apply_desired(&user, now, effects);
            effects.redrive.insert(user);
        }
    }

    /// The model a device names, if it is here.
    pub(crate) fn model_of(&self, device: &Device) -> Option<Arc<Model>> {
        self.models.get(&DeviceId::new(device.id.namespace(), &device.model)).cloned()
    }

    /// Brings desired values that changed in the cloud into the twin. Waits for a model that is named but missing.
    pub(crate) fn apply_desired(&mut self, id: &DeviceId, now: i64, effects: &mut Effects) {
        let Some(device) = self.devices.get(id) else { return };
        let Some(document) = device.document.clone() else { return };
        let model = self.model_of(&document);
        if model.is_none() && !document.model.is_empty() {
            return;
        }
        let wanted: BTreeMap<&Arc<str>, &str> =
            document.properties.iter().filter_map(|p| Some((&p.name, p.desired.as_deref()?))).collect();
        let withdrawn: Vec<_> =
            device.cloud_desired.keys().filter(|name| !wanted.contains_key(name)).cloned().collect();
        let new: Vec<_> = wanted
            .into_iter()
            .filter(|(name, value)| device.cloud_desired.get(*name).map(|known| &**known) != Some(*value))
            .collect();
        for name in withdrawn {
            self.withdraw(id, &name, effects);
        }
        for (name, value) in new {
            let definition = model.as_ref().and_then(|model| definition(model, name));
            if let Err(reason) = self.desire(id, name, value, definition, now, effects) {
                metrics::DESIRED_REFUSED.inc();
                tracing::warn!(device = %id, property = %name, value, reason, "desired value refused");
            }
        }
    }

    /// Sets the expected value. MQTT devices hear of it by `document` and `delta`; KubeEdge 1.23 tells them nothing.
    fn desire(
        &mut self,
        id: &DeviceId,
        name: &Arc<str>,
        value: &str,
        definition: Option<&ModelProperty>,
        now: i64,
        effects: &mut Effects,
    ) -> Result<(), String> {
        if let Some(definition) = definition {
            check_desired(definition, value)?;
        }
        let request = TwinRequest {
            expected: Some(ValueRequest { value: Some(value.to_owned()) }),
            metadata: definition.map(|definition| definition.value_type.twin_type().into()),
            ..TwinRequest::default()
        };
        let Some(device) = self.devices.get_mut(id) else { return Ok(()) };
        let step =
            step(device.twins.get(name), Some(&request), Origin::Cloud, now).map_err(|refusal| refusal.reason)?;
        let steps = [(&**name, step)];
        if steps[0].1.changed {
            effects.publications.push(document(device, &event_id(), &steps, now));
        }
        for (name, step) in steps {
            install(device, name, step, effects);
        }
        device.cloud_desired.insert(name.clone(), value.into());
        effects.twins.insert((id.clone(), name.clone()));
        effects.publications.extend(publish::delta(id, &device.twins, now));
        Ok(())
    }

    /// The cloud no longer wants a value: the expected value goes, unless an MQTT peer has set another since.
    fn withdraw(&mut self, id: &DeviceId, name: &Arc<str>, effects: &mut Effects) {
        let Some(device) = self.devices.get_mut(id) else { return };
        let desired = device.cloud_desired.remove(name);
        if let Some(entry) = device.twins.get_mut(name) {
            if entry.expected.as_ref().map(|side| &side.value) == desired.as_ref() {
                entry.expected = None;
                entry.expected_version.get_or_insert_default().cloud += 1;
                entry.revision += 1;
            }
            effects.twins.insert((id.clone(), name.clone()));
        }
    }
}

/// The definition of a property.
pub(crate) fn definition<'a>(model: &'a Model, name: &str) -> Option<&'a ModelProperty> {
    model.properties.iter().find(|property| property.name == name)
}

/// Whether a desired value fits its definition.
fn check_desired(definition: &ModelProperty, value: &str) -> Result<(), String> {
    if definition.access == Access::ReadOnly {
        return Err("the model says ReadOnly".to_owned());
    }
    check_type(definition.value_type.twin_type(), value).map_err(|refusal| refusal.reason)?;
    let Ok(number) = value.parse::<f64>() else { return Ok(()) };
    if definition.value_type.is_number() {
        if let Some(minimum) = definition.minimum.filter(|minimum| number < *minimum) {
            return Err(format!("the model's minimum is {minimum}"));
        }
        if let Some(maximum) = definition.maximum.filter(|maximum| number > *maximum) {
            return Err(format!("the model's maximum is {maximum}"));
        }
    }
    Ok(())
}

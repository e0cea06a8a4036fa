//! Hands devices to drivers: who drives what, and whether it must hear of a change.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::apply::{DeviceEntry, State};
use crate::desired::definition;
use crate::device::{Access, Device, DeviceId, Model, Protocol};
use crate::driver::{Driver, Instance, InstanceProperty};
use crate::normalise::over;

/// Drivers by protocol, and what each was told last.
#[derive(Default)]
pub(crate) struct Drivers {
    by_protocol: HashMap<String, Arc<dyn Driver>>,
    driven: BTreeMap<DeviceId, Driven>,
}

struct Driven {
    driver: Arc<dyn Driver>,
    instance: Arc<Instance>,
}

impl fmt::Debug for Drivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drivers").field("protocols", &self.by_protocol.keys()).finish_non_exhaustive()
    }
}

impl Drivers {
    /// The newest driver of a protocol wins; its devices move at their next [`Drivers::redrive`].
    pub(crate) fn register(&mut self, protocols: Vec<String>, driver: &Arc<dyn Driver>) {
        for protocol in protocols {
            self.by_protocol.insert(protocol, driver.clone());
        }
    }

    pub(crate) fn is_driven(&self, id: &DeviceId) -> bool {
        self.driven.contains_key(id)
    }

    /// Tells the right driver the present truth about a device, and the former one that it is gone.
    pub(crate) fn redrive(&mut self, id: &DeviceId, state: &State) {
        let target = self.target(id, state);
        let before = self.driven.get(id);
        let same_driver = |target: &Driven| before.is_some_and(|before| Arc::ptr_eq(&before.driver, &target.driver));
        if let Some(before) = before
            && !target.as_ref().is_some_and(same_driver)
        {
            before.driver.remove(id);
        }
        match target {
            Some(target) => {
                let known = before.filter(|_| same_driver(&target)).map(|before| &before.instance);
                if known != Some(&target.instance) {
                    target.driver.apply(target.instance.clone());
                    self.driven.insert(id.clone(), target);
                }
            }
            None => {
                self.driven.remove(id);
            }
        }
    }

    fn target(&self, id: &DeviceId, state: &State) -> Option<Driven> {
        let device = state.devices.get(id)?;
        let document = device.document.as_ref()?;
        let driver = self.by_protocol.get(&document.protocol.name)?;
        // Without its model nobody knows the types: the device waits.
        let model = state.model_of(document)?;
        Some(Driven { driver: driver.clone(), instance: Arc::new(instance(device, document, &model)) })
    }
}

fn instance(device: &DeviceEntry, document: &Device, model: &Model) -> Instance {
    let properties = document.properties.iter().filter_map(|property| {
        let definition = definition(model, &property.name)?;
        let writable = definition.access == Access::ReadWrite;
        let expected = device.twins.get(&property.name).and_then(|entry| entry.expected.as_ref());
        Some(InstanceProperty {
            name: property.name.clone(),
            value_type: definition.value_type,
            access: definition.access,
            desired: expected.filter(|_| writable).map(|side| side.value.clone()),
            visitor: over(&definition.visitor, &property.visitor),
            collect_cycle: property.collect_cycle,
            report_cycle: property.report_cycle,
        })
    });
    Instance {
        id: device.id.clone(),
        protocol: Protocol {
            name: document.protocol.name.clone(),
            config: over(&model.protocol_config, &document.protocol.config),
        },
        properties: properties.collect(),
    }
}

//! The Modbus driver as the twin sees it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use edgeward_broker as broker;
use edgeward_service::Tasks;
use edgeward_twin::{DeviceId, DeviceState, Driver, Instance, TwinError, TwinHandle};
use parking_lot::Mutex;

use super::PROTOCOLS;
use super::bus::{Bus, Wanted};
use super::config::{Address, SlaveConfig};
use crate::report::{Report, Reports};

/// How the driver behaves towards slaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a slave may take to answer, unless its document says `timeout`.
    pub timeout: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// Pause after the first failure of a connection or slave; doubles from there.
    pub min_backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(5),
            min_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(30),
        }
    }
}

/// Drives every Modbus TCP slave of the node.
pub struct ModbusDriver {
    options: Options,
    reports: Reports,
    tasks: Tasks,
    buses: Mutex<Buses>,
}

#[derive(Default)]
struct Buses {
    by_address: HashMap<Address, Arc<Wanted>>,
    addresses: HashMap<DeviceId, Address>,
}

impl ModbusDriver {
    /// Registers at the twin; buses start and end with their devices.
    pub async fn start(
        options: Options,
        twin: &TwinHandle,
        broker: broker::Handle,
        tasks: &Tasks,
    ) -> Result<(), TwinError> {
        let tasks = tasks.child("modbus");
        let reports = Reports::start(twin.clone(), broker, &tasks);
        let driver = Arc::new(Self { options, reports, tasks, buses: Mutex::default() });
        twin.register_driver(&PROTOCOLS, driver).await
    }

    fn place(&self, id: DeviceId, config: SlaveConfig) {
        let mut buses = self.buses.lock();
        if buses.addresses.get(&id).is_some_and(|address| *address != config.address) {
            buses.take(&id);
        }
        let address = config.address.clone();
        buses.addresses.insert(id.clone(), address.clone());
        if let Some(bus) = buses.by_address.get(&address) {
            return bus.set(id, Arc::new(config));
        }
        let wanted = Arc::new(Wanted::default());
        wanted.set(id, Arc::new(config));
        buses.by_address.insert(address.clone(), wanted.clone());
        let bus = Bus::new(address, wanted, self.options.clone(), self.reports.clone());
        self.tasks.spawn_until_cancelled("bus", bus.run());
    }

    /// A document nobody can drive: the device is said to be unhealthy, the log says why.
    fn give_up(&self, id: &DeviceId, reason: &str) {
        tracing::warn!(device = %id, reason, "modbus device not driven");
        self.buses.lock().take(id);
        let (reports, report) = (self.reports.clone(), Report::State(id.clone(), DeviceState::Unhealthy));
        self.tasks.spawn_until_cancelled("give-up", async move { reports.send(report).await });
    }
}

impl Buses {
    /// Takes a device off its bus; a bus without devices ends.
    fn take(&mut self, id: &DeviceId) {
        let Some(address) = self.addresses.remove(id) else { return };
        if self.by_address.get(&address).is_some_and(|bus| bus.unset(id)) {
            self.by_address.remove(&address);
        }
    }
}

impl Driver for ModbusDriver {
    fn apply(&self, instance: Arc<Instance>) {
        match SlaveConfig::parse(&instance) {
            Ok(config) => self.place(instance.id.clone(), config),
            Err(reason) => self.give_up(&instance.id, &reason),
        }
    }

    fn remove(&self, id: &DeviceId) {
        self.buses.lock().take(id);
    }
}

//! The seam to protocol drivers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::device::{Access, DeviceId, Protocol, ValueType};

/// A device ready to be driven: its document merged with its model.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Namespace and name.
    pub id: DeviceId,
    /// Name and settings, the model's defaults filled in.
    pub protocol: Protocol,
    /// The properties both the device and its model name.
    pub properties: Vec<InstanceProperty>,
}

/// A property of an [`Instance`].
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceProperty {
    /// Its name.
    pub name: Arc<str>,
    /// Its type by the model.
    pub value_type: ValueType,
    /// Whether it may be written.
    pub access: Access,
    /// The value the device should have: from the cloud or from an MQTT peer's `expected`, the newest of both.
    pub desired: Option<Arc<str>>,
    /// Where the driver finds it, the model's defaults filled in.
    pub visitor: Value,
    /// How often to read it; the driver has a default.
    pub collect_cycle: Option<Duration>,
    /// How often to report it even when it did not change; `None`: the twin decides (equal values cost nothing).
    pub report_cycle: Option<Duration>,
}

/// A protocol driver, level-triggered: it is told what should be, never what to do.
///
/// The twin calls these methods from its writer task: they must not block or wait. A driver answers through
/// [`TwinHandle::report`](crate::TwinHandle::report) and
/// [`TwinHandle::set_state`](crate::TwinHandle::set_state).
pub trait Driver: Send + Sync + 'static {
    /// The device is new, or its document, model or a desired value changed. Called again with the whole truth each
    /// time, so a driver compares it with what it has.
    fn apply(&self, instance: Arc<Instance>);

    /// The device is no longer here, or its model is gone.
    fn remove(&self, id: &DeviceId);
}

/// Where drivers and simulators publish plain readings for rules: `telemetry/<namespace>/<name>`, payload
/// `{"deviceid":"<name>","namespace":…,"ts":<ms>,"<property>":<number, boolean or string>,…}`.
pub fn telemetry_topic(id: &DeviceId) -> String {
    format!("telemetry/{id}")
}

//! Twins: what every device of this node is, should be, and last reported.
//!
//! This room *is* the device state of a node: the devices and models the cloud placed here, the desired and reported
//! value of each of their properties, KubeEdge's MQTT conversation about them (`$hw/events/device/…`,
//! `$hw/events/node/…/membership/…`), the hand-over to protocol drivers and the queue of changes the cloud has not
//! confirmed yet. It is *not* a driver (see `edge/drivers`), not the link (the agent turns [`Outgoing`] into envelopes)
//! and not a time series: only the newest value of a property is kept.
//!
//! Invariants: a twin change is on disk before its result is published; the newest report of a property wins; one
//! writer task owns the state, so neither order nor atomicity needs a lock.
//!
//! Two rules differ from KubeEdge 1.23 on purpose, invisibly to its peers:
//! - An update that changes nothing costs no disk write, no `document` and no uplink; its `result` is published all the
//!   same. KubeEdge rewrites SQLite and sends every repeat to the cloud.
//! - Updates that arrive together share one transaction.

mod actor;
mod answer;
mod apply;
mod bus;
mod desired;
mod device;
mod drive;
mod driver;
mod error;
mod handle;
mod metrics;
mod normalise;
mod payload;
mod publish;
mod store;
mod twin;
mod uplink;
mod view;

pub use actor::{Options, Twin};
pub use device::{Access, Device, DeviceId, Model, ModelProperty, Property, Protocol, ValueType};
pub use driver::{Driver, Instance, InstanceProperty, telemetry_topic};
pub use error::TwinError;
pub use handle::{DeviceView, TwinHandle, TwinView};
pub use normalise::{parse_device, parse_model};
pub use payload::DeviceState;
pub use uplink::{Outgoing, TwinUplink};

#[cfg(test)]
mod replay_tests;

//! Protocol drivers: from registers and sockets to twins and back; and the simulators that stand in for devices.
//!
//! Each driver has its own folder with the same files: `config.rs` (what Device documents say), `driver.rs` (the face
//! to the twin), `codec.rs` (wire values), and its tasks. Drivers tell the twin the newest values
//! ([`edgeward_twin::TwinHandle::report`]) and publish every reading for rules on
//! [`edgeward_twin::telemetry_topic`]. This room is *not* the twin: it keeps nothing a restart could lose.
//!
//! Invariant: a driver that fails takes down no other driver, and a device that fails takes down no other device.

mod error;
pub mod modbus;
mod report;
pub mod simulate;

pub use error::DriverError;

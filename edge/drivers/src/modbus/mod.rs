//! Modbus TCP, configured as KubeEdge's Modbus mapper is.
//!
//! `config` reads what devices and models say, `plan` turns points into few requests, `codec` turns registers into
//! values, `driver` is the face to the twin, `bus` the task of one connection.

mod bus;
mod codec;
mod config;
mod driver;
mod metrics;
mod plan;
mod slave;

pub use driver::{ModbusDriver, Options};

/// The protocol names this driver answers to.
pub const PROTOCOLS: [&str; 2] = ["modbus", "modbus-tcp"];

//! Counters of the Modbus driver.

use edgeward_service::{Counter, Gauge};

pub(crate) static REQUESTS: Counter = Counter::new("edgeward_modbus_requests_total", "requests sent to slaves");
pub(crate) static EXCEPTIONS: Counter =
    Counter::new("edgeward_modbus_exceptions_total", "requests a slave answered with an exception code");
pub(crate) static TIMEOUTS: Counter =
    Counter::new("edgeward_modbus_timeouts_total", "requests no slave answered in time");
pub(crate) static MALFORMED: Counter =
    Counter::new("edgeward_modbus_malformed_total", "answers that were not Modbus or did not fit their request");
pub(crate) static CONNECT_FAILURES: Counter =
    Counter::new("edgeward_modbus_connect_failures_total", "connections to slaves that could not be made");
pub(crate) static READINGS: Counter = Counter::new("edgeward_modbus_readings_total", "values read from slaves");
pub(crate) static WRITES: Counter = Counter::new("edgeward_modbus_writes_total", "desired values written to slaves");
pub(crate) static WRITES_REFUSED: Counter =
    Counter::new("edgeward_modbus_writes_refused_total", "desired values that do not fit or that a slave refused");
pub(crate) static DECODE_FAILURES: Counter =
    Counter::new("edgeward_modbus_decode_failures_total", "registers that do not fit the type of their property");
pub(crate) static SLAVES: Gauge = Gauge::new("edgeward_modbus_slaves", "slaves being polled");

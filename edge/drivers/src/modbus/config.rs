//! What a Device says about its slave and its points, in KubeEdge's words.
//!
//! v1beta1: `protocol.configData {ip, port, slaveID, communicateMode?, timeout?}`, `visitors.configData {register,
//! offset, limit, scale, isSwap, isRegisterSwap}`. v1alpha2 documents arrive in the same flat form. Numbers may be JSON
//! numbers or text: both are found in the wild.

use std::sync::Arc;
use std::time::Duration;

use edgeward_twin::{Access, Instance, InstanceProperty, ValueType};
use serde_json::Value;

/// How often a point is read when its document does not say: KubeEdge's mapper default.
const DEFAULT_CYCLE: Duration = Duration::from_secs(1);
/// Faster cycles are slowed down to this.
const MIN_CYCLE: Duration = Duration::from_millis(10);
/// Most registers one request may read (Modbus application protocol 1.1b3, section 6.3).
pub(crate) const MAX_REGISTERS: u16 = 125;
/// Most coils one request may read.
pub(crate) const MAX_COILS: u16 = 2000;

/// Where a slave is reached: one connection for all slaves of one address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub host: String,
    pub port: u16,
}

/// A slave and its points.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SlaveConfig {
    pub address: Address,
    pub unit: u8,
    /// How long to wait for an answer; the driver has a default.
    pub timeout: Option<Duration>,
    pub points: Vec<Point>,
}

/// One property of a slave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub name: Arc<str>,
    pub table: Table,
    pub offset: u16,
    /// Registers or coils it spans.
    pub limit: u16,
    pub scale: f64,
    /// Swap the two bytes of each register.
    pub swap: bool,
    /// Reverse the order of registers.
    pub register_swap: bool,
    /// Read whole numbers as two's complement. KubeEdge reads all as unsigned; this is our addition.
    pub signed: bool,
    pub value_type: ValueType,
    /// `None` when the point cannot be written.
    pub desired: Option<Arc<str>>,
    pub cycle: Duration,
    /// Reports to the twin are at least this far apart.
    pub report_cycle: Duration,
}

/// The four tables of a slave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Table {
    Coil,
    DiscreteInput,
    InputRegister,
    HoldingRegister,
}

impl Table {
    pub(crate) fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::DiscreteInput)
    }

    pub(crate) fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::HoldingRegister)
    }

    /// Most entries one request may read.
    pub(crate) fn request_limit(self) -> u16 {
        if self.is_bits() { MAX_COILS } else { MAX_REGISTERS }
    }
}

impl SlaveConfig {
    /// Reads an instance; the error names the field, the reason and the remedy.
    pub(crate) fn parse(instance: &Instance) -> Result<Self, String> {
        let config = &instance.protocol.config;
        if config.get("serialPort").is_some() || text(config, "communicateMode").is_some_and(|mode| !is_tcp(&mode)) {
            return Err("protocol asks for a serial line; only Modbus TCP is built in: use a TCP gateway".to_owned());
        }
        let host = text(config, "ip").or_else(|| text(config, "host"));
        let host = host
            .filter(|host| !host.is_empty())
            .ok_or("protocol.configData.ip is missing; give the slave's address")?;
        let port = within(config, "port", 1..=u16::MAX)?.unwrap_or(502);
        let unit = within(config, "slaveID", 0..=255)?.unwrap_or(1);
        // A property without a visitor is not the slave's: v1alpha2 twins may name more than there are registers.
        let visited = instance.properties.iter().filter(|property| property.visitor.is_object());
        let points = visited.map(Point::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            address: Address { host, port },
            unit: u8::try_from(unit).unwrap_or(u8::MAX),
            timeout: within(config, "timeout", 1..=60_000)?.map(|ms| Duration::from_millis(ms.into())),
            points,
        })
    }
}

fn is_tcp(mode: &str) -> bool {
    mode.is_empty() || mode.eq_ignore_ascii_case("tcp")
}

impl Point {
    fn parse(property: &InstanceProperty) -> Result<Self, String> {
        let visitor = &property.visitor;
        let named = |reason: String| format!("property {}: {reason}", property.name);
        let register = text(visitor, "register").unwrap_or_default();
        let table = parse_table(&register).ok_or_else(|| {
            named(format!(
                "visitor register {register:?} is unknown; use CoilRegister, DiscreteInputRegister, InputRegister or HoldingRegister"
            ))
        })?;
        let offset = within(visitor, "offset", 0..=u16::MAX).map_err(named)?.unwrap_or(0);
        let limit = within(visitor, "limit", 1..=table.request_limit()).map_err(named)?.unwrap_or(1);
        if offset.checked_add(limit - 1).is_none() {
            return Err(named(format!("offset {offset} with limit {limit} passes the last register, 65535")));
        }
        let writable = property.access == Access::ReadWrite && table.is_writable();
        Ok(Self {
            name: property.name.clone(),
            table,
            offset,
            limit,
            scale: number(visitor, "scale").filter(|scale| *scale != 0.0 && scale.is_finite()).unwrap_or(1.0),
            swap: flag(visitor, "isSwap"),
            register_swap: flag(visitor, "isRegisterSwap"),
            signed: flag(visitor, "isSigned"),
            value_type: property.value_type,
            desired: property.desired.clone().filter(|_| writable),
            cycle: property.collect_cycle.unwrap_or(DEFAULT_CYCLE).max(MIN_CYCLE),
            report_cycle: property.report_cycle.unwrap_or_default(),
        })
    }
}

fn parse_table(register: &str) -> Option<Table> {
    Some(match register {
        "CoilRegister" | "Coil" => Table::Coil,
        "DiscreteInputRegister" | "DiscreteInput" => Table::DiscreteInput,
        "InputRegister" => Table::InputRegister,
        "HoldingRegister" => Table::HoldingRegister,
        _ => return None,
    })
}

/// A whole number of a field that may be missing but not wrong.
fn within(map: &Value, key: &str, range: std::ops::RangeInclusive<u16>) -> Result<Option<u16>, String> {
    if map.get(key).is_none_or(Value::is_null) {
        return Ok(None);
    }
    let found = number(map, key).filter(|value| value.fract() == 0.0);
    let inside = found.filter(|value| f64::from(*range.start()) <= *value && *value <= f64::from(*range.end()));
    match inside {
        // The range check leaves only whole numbers that fit.
        Some(value) => Ok(Some(value as u16)),
        None => Err(format!("{key} must be a whole number from {} to {}", range.start(), range.end())),
    }
}

fn number(map: &Value, key: &str) -> Option<f64> {
    match map.get(key)? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

fn text(map: &Value, key: &str) -> Option<String> {
    Some(map.get(key)?.as_str()?.to_owned())
}

fn flag(map: &Value, key: &str) -> bool {
    match map.get(key) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use edgeward_twin::{DeviceId, Protocol};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn instance(config: Value, visitor: Value) -> Instance {
        Instance {
            id: DeviceId::new("default", "m1"),
            protocol: Protocol { name: "modbus".to_owned(), config },
            properties: vec![InstanceProperty {
                name: "p".into(),
                value_type: ValueType::Int,
                access: Access::ReadWrite,
                desired: Some("1".into()),
                visitor,
                collect_cycle: None,
                report_cycle: None,
            }],
        }
    }

    #[test]
    fn reads_kubeedges_fields() {
        let config = json!({"ip": "10.0.0.1", "port": "1502", "slaveID": 7.0});
        let visitor = json!({"register": "HoldingRegister", "offset": 2, "limit": 2, "scale": 0.5, "isSwap": true,
            "isRegisterSwap": "true"});
        let slave = SlaveConfig::parse(&instance(config, visitor)).unwrap();
        assert_eq!(slave.address, Address { host: "10.0.0.1".to_owned(), port: 1502 });
        assert_eq!(slave.unit, 7);
        let point = &slave.points[0];
        assert_eq!((point.table, point.offset, point.limit), (Table::HoldingRegister, 2, 2));
        assert!(point.swap && point.register_swap && !point.signed);
        assert_eq!((point.scale, point.cycle), (0.5, Duration::from_secs(1)));
        assert_eq!(point.desired.as_deref(), Some("1"));
    }

    #[test]
    fn wrong_fields_are_named() {
        let good = || json!({"ip": "h"});
        let point = || json!({"register": "CoilRegister"});
        let check = |config: Value, visitor: Value, expect: &str| {
            let error = SlaveConfig::parse(&instance(config, visitor)).unwrap_err();
            assert!(error.contains(expect), "{error}");
        };
        check(json!({}), point(), "ip is missing");
        check(json!({"ip": "h", "port": 70000}), point(), "port must be");
        check(json!({"ip": "h", "slaveID": -1}), point(), "slaveID must be");
        check(json!({"ip": "h", "timeout": 0}), point(), "timeout must be");
        check(json!({"ip": "h", "communicateMode": "rtu"}), point(), "serial");
        check(json!({"serialPort": "/dev/ttyS0"}), point(), "serial");
        check(good(), json!({}), "register \"\" is unknown");
        check(good(), json!({"register": "InputRegister", "limit": 126}), "limit must be");
        check(good(), json!({"register": "InputRegister", "offset": 1.5}), "offset must be");
        check(good(), json!({"register": "InputRegister", "offset": 65535, "limit": 2}), "passes the last register");
    }

    #[test]
    fn inputs_are_never_written() {
        let slave = SlaveConfig::parse(&instance(json!({"ip": "h"}), json!({"register": "InputRegister"}))).unwrap();
        assert_eq!(slave.points[0].desired, None);
    }

    proptest! {
        #[test]
        fn any_numbers_are_read_or_refused(port in any::<f64>(), offset in any::<i64>(), limit in any::<i64>(), scale in any::<f64>()) {
            let visitor = json!({"register": "InputRegister", "offset": offset, "limit": limit, "scale": scale});
            let _either = SlaveConfig::parse(&instance(json!({"ip": "h", "port": port}), visitor));
        }
    }
}

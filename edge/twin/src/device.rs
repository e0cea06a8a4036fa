//! Devices and models in one inner form, whatever version their documents were written in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// `<namespace>/<name>`, KubeEdge's device id since 1.16. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId {
    text: Arc<str>,
    slash: usize,
}

impl DeviceId {
    /// The id of a namespaced device.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { text: format!("{namespace}/{name}").into(), slash: namespace.len() }
    }

    /// Reads `<namespace>/<name>`; `None` unless both parts are there and no third.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        let valid = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
        valid.then(|| Self { text: text.into(), slash: namespace.len() })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.text[..self.slash]
    }

    /// The name inside the namespace.
    pub fn name(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// `<namespace>/<name>`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A Device of either served version (`devices.kubeedge.io/v1alpha2`, `v1beta1`), normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Namespace and name.
    pub id: DeviceId,
    /// The label `description`, which KubeEdge shows in membership messages.
    pub description: String,
    /// `spec.deviceModelRef.name`, in the same namespace; empty when the device names none.
    pub model: String,
    /// How the device is reached.
    pub protocol: Protocol,
    /// The properties of the instance, in document order.
    pub properties: Vec<Property>,
}

/// Protocol name and its settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Protocol {
    /// Lower case: `modbus`, `opcua`, `bluetooth` or what the document says; empty when it says nothing.
    pub name: String,
    /// v1beta1 `spec.protocol.configData`. v1alpha2 documents are folded into the same flat form: the protocol's own
    /// fields beside those of `common.tcp` and `common.com`.
    pub config: Value,
}

/// One property of a device instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// The property's name, as in the model.
    pub name: Arc<str>,
    /// The value the cloud wants, if any.
    pub desired: Option<String>,
    /// Where the driver finds it: v1beta1 `visitors.configData`, v1alpha2 `propertyVisitors[].<protocol>`.
    pub visitor: Value,
    /// How often a driver reads it.
    pub collect_cycle: Option<Duration>,
    /// How often a driver reports it at least, changed or not.
    pub report_cycle: Option<Duration>,
    /// Whether changes go to the cloud: v1beta1 `reportToCloud`, true when absent.
    pub report_to_cloud: bool,
}

/// A DeviceModel of either version, normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Namespace and name.
    pub id: DeviceId,
    /// Property definitions in document order.
    pub properties: Vec<ModelProperty>,
    /// Defaults under the device's own protocol settings (KubeEdge 1.22+: `spec.protocolConfigData`).
    pub protocol_config: Value,
}

/// The definition of a property.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelProperty {
    /// Its name.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
    /// Whether desired values may be written to the device.
    pub access: Access,
    /// Smallest value a desired value may have.
    pub minimum: Option<f64>,
    /// Largest value a desired value may have.
    pub maximum: Option<f64>,
    /// Defaults under the instance's visitor (KubeEdge 1.22+).
    pub visitor: Value,
}

/// The types of device models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A whole number.
    Int,
    /// A number, single precision at the device.
    Float,
    /// A number.
    Double,
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// Bytes, as text of the driver's choice.
    Bytes,
    /// A stream of frames, which has no twin.
    Stream,
}

impl ValueType {
    /// Reads `INT`, `float`, `boolean`, … in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "int" | "integer" => Self::Int,
            "float" => Self::Float,
            "double" => Self::Double,
            "boolean" | "bool" => Self::Boolean,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "stream" => Self::Stream,
            _ => return None,
        })
    }

    /// The twin's `metadata.type`. KubeEdge's twin knows neither `double` nor `bytes`, so these become `float` and
    /// `string`: an MQTT peer may then report them too.
    pub fn twin_type(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float | Self::Double => "float",
            Self::Boolean => "boolean",
            Self::String | Self::Bytes | Self::Stream => "string",
        }
    }

    /// Whether values of this type are JSON numbers in telemetry.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Double)
    }
}

/// Whether a property may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Desired values are refused.
    ReadOnly,
    /// Desired values go to the device.
    ReadWrite,
}

//! The JSON of KubeEdge's device topics (1.23, `edge/pkg/devicetwin/dttype`): requests read, answers written.
//!
//! Reading is total: any bytes give a request or a [`Refusal`] with the code and reason KubeEdge gives.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::twin::{Entry, TwinValue, Version};

/// Bad request.
pub(crate) const BAD_REQUEST: u16 = 400;
/// The device is not of this node.
pub(crate) const NOT_FOUND: u16 = 404;
/// The store failed.
pub(crate) const INTERNAL: u16 = 500;

/// A refused request, as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// One of the codes above.
    pub code: u16,
    /// Text for people.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn bad(reason: impl Into<String>) -> Self {
        Self { code: BAD_REQUEST, reason: reason.into() }
    }
}

/// `twin/update`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct UpdateRequest {
    #[serde(default)]
    pub event_id: String,
    /// Read only to refuse what is not a number: server time counts.
    #[serde(default, rename = "timestamp")]
    _timestamp: i64,
    #[serde(default)]
    pub twin: Option<BTreeMap<String, Option<TwinRequest>>>,
}

/// What an update says of one property.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct TwinRequest {
    #[serde(default)]
    pub expected: Option<ValueRequest>,
    #[serde(default)]
    pub actual: Option<ValueRequest>,
    #[serde(default)]
    pub optional: Option<bool>,
    #[serde(default)]
    pub metadata: Option<TypeMetadata>,
}

/// A value; its own timestamp is ignored.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ValueRequest {
    #[serde(default)]
    pub value: Option<String>,
}

/// `metadata` of a property.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct TypeMetadata {
    #[serde(default, rename = "type")]
    pub value_type: String,
}

/// `twin/get` and `membership/get`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct BaseRequest {
    #[serde(default)]
    pub event_id: String,
    #[serde(default, rename = "timestamp")]
    _timestamp: i64,
}

#[derive(Deserialize)]
struct StateRequest {
    #[serde(default)]
    state: String,
}

impl UpdateRequest {
    /// Reads and checks names and characters; types are checked against the twin later.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        let request: Self = serde_json::from_slice(payload)
            .map_err(|_| Refusal::bad("Unmarshal update request body failed, please check the request"))?;
        let Some(twin) = &request.twin else {
            return Err(Refusal::bad("Update twin error, key:twin does not exist"));
        };
        check_update(twin.iter().map(|(name, update)| (name.as_str(), update.as_ref())))?;
        Ok(request)
    }
}

/// Names and characters of an update. Types are checked against the twin later.
pub(crate) fn check_update<'a>(twin: impl Iterator<Item = (&'a str, Option<&'a TwinRequest>)>) -> Result<(), Refusal> {
    for (name, update) in twin {
        check_name(name)?;
        for value in update.into_iter().flat_map(|update| [&update.expected, &update.actual]).flatten() {
            check_value(value.value.as_deref().unwrap_or_default())?;
        }
    }
    Ok(())
}

impl From<&str> for TypeMetadata {
    fn from(value_type: &str) -> Self {
        Self { value_type: value_type.to_owned() }
    }
}

impl BaseRequest {
    /// Reads a request that carries nothing but its id; `what` names it in the refusal.
    pub(crate) fn parse(payload: &[u8], what: &str) -> Result<Self, Refusal> {
        serde_json::from_slice(payload).map_err(|error| {
            let cause = match payload {
                // The text a Go peer sees, kept because scripts look for it.
                b"" => r#"&json.SyntaxError{msg:"unexpected end of JSON input", Offset:0}"#.to_owned(),
                _ => error.to_string(),
            };
            Refusal::bad(format!("Unmarshal {what} info  failed , err: {cause}"))
        })
    }
}

/// Reads `state/update`; `None` for what KubeEdge ignores in silence: bad JSON and states it does not know.
pub(crate) fn parse_state(payload: &[u8]) -> Option<DeviceState> {
    let request: StateRequest = serde_json::from_slice(payload).ok()?;
    DeviceState::parse(&request.state)
}

/// The states of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Works, as older mappers say it.
    Ok,
    /// Reachable.
    Online,
    /// Not reachable.
    Offline,
    /// Reachable, but wrong.
    Unhealthy,
    /// Nobody knows.
    Unknown,
}

impl DeviceState {
    /// Reads a state in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ok, Self::Online, Self::Offline, Self::Unhealthy, Self::Unknown]
            .into_iter()
            .find(|state| text.eq_ignore_ascii_case(state.as_str()))
    }

    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the device was there when it said so; only then `lastOnlineTime` moves.
    pub fn is_online(self) -> bool {
        matches!(self, Self::Ok | Self::Online)
    }
}

/// `^[a-zA-Z0-9-_.,:/@#]{1,128}$`
fn check_name(name: &str) -> Result<(), Refusal> {
    if (1..=128).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(Refusal::bad(
        "The key of twin must only include upper or lowercase letters, number, english, and special letter - _ . , : / @ # and the length of key should be less than 128 bytes",
    ))
}

/// The same characters, 512 at most; empty is allowed.
fn check_value(value: &str) -> Result<(), Refusal> {
    if value.len() <= 512 && value.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(Refusal::bad(
        "The value of twin must only include upper or lowercase letters, number, english, and special letter - _ . , : / @ # and the length of value should be less than 512 bytes",
    ))
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.,:/@#".contains(&byte)
}

/// Whether a type may be named in an update. `deleted` is for rows, not for requests.
pub(crate) fn check_type_name(value_type: &str) -> Result<(), Refusal> {
    match value_type {
        "string" | "int" | "integer" | "float" | "boolean" => Ok(()),
        _ => Err(Refusal::bad("the value type is not allowed")),
    }
}

/// Whether a value fits a type that [`check_type_name`] allows; the refusals are KubeEdge's
/// (`dtcommon.ValidateValue`).
pub(crate) fn check_type(value_type: &str, value: &str) -> Result<(), Refusal> {
    let reason = match value_type {
        "int" | "integer" if value.parse::<i64>().is_err() => "the value is not int or integer",
        "float" if value.parse::<f64>().is_err() => "the value is not float",
        "boolean" if !matches!(value, "true" | "false") => "the bool value must be true or false",
        _ => return Ok(()),
    };
    Err(Refusal::bad(reason))
}

/// The type of a property that was deleted; its row stays.
pub(crate) const DELETED: &str = "deleted";

/// Writes a document whose serialisation cannot fail: text keys and plain values only.
pub(crate) fn to_bytes(document: &impl Serialize) -> bytes::Bytes {
    serde_json::to_vec(document).unwrap_or_default().into()
}

/// A MsgTwin to write: which sides of an entry, with or without versions.
pub(crate) struct TwinOut<'a> {
    pub expected: Option<&'a TwinValue>,
    pub actual: Option<&'a TwinValue>,
    pub expected_version: Option<Version>,
    pub actual_version: Option<Version>,
    pub optional: bool,
    pub value_type: &'a str,
}

impl<'a> TwinOut<'a> {
    /// Both sides, no versions: what MQTT peers see.
    pub(crate) fn of(entry: &'a Entry) -> Self {
        Self {
            expected: entry.expected.as_ref(),
            actual: entry.actual.as_ref(),
            expected_version: None,
            actual_version: None,
            optional: entry.optional,
            value_type: &entry.value_type,
        }
    }

    /// Both sides and their versions: what the cloud sees. A deleted property has `"actual":{}`, as KubeEdge sends it.
    pub(crate) fn for_cloud(entry: &'a Entry) -> Self {
        Self { expected_version: entry.expected_version, actual_version: entry.actual_version, ..Self::of(entry) }
    }
}

impl Serialize for TwinOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(expected) = self.expected {
            map.serialize_entry("expected", expected)?;
        }
        if let Some(actual) = self.actual {
            map.serialize_entry("actual", actual)?;
        } else if self.value_type == DELETED {
            map.serialize_entry("actual", &BTreeMap::<(), ()>::new())?;
        }
        map.serialize_entry("optional", &self.optional)?;
        map.serialize_entry("metadata", &TypeOut { value_type: self.value_type })?;
        if let Some(version) = self.expected_version {
            map.serialize_entry("expected_version", &version)?;
        }
        if let Some(version) = self.actual_version {
            map.serialize_entry("actual_version", &version)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct TypeOut<'a> {
    #[serde(rename = "type")]
    value_type: &'a str,
}

impl Serialize for TwinValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Stamp {
            timestamp: i64,
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("value", &*self.value)?;
        map.serialize_entry("metadata", &Stamp { timestamp: self.timestamp })?;
        map.end()
    }
}

/// Fields every answer begins with, and the body under its own key.
#[derive(Serialize)]
pub(crate) struct Answer<'a, T> {
    pub event_id: &'a str,
    pub timestamp: i64,
    #[serde(flatten)]
    pub body: T,
}

/// `{code, reason}`.
#[derive(Serialize)]
pub(crate) struct RefusalOut<'a> {
    pub code: u16,
    pub reason: &'a str,
}

/// `{twin: …}` of results, gets, deltas and documents.
#[derive(Serialize)]
pub(crate) struct TwinsOut<M> {
    pub twin: M,
}

/// `{twin, delta}`.
#[derive(Serialize)]
pub(crate) struct DeltaOut<'a> {
    pub twin: BTreeMap<&'a str, TwinOut<'a>>,
    pub delta: BTreeMap<&'a str, &'a str>,
}

/// `{last, current}` of one property.
#[derive(Serialize)]
pub(crate) struct DocumentOut<'a> {
    pub last: Option<TwinOut<'a>>,
    pub current: Option<TwinOut<'a>>,
}

/// `{device: {name, state, lastOnlineTime}}`.
#[derive(Serialize)]
pub(crate) struct StateOut<'a> {
    pub device: StateDevice<'a>,
}

#[derive(Serialize)]
pub(crate) struct StateDevice<'a> {
    pub name: &'a str,
    pub state: &'a str,
    #[serde(rename = "lastOnlineTime", skip_serializing_if = "Option::is_none")]
    pub last_online: Option<&'a str>,
}

/// A device in membership answers.
#[derive(Serialize)]
pub(crate) struct MemberOut<'a> {
    pub id: &'a str,
    pub name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_online: Option<&'a str>,
}

/// `{devices: […]}`.
#[derive(Serialize)]
pub(crate) struct MembersOut<'a> {
    pub devices: Vec<MemberOut<'a>>,
}

/// `{added_devices, removed_devices}`.
#[derive(Serialize)]
pub(crate) struct MembershipOut<'a> {
    pub added_devices: Option<Vec<MemberOut<'a>>>,
    pub removed_devices: Option<Vec<MemberOut<'a>>>,
}

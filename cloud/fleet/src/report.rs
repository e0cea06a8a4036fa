//! What nodes report, and what it makes of a DeviceStatus.

use std::collections::BTreeMap;

use edgeward_hub::HandlerError;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Reports of one device that were not written yet; later ones were merged over earlier ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Update {
    twins: BTreeMap<String, Twin>,
    state: Option<State>,
}

#[derive(Clone, Debug, PartialEq)]
enum Twin {
    /// The sides that were reported, as DeviceStatus holds them.
    Set { reported: Option<Value>, desired: Option<Value> },
    /// The property was deleted on the node.
    Deleted,
}

#[derive(Clone, Debug, PartialEq)]
struct State {
    word: String,
    last_online: Option<String>,
}

#[derive(Deserialize)]
struct TwinContent {
    twin: BTreeMap<String, Option<MsgTwin>>,
}

#[derive(Deserialize)]
struct MsgTwin {
    expected: Option<Side>,
    actual: Option<Side>,
    metadata: Option<TypeMetadata>,
}

#[derive(Deserialize)]
struct Side {
    value: Option<String>,
    metadata: Option<Stamp>,
}

#[derive(Deserialize)]
struct Stamp {
    timestamp: Option<i64>,
}

#[derive(Deserialize)]
struct TypeMetadata {
    #[serde(rename = "type")]
    value_type: Option<String>,
}

#[derive(Deserialize)]
struct StateContent {
    device: StateDevice,
}

#[derive(Deserialize)]
struct StateDevice {
    state: String,
    #[serde(rename = "lastOnlineTime")]
    last_online: Option<String>,
}

impl Update {
    /// Reads `{event_id,timestamp,twin:{<property>:MsgTwin}}`.
    pub(crate) fn parse_twins(content: &str) -> Result<Self, HandlerError> {
        let content: TwinContent =
            serde_json::from_str(content).map_err(|error| format!("twin report is not readable: {error}"))?;
        let twins = content.twin.into_iter().map(|(name, twin)| (name, twin.map_or(Twin::Deleted, Twin::from)));
        Ok(Self { twins: twins.collect(), state: None })
    }

    /// Reads `{event_id,timestamp,device:{name,state,lastOnlineTime}}`.
    pub(crate) fn parse_state(content: &str) -> Result<Self, HandlerError> {
        let content: StateContent =
            serde_json::from_str(content).map_err(|error| format!("state report is not readable: {error}"))?;
        let last_online = content.device.last_online.filter(|time| !time.is_empty());
        Ok(Self { twins: BTreeMap::new(), state: Some(State { word: content.device.state, last_online }) })
    }

    /// Puts a later report over this one.
    pub(crate) fn merge(&mut self, later: Self) {
        for (name, twin) in later.twins {
            let merged = match (self.twins.remove(&name), twin) {
                (Some(Twin::Set { reported, desired }), Twin::Set { reported: new, desired: wish }) => {
                    Twin::Set { reported: new.or(reported), desired: wish.or(desired) }
                }
                (_, twin) => twin,
            };
            self.twins.insert(name, merged);
        }
        if let Some(mut state) = later.state {
            let before = self.state.take().and_then(|state| state.last_online);
            state.last_online = state.last_online.or(before);
            self.state = Some(state);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.twins.is_empty() && self.state.is_none()
    }

    /// Drops the properties `keep` does not want; returns how many.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) -> usize {
        let before = self.twins.len();
        self.twins.retain(|name, _| keep(name));
        before - self.twins.len()
    }

    /// The fields of a DeviceStatus `status` that change, or `None`. Times alone are no change.
    pub(crate) fn over(&self, status: &Value) -> Option<Map<String, Value>> {
        let mut changes = Map::new();
        let mut twins = status.get("twins").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut changed = false;
        for (name, twin) in &self.twins {
            changed |= twin.put(name, &mut twins);
        }
        if changed {
            changes.insert("twins".to_owned(), twins.into());
        }
        if let Some(state) = &self.state {
            if status.get("state").and_then(Value::as_str) != Some(&state.word) {
                changes.insert("state".to_owned(), state.word.as_str().into());
            }
            let known = status.get("lastOnlineTime").and_then(Value::as_str);
            if let Some(time) = state.last_online.as_deref().filter(|time| Some(*time) != known) {
                changes.insert("lastOnlineTime".to_owned(), time.into());
            }
        }
        (!changes.is_empty()).then_some(changes)
    }
}

impl From<MsgTwin> for Twin {
    fn from(twin: MsgTwin) -> Self {
        let value_type = twin.metadata.and_then(|metadata| metadata.value_type).unwrap_or_default();
        if value_type == "deleted" {
            return Self::Deleted;
        }
        let side = |side: Side| {
            let timestamp = side.metadata.and_then(|metadata| metadata.timestamp).unwrap_or_default();
            let mut metadata = Map::new();
            metadata.insert("timestamp".to_owned(), timestamp.to_string().into());
            metadata.insert("type".to_owned(), value_type.as_str().into());
            Some(json!({"metadata": metadata, "value": side.value?}))
        };
        Self::Set { reported: twin.actual.and_then(side), desired: twin.expected.and_then(side) }
    }
}

impl Twin {
    /// Brings this property into the list; returns whether that changed anything but times.
    fn put(&self, name: &str, twins: &mut Vec<Value>) -> bool {
        let at = twins.iter().position(|twin| twin.get("propertyName").and_then(Value::as_str) == Some(name));
        let Self::Set { reported, desired } = self else {
            return at.map(|at| twins.remove(at)).is_some();
        };
        let at = at.unwrap_or_else(|| {
            twins.push(json!({"observedDesired": {"value": ""}, "propertyName": name, "reported": {"value": ""}}));
            twins.len() - 1
        });
        let sides = [("reported", reported), ("observedDesired", desired)];
        sides.into_iter().fold(false, |changed, (key, side)| {
            let Some(side) = side else { return changed };
            let differs = !same(&twins[at][key], side);
            if differs {
                twins[at][key] = side.clone();
            }
            changed | differs
        })
    }
}

/// Equal in value and type.
fn same(a: &Value, b: &Value) -> bool {
    a.get("value") == b.get("value") && a.pointer("/metadata/type") == b.pointer("/metadata/type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twin(value: &str, timestamp: i64) -> Update {
        let actual = json!({"value": value, "metadata": {"timestamp": timestamp}});
        Update::parse_twins(&json!({"twin": {"t": {"actual": actual, "metadata": {"type": "int"}}}}).to_string())
            .unwrap()
    }

    #[test]
    fn the_first_report_fills_the_twin_and_an_equal_one_costs_nothing() {
        let changes = twin("21", 5).over(&json!({})).unwrap();
        assert_eq!(
            changes["twins"],
            json!([{"observedDesired": {"value": ""}, "propertyName": "t",
                "reported": {"metadata": {"timestamp": "5", "type": "int"}, "value": "21"}}])
        );
        let status = json!({"twins": changes["twins"]});
        assert_eq!(twin("21", 9).over(&status), None);
        assert!(twin("22", 9).over(&status).is_some());
    }

    #[test]
    fn later_reports_win() {
        let mut update = twin("1", 1);
        update.merge(Update::parse_state(r#"{"device":{"state":"online","lastOnlineTime":"t1"}}"#).unwrap());
        update.merge(twin("2", 2));
        update.merge(Update::parse_state(r#"{"device":{"state":"offline"}}"#).unwrap());
        let changes = update.over(&json!({})).unwrap();
        assert_eq!(changes["twins"][0]["reported"]["value"], "2");
        assert_eq!((&changes["state"], &changes["lastOnlineTime"]), (&json!("offline"), &json!("t1")));
    }

    #[test]
    fn a_deleted_property_leaves() {
        let status = json!({"twins": twin("1", 1).over(&json!({})).unwrap()["twins"]});
        let gone = r#"{"twin":{"t":{"actual":{},"optional":true,"metadata":{"type":"deleted"}}}}"#;
        let changes = Update::parse_twins(gone).unwrap().over(&status).unwrap();
        assert_eq!(changes["twins"], json!([]));
        assert_eq!(Update::parse_twins(gone).unwrap().over(&json!({})), None);
    }

    #[test]
    fn what_is_not_a_report_is_refused() {
        for text in ["", "[]", "{}", r#"{"twin":7}"#, r#"{"twin":{"a":{"actual":{"value":1}}}}"#] {
            assert!(Update::parse_twins(text).is_err(), "{text}");
        }
        for text in ["", "{}", r#"{"device":{}}"#, r#"{"device":{"state":1}}"#] {
            assert!(Update::parse_state(text).is_err(), "{text}");
        }
    }
}

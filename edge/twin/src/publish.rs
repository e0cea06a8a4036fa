//! Topics, and the answers written to them.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::device::DeviceId;
use crate::payload::{Answer, DeltaOut, Refusal, RefusalOut, TwinOut, to_bytes};
use crate::twin::Entry;

/// Filters of the requests this room answers.
pub(crate) const REQUESTS: [&str; 3] =
    ["$hw/events/device/+/+/twin/+", "$hw/events/device/+/+/state/update", "$hw/events/node/+/membership/get"];

/// A message to publish once the change behind it is on disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Publication {
    pub topic: String,
    pub payload: Bytes,
}

/// A request by its topic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    TwinUpdate(DeviceId),
    TwinGet(DeviceId),
    StateUpdate(DeviceId),
    MembershipGet,
}

/// Reads a topic; `None` for everything that is not a request to this node, such as our own answers.
pub(crate) fn parse_topic(topic: &str, node: &str) -> Option<Request> {
    let rest = topic.strip_prefix("$hw/events/")?;
    if let Some(rest) = rest.strip_prefix("node/") {
        return (rest.strip_suffix("/membership/get")? == node).then_some(Request::MembershipGet);
    }
    let rest = rest.strip_prefix("device/")?;
    let (id, action): (_, fn(DeviceId) -> Request) = if let Some(id) = rest.strip_suffix("/twin/update") {
        (id, Request::TwinUpdate)
    } else if let Some(id) = rest.strip_suffix("/twin/get") {
        (id, Request::TwinGet)
    } else {
        (rest.strip_suffix("/state/update")?, Request::StateUpdate)
    };
    DeviceId::parse(id).map(action)
}

/// `$hw/events/device/<id>/<what>`. An empty id is KubeEdge's address for requests it could not read.
pub(crate) fn device_topic(id: &str, what: &str) -> String {
    format!("$hw/events/device/{id}/{what}")
}

/// `$hw/events/node/<node>/membership/<what>`
pub(crate) fn membership_topic(node: &str, what: &str) -> String {
    format!("$hw/events/node/{node}/membership/{what}")
}

/// A fresh id for an event that answers nobody.
pub(crate) fn event_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

pub(crate) fn refusal(topic: String, event_id: &str, refusal: &Refusal, timestamp: i64) -> Publication {
    let body = RefusalOut { code: refusal.code, reason: &refusal.reason };
    Publication { topic, payload: to_bytes(&Answer { event_id, timestamp, body }) }
}

/// The delta of a device: every property with an expected value, and those the device does not match yet. `None` when
/// it matches all.
pub(crate) fn delta(
    id: &DeviceId,
    twins: &BTreeMap<std::sync::Arc<str>, Entry>,
    timestamp: i64,
) -> Option<Publication> {
    let expecting = || twins.iter().filter(|(_, entry)| entry.expected.is_some());
    let delta: BTreeMap<&str, &str> =
        expecting().filter_map(|(name, entry)| Some((&**name, entry.pending_desired()?))).collect();
    if delta.is_empty() {
        return None;
    }
    let twin = expecting().map(|(name, entry)| (&**name, TwinOut::of(entry))).collect();
    let answer = Answer { event_id: &event_id(), timestamp, body: DeltaOut { twin, delta } };
    Some(Publication { topic: device_topic(id.as_str(), "twin/update/delta"), payload: to_bytes(&answer) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics() {
        let id = || DeviceId::new("default", "d");
        let check = |topic: &str, expect: Option<Request>| assert_eq!(parse_topic(topic, "n1"), expect, "{topic}");
        check("$hw/events/device/default/d/twin/update", Some(Request::TwinUpdate(id())));
        check("$hw/events/device/default/d/twin/get", Some(Request::TwinGet(id())));
        check("$hw/events/device/default/d/state/update", Some(Request::StateUpdate(id())));
        check("$hw/events/node/n1/membership/get", Some(Request::MembershipGet));
        check("$hw/events/node/n2/membership/get", None);
        check("$hw/events/device/d/twin/get", None);
        check("$hw/events/device/a/b/c/twin/get", None);
        check("$hw/events/device/default/d/twin/update/result", None);
        check("$hw/events/device//d/twin/get", None);
        check("$hw/events/device/default/d/twin/cloud_updated", None);
        check("sensors/1", None);
    }
}

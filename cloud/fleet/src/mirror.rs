//! Keeps a Device's annotation and own status as they should be: where it is, how it is, and what it last said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use edgeward_control::{Error, Key};
use edgeward_hub::DEVICE_NODE_ANNOTATION;
use edgeward_service::clock::now_rfc3339;
use kube::api::{DynamicObject, Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::placement::{Placement, place};
use crate::{Context, document, kinds, metrics, status};

/// How long to wait for caches that are still filling.
const NOT_YET: Duration = Duration::from_millis(50);

pub(crate) struct Mirror {
    context: Arc<Context>,
    /// When each device's status was last written.
    written: Mutex<HashMap<Key, Instant>>,
}

/// The fields of `status` that follow reports and may wait for their turn.
const REPORTED: [&str; 4] = ["state", "lastOnlineTime", "twins", "values"];

impl Mirror {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context, written: Mutex::default() }
    }

    /// Brings one device up to date. Asks to be called again when a report must wait for its turn.
    pub(crate) async fn reconcile(&self, key: &Key) -> Result<Option<Duration>, Error> {
        let context = &self.context;
        if !context.nodes.is_listed() || !context.models.is_listed() || !context.statuses.is_listed() {
            return Ok(Some(NOT_YET));
        }
        let Some(device) = context.devices.get(key).filter(|device| device.metadata.deletion_timestamp.is_none())
        else {
            self.written.lock().remove(key);
            return Ok(None);
        };
        let placement = place(context, &device);
        let held = context.statuses.get(key);
        if matches!(placement, Placement::On(_)) && !held.is_some_and(|held| status::is_of(&held, &device)) {
            status::ensure(context, key, &device).await?;
        }
        let annotation = annotation(&device, &placement);
        let status = self.status(key, &device, &placement);
        let urgent = annotation.is_some() || status.keys().any(|field| !REPORTED.contains(&field.as_str()));
        if !urgent && status.is_empty() {
            return Ok(None);
        }
        if let Some(wait) = self.wait(key).filter(|_| !urgent) {
            return Ok(Some(wait));
        }
        self.write(key, &device, annotation, status).await?;
        Ok(None)
    }

    /// How long reports must wait for their turn.
    fn wait(&self, key: &Key) -> Option<Duration> {
        let next = *self.written.lock().get(key)? + self.context.options.mirror_interval;
        Some(next.saturating_duration_since(Instant::now())).filter(|wait| !wait.is_zero())
    }

    async fn write(
        &self,
        key: &Key,
        device: &DynamicObject,
        annotation: Option<Value>,
        status: Map<String, Value>,
    ) -> Result<(), Error> {
        // The version keeps us from putting old desired values over new ones that a user has just written there.
        let mut patch = json!({"metadata": {"resourceVersion": device.metadata.resource_version}, "status": status});
        if let Some(node) = annotation {
            patch["metadata"]["annotations"] = json!({ DEVICE_NODE_ANNOTATION: node });
        }
        let api = kinds::devices_in(&self.context.client, &key.namespace);
        match api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(device) => {
                metrics::MIRRORS.inc();
                self.written.lock().insert(key.clone(), Instant::now());
                self.context.devices.put(device);
                Ok(())
            }
            Err(error) if Error::from_api(&error, 404) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The fields of the device's status that differ from what they should be; null takes one away.
    fn status(&self, key: &Key, device: &DynamicObject, placement: &Placement) -> Map<String, Value> {
        let reported = self.context.statuses.get(key);
        let reported = reported.as_deref().and_then(|status| status.data.get("status")).unwrap_or(&Value::Null);
        let node = match placement {
            Placement::On(node) => node.as_str().into(),
            Placement::Nowhere(..) => Value::Null,
        };
        let field = |name: &str| reported.get(name).cloned().unwrap_or_default();
        let wanted = [
            ("nodeName", node),
            ("conditions", self.conditions(device, placement)),
            ("state", field("state")),
            ("lastOnlineTime", field("lastOnlineTime")),
            ("twins", twins(device, reported)),
            ("values", values(device, reported, self.context.options.values_chars)),
        ];
        let present =
            |name: &str| device.data.get("status").and_then(|status| status.get(name)).unwrap_or(&Value::Null);
        wanted
            .into_iter()
            .filter(|(name, value)| present(name) != value)
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// `Placed` and, for a device that names a model, `ModelFound`. The time of a condition moves with its status only.
    fn conditions(&self, device: &DynamicObject, placement: &Placement) -> Value {
        let placed = match placement {
            Placement::On(node) => condition(device, "Placed", true, "NodeFound", &format!("on node {node}")),
            Placement::Nowhere(reason, message) => condition(device, "Placed", false, reason, message),
        };
        let model = document::model(device).map(|model| {
            if self.context.models.get(&model).is_some() {
                condition(device, "ModelFound", true, "ModelFound", &format!("DeviceModel {} is there", model.name))
            } else {
                let message =
                    format!("DeviceModel {} does not exist in namespace {}; create it", model.name, model.namespace);
                condition(device, "ModelFound", false, "ModelMissing", &message)
            }
        });
        Value::Array(model.into_iter().chain([placed]).collect())
    }
}

/// The annotation's new value, if it must change: a node name, or null.
fn annotation(device: &DynamicObject, placement: &Placement) -> Option<Value> {
    let wanted = match placement {
        // The hub finds the name in the spec.
        Placement::On(_) if document::node_name(device).is_some() => None,
        Placement::On(node) => Some(node.as_str()),
        Placement::Nowhere(..) => None,
    };
    (document::annotated(device) != wanted).then(|| wanted.map_or(Value::Null, Value::from))
}

fn condition(device: &DynamicObject, name: &str, holds: bool, reason: &str, message: &str) -> Value {
    let status = if holds { "True" } else { "False" };
    let before = document::list(&device.data, "/status/conditions");
    let before = before.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(name));
    let since = before
        .filter(|before| before.get("status").and_then(Value::as_str) == Some(status))
        .and_then(|before| before.get("lastTransitionTime").cloned())
        .unwrap_or_else(|| now_rfc3339().into());
    json!({"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
}

/// `status.twins` in v1alpha2's form. Desired values are v1alpha2's own there and only taken from the spec in v1beta1.
fn twins(device: &DynamicObject, reported: &Value) -> Value {
    let mut twins = if document::wishes_in_status(device) {
        document::list(&device.data, "/status/twins").to_vec()
    } else {
        let properties = document::list(&device.data, "/spec/properties").iter();
        let wished = properties.filter_map(|property| {
            Some(json!({"propertyName": property.get("name")?, "desired": property.get("desired")?}))
        });
        wished.collect()
    };
    for twin in document::list(reported, "/twins") {
        let (Some(name), Some(value)) = (twin.get("propertyName"), twin.get("reported")) else { continue };
        match twins.iter_mut().find(|twin| twin.get("propertyName") == Some(name)) {
            Some(mirrored) => mirrored["reported"] = value.clone(),
            None => twins.push(json!({"propertyName": name, "reported": value})),
        }
    }
    if twins.is_empty() && device.data.pointer("/status/twins").is_none() { Value::Null } else { Value::Array(twins) }
}

/// `temperature=21.5,humidity=60`, in the order the device lists its properties, cut at a whole property.
fn values(device: &DynamicObject, reported: &Value, limit: usize) -> Value {
    let twins = document::list(reported, "/twins");
    let listed = document::listed(device).unwrap_or_default();
    let name_of = |twin: &Value| twin.get("propertyName").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut pairs: Vec<_> = twins
        .iter()
        .filter_map(|twin| Some((name_of(twin), document::text(twin, "/reported/value")?)))
        .map(|(name, value)| (listed.iter().position(|listed| *listed == name).unwrap_or(usize::MAX), name, value))
        .collect();
    pairs.sort_by_key(|(position, ..)| *position);
    let mut text = String::new();
    for (_, name, value) in pairs {
        let pair = format!("{}{name}={value}", if text.is_empty() { "" } else { "," });
        if text.chars().count() + pair.chars().count() > limit {
            text.push_str(if text.is_empty() { "…" } else { ",…" });
            break;
        }
        text.push_str(&pair);
    }
    if text.is_empty() { Value::Null } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(data: Value) -> DynamicObject {
        DynamicObject { types: None, metadata: Default::default(), data }
    }

    #[test]
    fn values_are_short_and_in_order() {
        let reported = json!({"twins": [
            {"propertyName": "b", "reported": {"value": "2"}}, {"propertyName": "a", "reported": {"value": "1"}},
            {"propertyName": "none", "reported": {"value": ""}}, {"propertyName": "long", "reported": {"value": "x".repeat(50)}}]});
        let device = device(json!({"spec": {"properties": [{"name": "a"}, {"name": "b"}, {"name": "long"}]}}));
        assert_eq!(values(&device, &reported, 20), "a=1,b=2,…");
        assert_eq!(values(&device, &json!({}), 20), Value::Null);
    }

    #[test]
    fn desired_values_of_either_version_are_kept() {
        let reported = json!({"twins": [{"propertyName": "a", "reported": {"value": "1"}}]});
        let beta = device(json!({"spec": {"properties": [{"name": "a", "desired": {"value": "2"}}, {"name": "b"}]}}));
        let expect = json!([{"propertyName": "a", "desired": {"value": "2"}, "reported": {"value": "1"}}]);
        assert_eq!(twins(&beta, &reported), expect);
        let alpha =
            device(json!({"spec": {}, "status": {"twins": [{"propertyName": "a", "desired": {"value": "2"}}]}}));
        assert_eq!(twins(&alpha, &reported), expect);
    }
}

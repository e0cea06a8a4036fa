//! The service's face: what the agent, its local API and drivers call.

use std::sync::Arc;

use edgeward_objects::Object;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::actor::Command;
use crate::device::DeviceId;
use crate::driver::Driver;
use crate::error::TwinError;
use crate::normalise::{parse_device, parse_model};
use crate::payload::DeviceState;

/// A handle to the twin service; clones are cheap. Every method answers after its effect is on disk.
#[derive(Clone, Debug)]
pub struct TwinHandle {
    commands: mpsc::Sender<Command>,
}

/// A device as the local API shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceView {
    /// Namespace and name.
    pub id: DeviceId,
    /// Text for people.
    pub description: String,
    /// Name of its model, empty when unknown or none.
    pub model: String,
    /// Whether the model is here.
    pub model_found: bool,
    /// Protocol name, empty when unknown.
    pub protocol: String,
    /// Whether a driver serves it; otherwise it speaks MQTT by itself.
    pub driven: bool,
    /// Last reported state.
    pub state: Option<DeviceState>,
    /// RFC 3339, when it was last online.
    pub last_online: Option<String>,
    /// Its properties by name.
    pub twins: Vec<TwinView>,
}

/// A property as the local API shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct TwinView {
    /// Its name.
    pub name: Arc<str>,
    /// The twin type: `string`, `int`, `float`, `boolean`.
    pub value_type: Arc<str>,
    /// Desired value and when it was set (ms).
    pub expected: Option<(Arc<str>, i64)>,
    /// Reported value and when it was reported (ms).
    pub actual: Option<(Arc<str>, i64)>,
    /// Whether the cloud has yet to confirm the newest change.
    pub unconfirmed: bool,
}

impl TwinHandle {
    pub(crate) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// A Device of either version is on this node, new or changed.
    pub async fn apply_device(&self, object: &Object) -> Result<(), TwinError> {
        let device = parse_device(object)?;
        self.ask(|reply| Command::ApplyDevice(Box::new(device), reply)).await?
    }

    /// A DeviceModel of either version, new or changed. Devices that waited for it start to work.
    pub async fn apply_model(&self, object: &Object) -> Result<(), TwinError> {
        let model = parse_model(object)?;
        self.ask(|reply| Command::ApplyModel(Box::new(model), reply)).await?
    }

    /// The device is no longer of this node: its twin is deleted. Unknown devices are fine.
    pub async fn remove_device(&self, namespace: &str, name: &str) -> Result<(), TwinError> {
        let id = DeviceId::new(namespace, name);
        self.ask(|reply| Command::RemoveDevice(id, reply)).await?
    }

    /// The model is gone: its devices wait for it to come back.
    pub async fn remove_model(&self, namespace: &str, name: &str) -> Result<(), TwinError> {
        let id = DeviceId::new(namespace, name);
        self.ask(|reply| Command::RemoveModel(id, reply)).await?
    }

    /// Removes every device that is not listed: what a node does when the cloud told it everything it has.
    pub async fn retain_devices(&self, keep: Vec<DeviceId>) -> Result<(), TwinError> {
        self.ask(|reply| Command::Retain(keep, reply)).await?
    }

    /// The content of a KubeEdge membership message (`update membership`, group `twin`): devices that joined or left.
    pub async fn apply_membership(&self, content: &[u8]) -> Result<(), TwinError> {
        let membership = crate::normalise::parse_membership(content)?;
        self.ask(|reply| Command::Membership(membership, reply)).await?
    }

    /// Gives all devices of these protocols to a driver, now and later. The newest driver of a protocol wins.
    pub async fn register_driver(&self, protocols: &[&str], driver: Arc<dyn Driver>) -> Result<(), TwinError> {
        let protocols = protocols.iter().map(|name| name.to_ascii_lowercase()).collect();
        self.ask(|reply| Command::RegisterDriver(protocols, driver, reply)).await
    }

    /// Readings of one device, all of one moment; the same path as an MQTT `twin/update` with `actual` values.
    pub async fn report(&self, id: &DeviceId, values: Vec<(Arc<str>, String)>) -> Result<(), TwinError> {
        let id = id.clone();
        self.ask(|reply| Command::Report(id, values, reply)).await?
    }

    /// One reading.
    pub async fn report_value(&self, id: &DeviceId, property: &str, value: String) -> Result<(), TwinError> {
        self.report(id, vec![(property.into(), value)]).await
    }

    /// The state of a device as its driver sees it; the same path as an MQTT `state/update`.
    pub async fn set_state(&self, id: &DeviceId, state: DeviceState) -> Result<(), TwinError> {
        let id = id.clone();
        self.ask(|reply| Command::SetState(id, state, reply)).await?
    }

    /// All devices by id.
    pub async fn list(&self) -> Result<Vec<DeviceView>, TwinError> {
        self.ask(Command::List).await
    }

    /// One device.
    pub async fn describe(&self, namespace: &str, name: &str) -> Result<Option<DeviceView>, TwinError> {
        let id = DeviceId::new(namespace, name);
        self.ask(|reply| Command::Describe(id, reply)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, TwinError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| TwinError::Stopped)?;
        answer.await.map_err(|_| TwinError::Stopped)
    }
}

impl DeviceView {
    /// The `status` a Device of this node has in the local API: `twins`, `state`, `lastOnlineTime` in the form the cloud
    /// writes them.
    pub fn status(&self) -> Value {
        let twins: Vec<Value> = self.twins.iter().filter_map(TwinView::status).collect();
        let mut status = json!({ "twins": twins });
        if let Some(state) = self.state {
            status["state"] = state.as_str().into();
        }
        if let Some(last_online) = &self.last_online {
            status["lastOnlineTime"] = last_online.as_str().into();
        }
        status
    }
}

impl TwinView {
    fn status(&self) -> Option<Value> {
        let side = |(value, timestamp): &(Arc<str>, i64)| json!({"value": &**value, "metadata": {"timestamp": timestamp.to_string(), "type": &*self.value_type}});
        let mut twin = json!({ "propertyName": &*self.name });
        if let Some(expected) = &self.expected {
            twin["desired"] = side(expected);
        }
        if let Some(actual) = &self.actual {
            twin["reported"] = side(actual);
        }
        (self.expected.is_some() || self.actual.is_some()).then_some(twin)
    }
}

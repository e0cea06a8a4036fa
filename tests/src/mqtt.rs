//! An MQTT client as a sensor or a screen has it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use edgeward_mqtt_client::{Client, Handle, Messages, Options, QoS, Server, Text};
use edgeward_service::Tasks;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A connected client. It ends when dropped.
pub struct Mqtt {
    handle: Handle,
    messages: Messages,
    _tasks: Tasks,
}

impl Mqtt {
    /// Connects (and reconnects) to a broker.
    pub fn open(broker: SocketAddr) -> anyhow::Result<Self> {
        let tasks = Tasks::root("mqtt");
        let (handle, messages) = Client::start(Options::new(Server::parse(&broker.to_string())?), &tasks)?;
        Ok(Self { handle, messages, _tasks: tasks })
    }

    /// Subscribes with QoS 1.
    pub async fn subscribe(&self, filter: &str) -> anyhow::Result<()> {
        let filters = vec![(filter.try_into()?, QoS::AtLeastOnce)];
        tokio::time::timeout(TIMEOUT, self.handle.subscribe(filters)).await.context("no SUBACK")??;
        Ok(())
    }

    /// Publishes with QoS 1 and waits for the acknowledgement.
    pub async fn publish(&self, topic: &str, payload: impl Into<Bytes>) -> anyhow::Result<()> {
        let published = self.handle.publish(Text::try_from(topic)?, payload.into(), QoS::AtLeastOnce, false).await?;
        tokio::time::timeout(TIMEOUT, published).await.context("no PUBACK")??;
        Ok(())
    }

    /// Publishes with QoS 0: once it is on its way.
    pub async fn send(&self, topic: &str, payload: impl Into<Bytes>) -> anyhow::Result<()> {
        let published = self.handle.publish(Text::try_from(topic)?, payload.into(), QoS::AtMostOnce, false).await?;
        // Nobody acknowledges it.
        drop(published);
        Ok(())
    }

    /// The next message's topic and payload.
    pub async fn next(&mut self) -> anyhow::Result<(String, Bytes)> {
        let message = tokio::time::timeout(TIMEOUT, self.messages.recv()).await.context("no message")?;
        let message = message.context("the client was stopped")?;
        let (topic, payload) = (message.topic.to_string(), message.payload.clone());
        message.confirm();
        Ok((topic, payload))
    }
}

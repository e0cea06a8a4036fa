//! Results as messages.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgeward_engine::{Connection, Emission, Sink, SinkError};
use edgeward_mqtt::Text;
use edgeward_mqtt_client::{Client, ClientError, Handle, Options, Properties, Property, Publish, Published, Status};
use edgeward_service::Tasks;
use futures::future::BoxFuture;

use super::SharedClient;
use super::config::{SinkConfig, topic_name};
use super::source::connection;
use crate::sink::{Encoder, Payloads};
use crate::template::Template;
use crate::{BusMessage, LocalBus, SinkOptions};

/// How long a stopped rule may still send what waits.
const GOODBYE: Duration = Duration::from_secs(2);

/// The way of a message.
pub(super) enum Way {
    /// The node's bus.
    Bus(Arc<dyn LocalBus>),
    /// The server of a named connection.
    Shared(Arc<SharedClient>),
    /// A server that is connected to with the first message, so that a rule can be checked without connecting.
    Later(Box<Options>, Tasks),
    /// A server.
    Server {
        handle: Handle,
        /// Of the client; it outlives the rule's by [`GOODBYE`].
        client: Tasks,
    },
}

impl Way {
    /// Starts connecting to a server.
    fn server(options: Options, tasks: &Tasks) -> Result<Way, SinkError> {
        let client = Tasks::root("mqtt-sink");
        let started = Client::start_for((), options, &client);
        let handle = started.map_err(|error| SinkError::Rejected(error.to_string()))?;
        let (rule, stopped) = (tasks.clone(), client.clone());
        tasks.spawn("mqtt-sink-stop", async move {
            tokio::select! {
                () = async { rule.cancelled().await; tokio::time::sleep(GOODBYE).await } => {}
                () = stopped.cancelled() => {}
            }
            stopped.shutdown(GOODBYE).await;
        });
        Ok(Way::Server { handle, client })
    }
}

pub(super) struct MqttSink {
    config: SinkConfig,
    /// The topic, if it is the same for every message.
    topic: Option<Text>,
    /// Messages wait in a cache, not in the client.
    must_be_connected: bool,
    encoder: Encoder,
    payloads: Payloads,
    way: Way,
}

impl MqttSink {
    pub(super) fn new(config: SinkConfig, options: SinkOptions, way: Way) -> MqttSink {
        let topic = config.topic.constant().and_then(|name| topic_name(name).ok());
        let must_be_connected = options.cache.is_some();
        let (encoder, payloads) = (Encoder::new(options), Payloads::default());
        MqttSink { config, topic, must_be_connected, encoder, payloads, way }
    }

    /// Fails when there is no connection: a cache keeps the message, not the client.
    async fn connected(&self) -> Result<(), SinkError> {
        let mut status = match &self.way {
            Way::Server { handle, .. } => handle.status(),
            Way::Shared(client) => client.handle.status(),
            Way::Bus(_) | Way::Later(..) => return Ok(()),
        };
        let settled = status.wait_for(|status| *status != Status::Connecting).await;
        match settled.as_deref() {
            Ok(Status::Disconnected(reason)) => Err(SinkError::Recoverable(reason.clone())),
            Ok(_) => Ok(()),
            Err(_) => Err(SinkError::Recoverable("the client was stopped".to_owned())),
        }
    }

    async fn publish(&mut self, emission: &Emission) -> Result<(), SinkError> {
        if let Way::Later(options, tasks) = &self.way {
            self.way = Way::server((**options).clone(), tasks)?;
        }
        if self.must_be_connected {
            self.connected().await?;
        }
        self.encoder.encode(emission, &mut self.payloads)?;
        let mut published: Vec<Published> = Vec::new();
        for (index, payload) in self.payloads.iter().enumerate() {
            let payload = Bytes::copy_from_slice(payload);
            let (qos, retain) = (self.config.qos, self.config.retained);
            let topic = match &self.topic {
                Some(topic) => topic.clone(),
                None => {
                    let name = self.config.topic.for_sink(&self.encoder.data(emission, index))?;
                    topic_name(&name).map_err(SinkError::Rejected)?
                }
            };
            let handle = match &self.way {
                Way::Bus(bus) => {
                    let message = BusMessage { topic, payload, qos: qos as u8, retain };
                    bus.publish(message).await.map_err(SinkError::Rejected)?;
                    continue;
                }
                Way::Later(..) => continue,
                Way::Server { handle, .. } => handle,
                Way::Shared(client) => &client.handle,
            };
            let properties = self.properties(emission, index)?;
            let message = Publish { topic, payload, qos, retain, properties, ..Publish::default() };
            published.push(handle.send(message).await.map_err(failed)?);
        }
        for arrived in published {
            arrived.await.map_err(failed)?;
        }
        Ok(())
    }

    fn properties(&self, emission: &Emission, index: usize) -> Result<Properties, SinkError> {
        let property = |(key, value): &(Text, Template)| {
            let value = match value.constant() {
                Some(value) => Text::try_from(value),
                None => Text::try_from(value.for_sink(&self.encoder.data(emission, index))?),
            };
            let value = value.map_err(|error| SinkError::Rejected(error.to_string()))?;
            Ok(Property::User(key.clone(), value))
        };
        self.config.properties.iter().map(property).collect()
    }
}

/// What the server refuses it will refuse again.
fn failed(error: ClientError) -> SinkError {
    match error {
        ClientError::Refused(_) | ClientError::BadMessage(_) => SinkError::Rejected(error.to_string()),
        error => SinkError::Recoverable(error.to_string()),
    }
}

impl Sink for MqttSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.publish(emission))
    }

    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(async {
            if let Way::Server { client, .. } = &self.way {
                client.shutdown(GOODBYE).await;
            }
        })
    }

    fn connection(&self) -> Option<Connection> {
        match &self.way {
            Way::Bus(_) => Some(Connection::Connected),
            Way::Shared(client) => Some(client.connection()),
            Way::Later(..) => Some(Connection::Connecting),
            Way::Server { handle, .. } => Some(connection(&handle.status().borrow())),
        }
    }
}

//! Messages as payloads of a stream.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::{Ack, Connection, Emitter, Map, Message, Meta, Source, SourceContext, SourceError, Value, meta};
use edgeward_mqtt::{QoS, Text};
use edgeward_mqtt_client::{Client, Handle, Incoming, Options, Properties, Property, Rest, Status, Taker};
use edgeward_service::Tasks;
use futures::future::BoxFuture;

use super::SharedClient;
use super::config::SourceConfig;
use crate::{BusDelivery, BusOptions, LocalBus};

/// Messages taken from the bus at a time.
const BATCH: usize = 256;
/// Topics whose metadata is kept ready.
const KNOWN_TOPICS: usize = 1_024;

/// From the node's bus.
pub(super) struct BusSource {
    pub(super) config: SourceConfig,
    pub(super) bus: Arc<dyn LocalBus>,
    pub(super) acknowledge: bool,
}

impl Source for BusSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        let acknowledge = self.acknowledge && self.config.qos != QoS::AtMostOnce;
        let options = BusOptions { capacity: self.config.buffer_length, acknowledge };
        // At once, not when the future is first polled: a node lets its devices in when its rules have been started, and
        // must not acknowledge a message that a rule was about to subscribe to.
        let subscribed = self.bus.subscribe(self.config.filter.text().as_str(), options);
        Box::pin(async move {
            let mut messages = subscribed.map_err(SourceError)?;
            let SourceContext { emitter, tasks, .. } = context;
            emitter.connection(Connection::Connected);
            let mut topics = Topics::default();
            let mut batch = Vec::with_capacity(BATCH);
            loop {
                tokio::select! {
                    () = messages.recv(&mut batch, BATCH) => {}
                    () = tasks.cancelled() => return Ok(()),
                }
                emitter.emit_all(batch.drain(..).map(|delivery| of_bus(delivery, &mut topics, &tasks))).await;
            }
        })
    }
}

fn of_bus(delivery: BusDelivery, topics: &mut Topics, tasks: &Tasks) -> Message {
    let BusDelivery { message, confirm } = delivery;
    let mut made = Message::payload(message.payload).with_meta(topics.meta(&message.topic, message.qos));
    if let Some(confirm) = confirm {
        made.ack = Some(token(tasks, confirm));
    }
    made
}

/// A token that confirms a message when the rules are done with it. What a stopped source leaves behind is not confirmed:
/// it is dropped unfinished.
pub(super) fn token(tasks: &Tasks, confirm: impl FnOnce() + Send + 'static) -> Ack {
    let tasks = tasks.clone();
    Ack::new(move |safe| {
        if safe && !tasks.is_cancelled() {
            confirm();
        }
    })
}

/// Metadata of messages. What has no identifier shares that of its topic and quality of service.
#[derive(Default)]
pub(super) struct Topics {
    known: HashMap<(Text, u8), Meta>,
    /// Most messages come from the topic of the one before.
    last: Option<(Text, u8, Meta)>,
}

impl Topics {
    /// Of a message of a client.
    pub(super) fn of(&mut self, incoming: &Incoming) -> Meta {
        if incoming.packet_id == 0 && incoming.properties.is_empty() {
            return self.meta(&incoming.topic, incoming.qos as u8);
        }
        let mut described = describe(&incoming.topic, incoming.qos as u8, incoming.packet_id);
        if !incoming.properties.is_empty() {
            Arc::make_mut(&mut described).extend(details(&incoming.properties));
        }
        described
    }

    fn meta(&mut self, topic: &Text, qos: u8) -> Meta {
        if let Some((last, last_qos, meta)) = &self.last
            && (last, *last_qos) == (topic, qos)
        {
            return meta.clone();
        }
        if self.known.len() >= KNOWN_TOPICS {
            self.known.clear();
        }
        let key = (topic.detached(), qos);
        let meta = self.known.entry(key.clone()).or_insert_with(|| describe(topic, qos, 0)).clone();
        self.last = Some((key.0, qos, meta.clone()));
        meta
    }
}

fn describe(topic: &Text, qos: u8, packet_id: u16) -> Meta {
    let number = |number: u16| Value::Int(i64::from(number));
    meta([("topic", topic.as_str().into()), ("qos", number(qos.into())), ("messageId", number(packet_id))])
}

/// What a message of MQTT 5 says about itself; the user's properties stand under `properties`.
fn details(properties: &Properties) -> Map {
    let (mut found, mut users) = (Map::new(), Map::new());
    for property in properties {
        let (key, value) = match property {
            Property::User(key, value) => {
                users.insert(key.as_str().into(), value.as_str().into());
                continue;
            }
            Property::ContentType(text) => ("contentType", text.as_str().into()),
            Property::ResponseTopic(text) => ("responseTopic", text.as_str().into()),
            Property::CorrelationData(bytes) => ("correlationData", Value::bytes(Bytes::copy_from_slice(bytes))),
            Property::MessageExpiry(seconds) => ("messageExpiryInterval", Value::Int(i64::from(*seconds))),
            _ => continue,
        };
        found.insert(key.into(), value);
    }
    if !users.is_empty() {
        found.insert("properties".into(), Value::map(users));
    }
    found
}

/// From a server.
pub(super) struct ServerSource {
    pub(super) config: SourceConfig,
    pub(super) client: Options,
    pub(super) acknowledge: bool,
}

impl Source for ServerSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks, .. } = context;
            let inflow = Inflow::new(emitter.clone(), &tasks, self.acknowledge);
            let started = Client::start_for(inflow, self.client, &tasks);
            let handle = started.map_err(|error| SourceError(error.to_string()))?;
            tokio::select! {
                result = subscribe(&handle, &self.config) => result?,
                () = report(&handle, &emitter) => {}
                () = tasks.cancelled() => return Ok(()),
            }
            tokio::select! {
                () = report(&handle, &emitter) => {}
                () = tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}

/// From the server of a named connection.
pub(super) struct SharedSource {
    pub(super) config: SourceConfig,
    pub(super) client: Arc<SharedClient>,
    pub(super) acknowledge: bool,
}

impl Source for SharedSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks, .. } = context;
            let _listening = self.client.listen(&self.config.filter, emitter.clone(), self.acknowledge);
            tokio::select! {
                result = subscribe(&self.client.handle, &self.config) => result?,
                () = report(&self.client.handle, &emitter) => {}
                () = tasks.cancelled() => return Ok(()),
            }
            tokio::select! {
                () = report(&self.client.handle, &emitter) => {}
                () = tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}

async fn subscribe(handle: &Handle, config: &SourceConfig) -> Result<(), SourceError> {
    let reasons = handle.subscribe(vec![(config.filter.clone(), config.qos)]).await;
    match reasons.map_err(|error| SourceError(error.to_string()))?.first() {
        Some(reason) if reason.is_failure() => {
            Err(SourceError(format!("the MQTT server refuses the subscription to {}: {reason}", config.filter)))
        }
        _ => Ok(()),
    }
}

/// Reports the state of the connection for as long as there is one.
async fn report(handle: &Handle, emitter: &Emitter) {
    let mut status = handle.status();
    loop {
        emitter.connection(connection(&status.borrow_and_update()));
        if status.changed().await.is_err() {
            // The client was stopped; whoever did that ends this future.
            return std::future::pending().await;
        }
    }
}

pub(super) fn connection(status: &Status) -> Connection {
    match status {
        Status::Connected => Connection::Connected,
        Status::Connecting => Connection::Connecting,
        Status::Disconnected(reason) => Connection::Disconnected(reason.clone()),
    }
}

/// The way of a client's messages into a stream: in the client's task, as far as the rules have room.
struct Inflow {
    emitter: Emitter,
    tasks: Tasks,
    topics: Topics,
    acknowledge: bool,
}

impl Inflow {
    fn new(emitter: Emitter, tasks: &Tasks, acknowledge: bool) -> Inflow {
        Inflow { emitter, tasks: tasks.clone(), topics: Topics::default(), acknowledge }
    }
}

impl Taker for Inflow {
    fn take(&mut self, messages: &mut Vec<Incoming>) -> Option<Rest> {
        let Inflow { emitter, tasks, topics, acknowledge } = self;
        emitter.offer_all(messages.drain(..).map(|incoming| of_server(incoming, topics, tasks, *acknowledge)))
    }
}

fn of_server(mut incoming: Incoming, topics: &mut Topics, tasks: &Tasks, acknowledge: bool) -> Message {
    let promise = incoming.take_promise();
    let mut message = Message::payload(incoming.payload.clone()).with_meta(topics.of(&incoming));
    match promise {
        Some(promise) if acknowledge => message.ack = Some(token(tasks, move || promise.keep())),
        Some(promise) => promise.keep(),
        None => {}
    }
    message
}

//! Messages as payloads of a stream.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_engine::{Ack, Connection, Emitter, Message, Meta, Source, SourceContext, SourceError, Value, meta};
use edgeward_mqtt::{QoS, Text};
use edgeward_mqtt_client::{Client, Handle, Incoming, Messages, Options, Status, SubAckCode};
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
            let SourceContext { emitter, tasks } = context;
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

/// Metadata of messages without identifier, by topic and quality of service.
#[derive(Default)]
struct Topics(HashMap<(Text, u8), Meta>);

impl Topics {
    fn meta(&mut self, topic: &Text, qos: u8) -> Meta {
        if self.0.len() >= KNOWN_TOPICS {
            self.0.clear();
        }
        if let Some(known) = self.0.get(&(topic.clone(), qos)) {
            return known.clone();
        }
        let made = describe(topic, qos, 0);
        self.0.insert((topic.detached(), qos), made.clone());
        made
    }
}

pub(super) fn describe(topic: &Text, qos: u8, packet_id: u16) -> Meta {
    let number = |number: u16| Value::Int(i64::from(number));
    meta([("topic", topic.as_str().into()), ("qos", number(qos.into())), ("messageId", number(packet_id))])
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
            let SourceContext { emitter, tasks } = context;
            let options = Options { queue: self.config.buffer_length, ..self.client };
            let (handle, messages) = Client::start(options, &tasks).map_err(|error| SourceError(error.to_string()))?;
            tokio::select! {
                result = subscribe(&handle, &self.config) => result?,
                () = report(&handle, &emitter) => {}
                () = tasks.cancelled() => return Ok(()),
            }
            tokio::select! {
                () = receive(messages, &emitter, &tasks, self.acknowledge) => {}
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
            let SourceContext { emitter, tasks } = context;
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
    let codes = handle.subscribe(vec![(config.filter.clone(), config.qos)]).await;
    match codes.map_err(|error| SourceError(error.to_string()))?.first() {
        Some(SubAckCode::Granted(_)) => Ok(()),
        _ => Err(SourceError(format!("the MQTT server refuses the subscription to {}", config.filter))),
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

async fn receive(mut messages: Messages, emitter: &Emitter, tasks: &Tasks, acknowledge: bool) {
    let mut topics = Topics::default();
    while let Some(first) = messages.recv().await {
        // What came in with it is there already; a batch is as long as the bus makes them, so that the rules get their turn.
        let waiting = std::iter::from_fn(|| messages.try_recv());
        let batch = std::iter::once(first).chain(waiting).take(BATCH);
        emitter.emit_all(batch.map(|incoming| of_server(incoming, &mut topics, tasks, acknowledge))).await;
    }
}

fn of_server(mut incoming: Incoming, topics: &mut Topics, tasks: &Tasks, acknowledge: bool) -> Message {
    let promise = incoming.take_promise();
    let Incoming { topic, payload, qos, packet_id, .. } = incoming;
    let meta = if packet_id == 0 { topics.meta(&topic, qos as u8) } else { describe(&topic, qos as u8, packet_id) };
    let mut message = Message::payload(payload).with_meta(meta);
    match promise {
        Some(promise) if acknowledge => message.ack = Some(token(tasks, move || promise.keep())),
        Some(promise) => promise.keep(),
        None => {}
    }
    message
}

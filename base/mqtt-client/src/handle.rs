//! The client as its users see it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use edgeward_mqtt::v5::{Packet, Publish, Reason, Subscription, encode};
use edgeward_mqtt::{Filter, QoS, Text, Version, check_topic};
use edgeward_service::Tasks;
use tokio::sync::{mpsc, oneshot, watch};

use crate::driver::Driver;
use crate::incoming::{Messages, Taker};
use crate::{ClientError, Options, Status};

/// The client service.
#[derive(Debug)]
pub struct Client;

impl Client {
    /// Starts connecting. The client runs until `tasks` is cancelled or its handles and messages are all dropped.
    ///
    /// # Errors
    /// The server wants TLS and no settings are given.
    pub fn start(options: Options, tasks: &Tasks) -> Result<(Handle, Messages), ClientError> {
        let (queue, messages) = Messages::queue(options.queue);
        Ok((Client::start_for(queue, options, tasks)?, messages))
    }

    /// As [`Client::start`], with somebody who takes the messages at once.
    ///
    /// # Errors
    /// The server wants TLS and no settings are given.
    pub fn start_for(taker: impl Taker, options: Options, tasks: &Tasks) -> Result<Handle, ClientError> {
        if options.server.tls && options.tls.is_none() {
            return Err(ClientError::NoTls(options.server.to_string()));
        }
        let (requests, to_send) = mpsc::channel(options.queue.max(1));
        let (status, seen) = watch::channel(Status::Connecting);
        let driver = Driver::new(options, to_send, Box::new(taker), status);
        let node = tasks.child("mqtt-client");
        tasks.spawn("mqtt-client", driver.run(node));
        Ok(Handle { requests, status: seen })
    }
}

/// What the driver is asked to do.
pub(crate) enum Request {
    Publish { message: Publish, done: oneshot::Sender<Result<(), ClientError>> },
    Subscribe { filters: Vec<(Filter, Subscription)>, done: oneshot::Sender<Vec<Reason>> },
    Unsubscribe { filter: Filter },
}

/// Publishes and subscribes. Clones are the same client.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<Status>,
}

impl Handle {
    /// Queues a message, waiting while the queue is full, also while there is no connection. Await the result to know
    /// that it arrived, or drop it.
    ///
    /// # Errors
    /// The topic is no topic name, or the client was stopped.
    pub async fn publish(&self, topic: Text, payload: Bytes, qos: QoS, retain: bool) -> Result<Published, ClientError> {
        self.send(Publish { topic, payload, qos, retain, ..Publish::default() }).await
    }

    /// As [`Handle::publish`], with properties for a server of MQTT 5; the identifier is the client's own business.
    ///
    /// # Errors
    /// The topic is no topic name, a property does not belong to a message, or the client was stopped.
    pub async fn send(&self, message: Publish) -> Result<Published, ClientError> {
        // Without its payload: only topic and properties can be wrong, and the size, which nobody's memory reaches.
        let packet_id = u16::from(message.qos != QoS::AtMostOnce);
        let probe = Publish { payload: Bytes::new(), packet_id, ..message.clone() };
        check_topic(message.topic.as_bytes())
            .and_then(|()| encode(Version::V5, &Packet::Publish(probe), &mut BytesMut::new()))
            .map_err(ClientError::BadMessage)?;
        let (done, published) = oneshot::channel();
        self.request(Request::Publish { message, done }).await?;
        Ok(Published(published))
    }

    /// Subscribes now and after every reconnect, with a quality of service or all the options of MQTT 5. Waits for the
    /// server's answer: a reason for each filter.
    ///
    /// # Errors
    /// There are no filters, or the client was stopped.
    pub async fn subscribe(&self, filters: Vec<(Filter, impl Into<Subscription>)>) -> Result<Vec<Reason>, ClientError> {
        if filters.is_empty() {
            return Err(ClientError::BadMessage(edgeward_mqtt::MqttError::EmptyList("SUBSCRIBE")));
        }
        let filters = filters.into_iter().map(|(filter, options)| (filter, options.into())).collect();
        let (done, reasons) = oneshot::channel();
        self.request(Request::Subscribe { filters, done }).await?;
        reasons.await.map_err(|_| ClientError::Stopped)
    }

    /// Ends a subscription without waiting; if the client has too much to do the server keeps it until the connection
    /// ends.
    pub fn unsubscribe(&self, filter: Filter) {
        // Full or stopped: as said.
        let _ = self.requests.try_send(Request::Unsubscribe { filter });
    }

    /// The state of the connection, and its changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    async fn request(&self, request: Request) -> Result<(), ClientError> {
        self.requests.send(request).await.map_err(|_| ClientError::Stopped)
    }
}

/// Resolves when a message has arrived as far as its quality of service promises, or has been refused.
#[derive(Debug)]
pub struct Published(oneshot::Receiver<Result<(), ClientError>>);

impl Future for Published {
    type Output = Result<(), ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|done| done.unwrap_or(Err(ClientError::Stopped)))
    }
}

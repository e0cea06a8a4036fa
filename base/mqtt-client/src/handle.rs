//! The client as its users see it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use edgeward_mqtt::{Filter, PublishHeader, QoS, SubAckCode, Text, Version, encode_publish};
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
    Publish { qos: QoS, retain: bool, topic: Text, payload: Bytes, done: oneshot::Sender<()> },
    Subscribe { filters: Vec<(Filter, QoS)>, done: oneshot::Sender<Vec<SubAckCode>> },
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
        let header = PublishHeader { qos, packet_id: u16::from(qos != QoS::AtMostOnce), ..PublishHeader::default() };
        // Without its payload: only the topic can be wrong, and the size, which nobody's memory reaches.
        encode_publish(Version::V311, header, topic.as_bytes(), &[], &mut BytesMut::new())
            .map_err(ClientError::BadMessage)?;
        let (done, published) = oneshot::channel();
        self.request(Request::Publish { qos, retain, topic, payload, done }).await?;
        Ok(Published(published))
    }

    /// Subscribes now and after every reconnect. Waits for the server's answer.
    ///
    /// # Errors
    /// There are no filters, or the client was stopped.
    pub async fn subscribe(&self, filters: Vec<(Filter, QoS)>) -> Result<Vec<SubAckCode>, ClientError> {
        if filters.is_empty() {
            return Err(ClientError::BadMessage(edgeward_mqtt::MqttError::EmptyList("SUBSCRIBE")));
        }
        let (done, codes) = oneshot::channel();
        self.request(Request::Subscribe { filters, done }).await?;
        codes.await.map_err(|_| ClientError::Stopped)
    }

    /// The state of the connection, and its changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    async fn request(&self, request: Request) -> Result<(), ClientError> {
        self.requests.send(request).await.map_err(|_| ClientError::Stopped)
    }
}

/// Resolves when a message has arrived as far as its quality of service promises.
#[derive(Debug)]
pub struct Published(oneshot::Receiver<()>);

impl Future for Published {
    type Output = Result<(), ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|done| done.map_err(|_| ClientError::Stopped))
    }
}

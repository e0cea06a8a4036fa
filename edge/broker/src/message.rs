//! What travels on the bus.

use std::ops::Deref;

use bytes::Bytes;
use edgeward_mqtt::{QoS, Text, check_topic};

use crate::{BrokerError, Confirm};

/// A message. Clones share topic and payload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Topic name.
    pub topic: Text,
    /// Payload.
    pub payload: Bytes,
    /// Quality of service it was published with.
    pub qos: QoS,
    /// Published: keep it as the topic's retained message. Received: it is the kept one, sent because of a new
    /// subscription.
    pub retain: bool,
}

impl Message {
    /// A QoS 0 message.
    ///
    /// # Errors
    /// The topic is empty, too long or holds a wildcard.
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Result<Message, BrokerError> {
        let topic = topic.into();
        let checked = check_topic(topic.as_bytes()).and_then(|()| Text::try_from(topic.as_str()));
        let topic = checked.map_err(|source| BrokerError::Topic { text: topic, source })?;
        Ok(Message { topic, payload: payload.into(), ..Message::default() })
    }

    /// With this quality of service.
    #[must_use]
    pub fn with_qos(mut self, qos: QoS) -> Message {
        self.qos = qos;
        self
    }

    /// To be retained.
    #[must_use]
    pub fn retained(mut self) -> Message {
        self.retain = true;
        self
    }

    /// Bytes of topic and payload.
    pub(crate) fn size(&self) -> usize {
        self.topic.len() + self.payload.len()
    }

    /// A copy that does not keep the read buffer alive it came in: for what is stored for long.
    pub(crate) fn detached(&self) -> Message {
        Message { topic: self.topic.detached(), payload: Bytes::copy_from_slice(&self.payload), ..*self }
    }
}

/// A message as an in-process subscriber gets it; reads like a [`Message`].
#[derive(Debug)]
pub struct Delivery {
    pub(crate) message: Message,
    pub(crate) confirm: Option<Confirm>,
}

impl Delivery {
    /// Says that the message is safe. Dropping a delivery of an acknowledging subscription without this makes its
    /// publisher send it again.
    pub fn confirm(self) {
        if let Some(confirm) = self.confirm {
            confirm.confirm();
        }
    }

    /// The message, and the promise to keep if there is one.
    pub fn into_parts(self) -> (Message, Option<Confirm>) {
        (self.message, self.confirm)
    }
}

impl Deref for Delivery {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

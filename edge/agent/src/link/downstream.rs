//! What comes down: into the replica first, then the acknowledgement.

use edgeward_objects::Object;
use edgeward_service::{Counter, clock};
use edgeward_wire::{Envelope, Resource, group, needs_ack, operation};

use super::requests::Answer;
use super::{Served, Session};
use crate::Error;
use crate::replica::{Applied, kinds};

/// Who is told which devices joined or left this node (KubeEdge's `membership`).
pub trait Devices: Send + Sync {
    /// The content of a membership message. Must be durable when it returns.
    fn membership<'a>(&'a self, content: &'a [u8]) -> futures::future::BoxFuture<'a, Result<(), Error>>;
}

/// The receiving side of a session.
pub(super) struct Downstream {
    pub(super) session: Session,
    pub(super) served: Served,
}

impl Downstream {
    /// Stores what a message brings, then acknowledges it and wakes whoever asked for it. What cannot be stored is not
    /// acknowledged: the hub sends it again.
    pub(super) async fn handle(&self, message: Envelope) {
        let stored = match self.store(&message).await {
            Ok(applied) => applied,
            Err(error) => {
                FAILED.inc();
                tracing::error!(resource = message.route.resource, %error, "message from the cloud was not stored");
                return;
            }
        };
        COUNT.inc();
        if stored == Applied::Unknown && !message.is_answer() {
            UNKNOWN.inc();
            tracing::debug!(resource = message.route.resource, "message from the cloud means nothing to this node");
        }
        let ack = needs_ack(&message).then(|| message.ack(clock::now_ms()));
        if message.is_answer() {
            self.session.answer(message);
        }
        if let Some(ack) = ack {
            // A session that ends before the acknowledgement left gets the message again.
            let _ = self.session.send(ack).await;
        }
    }

    async fn store(&self, message: &Envelope) -> Result<Applied, Error> {
        if message.route.group == group::USER {
            return Ok(Applied::Unknown);
        }
        match message.resource() {
            Resource::Membership => {
                if let Some(devices) = &self.served.devices {
                    let content = message.document().map_err(|error| Error::Message(error.to_string()))?;
                    devices.membership(content.as_bytes()).await?;
                }
                Ok(Applied::Stored)
            }
            Resource::Object { namespace, kind, name: Some(name) } => {
                self.store_object(message, namespace, kind, name).await
            }
            _ => Ok(Applied::Unknown),
        }
    }

    async fn store_object(
        &self,
        message: &Envelope,
        namespace: Option<&str>,
        word: &str,
        name: &str,
    ) -> Result<Applied, Error> {
        let Some(kind) = kinds::by_word(word) else { return Ok(Applied::Unknown) };
        let key = kind.key(namespace, name);
        match message.route.operation.as_str() {
            operation::DELETE => {
                let uid = Object::from_bytes(message.content.get().as_bytes()).unwrap_or_default().uid().to_owned();
                self.served.replica.remove(&key, &uid).await?;
                Ok(Applied::Stored)
            }
            operation::INSERT | operation::UPDATE => self.apply(kind, &key, message, message.content.get()).await,
            // Answers to queries are kept; answers to writes tell nothing that does not also come by itself.
            operation::RESPONSE if needs_ack(message) => {
                let answer = Answer { message: message.clone() };
                match answer.object() {
                    Ok(Some(object)) => self.apply(kind, &key, message, object.get()).await,
                    _ => Ok(Applied::Unknown),
                }
            }
            _ => Ok(Applied::Unknown),
        }
    }

    async fn apply(
        &self,
        kind: &kinds::Kind,
        key: &edgeward_store::Key,
        message: &Envelope,
        content: &str,
    ) -> Result<Applied, Error> {
        let Ok(object) = Object::from_bytes(content.as_bytes()) else { return Ok(Applied::Unknown) };
        if object.name() != &*key.name || object.namespace() != key.namespace.as_deref() {
            return Ok(Applied::Unknown);
        }
        let header = message.header.resource_version.as_str();
        let version = if header.is_empty() { object.resource_version().to_owned() } else { header.to_owned() };
        self.served.replica.apply(kind, object, &version).await
    }
}

static COUNT: Counter = Counter::new("edgeward_link_received_total", "messages from the cloud that were handled");
static FAILED: Counter =
    Counter::new("edgeward_link_not_stored_total", "messages from the cloud that could not be stored");
static UNKNOWN: Counter =
    Counter::new("edgeward_link_unknown_total", "messages from the cloud of no meaning to this node");

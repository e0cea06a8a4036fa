//! The twin's side of the broker.

use edgeward_broker::{self as broker, Delivery, Message, QoS, SubscribeOptions, Subscription};

use crate::error::TwinError;
use crate::metrics;
use crate::publish::{Publication, REQUESTS};

/// Requests in, answers out.
pub(crate) struct Bus {
    broker: broker::Handle,
    requests: Subscription,
}

impl Bus {
    /// Subscribes to the request topics. A QoS 1 request is acknowledged to its client once its effect is on disk; while
    /// `inbox` of them wait, clients wait too.
    pub(crate) fn start(broker: broker::Handle, inbox: usize) -> Result<Self, TwinError> {
        let options =
            SubscribeOptions { capacity: inbox, acknowledge: true, skip_retained: true, ..SubscribeOptions::default() };
        let requests = broker.subscribe(&REQUESTS, options)?;
        Ok(Self { broker, requests })
    }

    /// The next request. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Delivery {
        self.requests.recv().await
    }

    /// The next request if one is there.
    pub(crate) fn try_recv(&mut self) -> Option<Delivery> {
        self.requests.try_recv()
    }

    /// Publishes in order, QoS 1, not retained: what KubeEdge's event bus does. A subscriber that is behind loses
    /// answers (counted) rather than hold up every device of the node.
    pub(crate) fn publish(&self, publications: Vec<Publication>) {
        for publication in publications {
            let message = Message::new(publication.topic, publication.payload).map(|m| m.with_qos(QoS::AtLeastOnce));
            if let Err(error) = message.and_then(|message| self.broker.publish_now(&message)) {
                metrics::PUBLISH_FAILED.inc();
                tracing::debug!(%error, "answer not published");
            }
        }
    }
}

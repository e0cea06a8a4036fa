//! The bus as other parts of this program see it.

use std::net::SocketAddr;
use std::sync::Arc;

use edgeward_mqtt::{Filter, QoS};
use tokio::sync::{oneshot, watch};

use crate::batch::Batch;
use crate::confirm::{Asker, Tell};
use crate::core::Core;
use crate::local::Local;
use crate::router::{Route, Target};
use crate::{BrokerError, Message, SubscribeOptions, Subscription};

/// Publishes to and subscribes on the broker without a socket. Clones are the same broker.
#[derive(Clone)]
pub struct Handle {
    pub(crate) core: Arc<Core>,
    pub(crate) addresses: Arc<[SocketAddr]>,
    pub(crate) door: watch::Sender<bool>,
}

impl Handle {
    /// Publishes a message. Returns when every subscriber has it in its queue; waits for in-process subscribers that
    /// block ([`crate::OnFull::Block`]), and a bounded time for slow clients.
    ///
    /// # Errors
    /// The message is larger than the packet limit.
    pub async fn publish(&self, message: Message) -> Result<(), BrokerError> {
        let relief = self.route(&message, &mut Asker::nobody(), true)?;
        if let Some(relief) = relief {
            relief.await;
        }
        Ok(())
    }

    /// Publishes a message without ever waiting: an in-process subscriber that blocks and is full loses it (counted).
    ///
    /// # Errors
    /// The message is larger than the packet limit.
    pub fn publish_now(&self, message: &Message) -> Result<(), BrokerError> {
        self.route(message, &mut Asker::nobody(), false).map(drop)
    }

    /// Publishes a message of QoS 1 or 2 and returns when every subscriber that confirms has confirmed it and it is on
    /// disk where it belongs there.
    ///
    /// # Errors
    /// The message is too large, or somebody gave it up.
    pub async fn publish_confirmed(&self, message: Message) -> Result<(), BrokerError> {
        let (tell, told) = oneshot::channel();
        let mut asker = Asker::of(Tell::Local(tell));
        let relief = self.route(&message, &mut asker, true)?;
        drop(asker);
        if let Some(relief) = relief {
            relief.await;
        }
        match told.await {
            Ok(true) => Ok(()),
            _ => Err(BrokerError::NotConfirmed),
        }
    }

    /// Subscribes to topic filters. Retained messages come first.
    ///
    /// # Errors
    /// A filter is not valid.
    pub fn subscribe<F: AsRef<str>>(
        &self,
        filters: &[F],
        options: SubscribeOptions,
    ) -> Result<Subscription, BrokerError> {
        let parse = |filter: &F| {
            let text = filter.as_ref();
            Filter::try_from(text).map_err(|source| BrokerError::Topic { text: text.to_owned(), source })
        };
        let filters = filters.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let core = self.core.clone();
        let local = Arc::new(Local::new(core.router.next_id(), options));
        for filter in &filters {
            core.router.add(filter, Route { to: Target::Local(local.clone()), qos: QoS::ExactlyOnce });
            if !local.skips_retained() {
                core.retained.matching(filter).into_iter().for_each(|message| local.offer_retained(message));
            }
        }
        Ok(Subscription { local, core, filters, taken: Vec::new() })
    }

    /// Lets clients in, where [`crate::Options::hold`] kept them waiting.
    pub fn open(&self) {
        self.door.send_replace(true);
    }

    /// The addresses the broker listens on, in the order of the options, with real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn route(
        &self,
        message: &Message,
        asker: &mut Asker,
        may_wait: bool,
    ) -> Result<Option<impl Future<Output = ()> + Send + use<>>, BrokerError> {
        // The packet adds at most nine bytes to topic and payload.
        let (size, limit) = (message.size() + 9, self.core.limits.max_packet_bytes);
        if size > limit {
            return Err(BrokerError::TooLarge { size, limit });
        }
        let mut batch = Batch::default();
        let routes = self.core.router.find(message.topic.as_bytes());
        self.core.publish(message, &routes, asker, &mut batch, may_wait);
        batch.wake();
        Ok(self.core.relief(&mut batch, self.core.limits.slow_client_grace).filter(|_| may_wait))
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Handle").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

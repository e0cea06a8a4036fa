//! What connections and handles share.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edgeward_mqtt::QoS;

use crate::batch::Batch;
use crate::confirm::Asker;
use crate::registry::Registry;
use crate::retained::Retained;
use crate::router::{Route, Router, Target};
use crate::session::{Session, Sure};
use crate::store::{Op, Saved, Store};
use crate::{BrokerError, Limits, Message, Options, metrics};

/// The broker without its sockets.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) limits: Arc<Limits>,
    pub(crate) router: Router,
    pub(crate) retained: Retained,
    pub(crate) registry: Registry,
    pub(crate) store: Option<Arc<Store>>,
}

impl Core {
    /// Opens the store, if there is one, and takes in what it holds. Blocks on the disk.
    pub(crate) fn open(options: Options) -> Result<Core, BrokerError> {
        let limits = Arc::new(options.limits.clone());
        let (store, saved) = match &options.store {
            Some(path) => open_store(path, limits.max_unwritten)?,
            None => (None, Saved::default()),
        };
        let registry = Registry::new(limits.clone(), store.clone());
        let core = Core { options, limits, router: Router::default(), retained: Retained::default(), registry, store };
        core.restore(saved);
        Ok(core)
    }

    fn restore(&self, saved: Saved) {
        for message in saved.retained {
            self.retained.set(message, &self.limits);
        }
        for session in saved.sessions {
            let restored =
                Session::new(self.router.next_id(), session.client_id, true, self.limits.clone(), self.store.clone());
            let sure = |(sequence, message)| Sure { sequence: Some(sequence), message };
            let queued: VecDeque<Sure> = session.queued.into_iter().map(sure).collect();
            restored.restore(session.last_seen, session.subscriptions.clone(), queued);
            self.registry.restore(Arc::new(restored), &session.subscriptions, &self.router);
        }
    }

    /// Hands a message to everybody on `routes`. Nothing may be awaited between this and [`Batch::wake`].
    ///
    /// `may_wait` says whether the publisher heeds a full [`Batch`].
    pub(crate) fn publish(
        &self,
        message: &Message,
        routes: &[Route],
        asker: &mut Asker,
        batch: &mut Batch,
        may_wait: bool,
    ) {
        metrics::RECEIVED.inc();
        let live;
        let message = if message.retain {
            self.retain(message, asker);
            live = Message { retain: false, ..message.clone() };
            &live
        } else {
            message
        };
        for route in routes {
            let offered = match &route.to {
                Target::Local(local) => local.offer(message, asker, may_wait),
                Target::Client(session) => session.offer(message, route.qos.min(message.qos), asker),
            };
            batch.note(&route.to, offered);
        }
    }

    fn retain(&self, message: &Message, asker: &mut Asker) {
        let message = message.detached();
        if !self.retained.set(message.clone(), &self.limits) {
            metrics::NOT_RETAINED.inc();
            return;
        }
        if let Some(store) = &self.store {
            let confirm = if message.qos == QoS::AtMostOnce { None } else { asker.confirm() };
            store.push(Op::Retain(message), confirm);
        }
    }

    /// What a publisher has to wait for before its next message, if anything.
    pub(crate) fn relief(&self, batch: &mut Batch, grace: Duration) -> Option<impl Future<Output = ()> + Send + use<>> {
        let store = self.store.clone().filter(|store| store.is_full());
        if store.is_none() && !batch.is_full() {
            return None;
        }
        let relief = batch.relief(grace);
        Some(async move {
            relief.await;
            if let Some(store) = store {
                store.wait_for_space().await;
            }
        })
    }
}

fn open_store(path: &Path, max_unwritten: usize) -> Result<(Option<Arc<Store>>, Saved), BrokerError> {
    let (store, saved) = Store::open(path, max_unwritten)?;
    Ok((Some(Arc::new(store)), saved))
}

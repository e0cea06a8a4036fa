//! What survives a restart: persistent sessions, their queues, and retained messages, in one SQLite file.
//!
//! Changes are queued in memory and committed together by one task; whoever must not be told before the commit hangs a
//! [`Confirm`] on the change. A commit that fails (a full disk) is tried again until it succeeds, while publishers wait.

mod file;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edgeward_mqtt::{Filter, QoS, Text};
use edgeward_service::{Backoff, Tasks};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{BrokerError, Confirm, Message, metrics};
use file::File;

/// A change.
#[derive(Debug)]
pub(crate) enum Op {
    /// A session is known.
    Remember { client_id: Text, last_seen: i64 },
    /// A session, its subscriptions and its queue are gone.
    Forget { client_id: Text },
    /// A subscription.
    Subscribe { client_id: Text, filter: Filter, qos: QoS },
    /// Its end.
    Unsubscribe { client_id: Text, filter: Filter },
    /// A QoS 1 message waits for a client.
    Queue { client_id: Text, sequence: u64, message: Message },
    /// It no longer does.
    Unqueue { client_id: Text, sequence: u64 },
    /// A topic's retained message; an empty payload means none.
    Retain(Message),
}

/// What was found on disk.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) retained: Vec<Message>,
    pub(crate) sessions: Vec<SavedSession>,
}

/// A session found on disk.
#[derive(Debug)]
pub(crate) struct SavedSession {
    pub(crate) client_id: Text,
    pub(crate) last_seen: i64,
    pub(crate) subscriptions: HashMap<Filter, QoS>,
    pub(crate) queued: Vec<(u64, Message)>,
}

/// The queue in front of the file.
pub(crate) struct Store {
    pending: Mutex<Vec<(Op, Option<Confirm>)>>,
    work: Notify,
    space: Notify,
    max_unwritten: usize,
    file: Mutex<File>,
}

impl Store {
    pub(crate) fn open(path: &Path, max_unwritten: usize) -> Result<(Store, Saved), BrokerError> {
        let (file, saved) = File::open(path)?;
        let (pending, file) = (Mutex::default(), Mutex::new(file));
        Ok((Store { pending, work: Notify::new(), space: Notify::new(), max_unwritten, file }, saved))
    }

    /// Queues a change. The queue may exceed its bound by what one read of each publisher's socket holds: publishers look
    /// at [`Store::is_full`] after each.
    pub(crate) fn push(&self, op: Op, confirm: Option<Confirm>) {
        let first = {
            let mut pending = self.pending.lock();
            pending.push((op, confirm));
            pending.len() == 1
        };
        if first {
            self.work.notify_one();
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending.lock().len() >= self.max_unwritten
    }

    pub(crate) async fn wait_for_space(&self) {
        let mut notified = std::pin::pin!(self.space.notified());
        loop {
            notified.as_mut().enable();
            if !self.is_full() {
                return;
            }
            notified.as_mut().await;
            notified.set(self.space.notified());
        }
    }

    /// Commits changes until `tasks` is cancelled, and what is left then.
    pub(crate) fn run(store: Arc<Store>, tasks: &Tasks) {
        let node = tasks.clone();
        tasks.spawn("store", async move {
            while !node.is_cancelled() {
                tokio::select! {
                    () = store.work.notified() => {}
                    () = node.cancelled() => {}
                }
                store.commit(&node).await;
            }
        });
    }

    async fn commit(self: &Arc<Self>, tasks: &Tasks) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut batch = std::mem::take(&mut *self.pending.lock());
        self.space.notify_waiters();
        while !batch.is_empty() {
            let store = self.clone();
            let written = tokio::task::spawn_blocking(move || {
                let result = store.file.lock().apply(batch.iter().map(|(op, _)| op));
                (batch, result)
            });
            let Ok((written, result)) = written.await else { return };
            batch = written;
            match result {
                Ok(()) => batch.drain(..).filter_map(|(_, confirm)| confirm).for_each(Confirm::confirm),
                Err(error) => {
                    metrics::STORE_RETRIES.inc();
                    tracing::error!(%error, "cannot write the broker's file; QoS 1 publishers wait until it can be written");
                    if tasks.is_cancelled() {
                        return;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next_delay()) => {}
                        () = tasks.cancelled() => {}
                    }
                }
            }
        }
    }
}

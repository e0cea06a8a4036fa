//! Subscribers in this process.

use std::collections::VecDeque;
use std::sync::Arc;

use edgeward_mqtt::{Filter, QoS};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::batch::Offered;
use crate::confirm::Asker;
use crate::core::Core;
use crate::message::{Delivery, Message};
use crate::metrics;

/// How an in-process subscription behaves.
#[derive(Debug, Clone)]
pub struct SubscribeOptions {
    /// Messages that may wait for the subscriber.
    pub capacity: usize,
    /// What happens beyond that.
    pub on_full: OnFull,
    /// The subscriber confirms each message of QoS 1 or 2 ([`Delivery::confirm`]), and the publisher's PUBACK waits for
    /// it. Implies [`OnFull::Block`]: a message that must be confirmed is not dropped.
    pub acknowledge: bool,
    /// Leave out retained messages at the start.
    pub skip_retained: bool,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        SubscribeOptions { capacity: 1_024, on_full: OnFull::DropOldest, acknowledge: false, skip_retained: false }
    }
}

/// What happens when an in-process subscriber falls behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// The oldest waiting message is dropped and counted.
    DropOldest,
    /// Publishers wait. The queue may exceed its capacity by what one read of each publisher's socket holds.
    Block,
}

/// The queue of one in-process subscriber.
pub(crate) struct Local {
    pub(crate) id: u64,
    options: SubscribeOptions,
    queue: Mutex<Queue>,
    ready: Notify,
    space: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Delivery>,
    closed: bool,
}

impl Local {
    pub(crate) fn new(id: u64, mut options: SubscribeOptions) -> Local {
        options.capacity = options.capacity.max(1);
        if options.acknowledge {
            options.on_full = OnFull::Block;
        }
        Local { id, options, queue: Mutex::default(), ready: Notify::new(), space: Notify::new() }
    }

    /// Puts a message into the queue. `may_wait` says whether the publisher heeds [`Offered::Full`]; if not, a full
    /// blocking queue loses the new message.
    pub(crate) fn offer(&self, message: &Message, asker: &mut Asker, may_wait: bool) -> Offered {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Offered::Queued;
        }
        let full = queue.items.len() >= self.options.capacity;
        match self.options.on_full {
            OnFull::Block if full && !may_wait => {
                metrics::DROPPED_LOCAL.inc();
                return Offered::Queued;
            }
            OnFull::DropOldest if full => {
                metrics::DROPPED_LOCAL.inc();
                queue.items.pop_front();
            }
            _ => {}
        }
        let confirm = if self.options.acknowledge && message.qos != QoS::AtMostOnce { asker.confirm() } else { None };
        queue.items.push_back(Delivery { message: message.clone(), confirm });
        match queue.items.len() {
            1 => Offered::Wake,
            length if length >= self.options.capacity && self.options.on_full == OnFull::Block => Offered::Full,
            _ => Offered::Queued,
        }
    }

    /// Puts a retained message into the queue; these do not count against the capacity, they only share what is kept.
    pub(crate) fn offer_retained(&self, message: Message) {
        self.queue.lock().items.push_back(Delivery { message, confirm: None });
        self.ready.notify_one();
    }

    pub(crate) fn skips_retained(&self) -> bool {
        self.options.skip_retained
    }

    pub(crate) fn wake(&self) {
        self.ready.notify_one();
    }

    pub(crate) async fn wait_for_space(&self) {
        let mut notified = std::pin::pin!(self.space.notified());
        loop {
            notified.as_mut().enable();
            {
                let queue = self.queue.lock();
                if queue.closed || queue.items.len() < self.options.capacity {
                    return;
                }
            }
            notified.as_mut().await;
            notified.set(self.space.notified());
        }
    }

    fn take(&self, batch: &mut Vec<Delivery>, max: usize) {
        let mut queue = self.queue.lock();
        let was_full = queue.items.len() >= self.options.capacity;
        let count = max.min(queue.items.len());
        batch.extend(queue.items.drain(..count));
        metrics::DELIVERED.add(count as u64);
        if was_full && queue.items.len() < self.options.capacity {
            drop(queue);
            self.space.notify_waiters();
        }
    }
}

/// A subscription of a part of this program; dropping it ends it. Messages it had not confirmed are sent again by their
/// publishers.
pub struct Subscription {
    pub(crate) local: Arc<Local>,
    pub(crate) core: Arc<Core>,
    pub(crate) filters: Vec<Filter>,
    /// Taken from the queue and not yet handed out, newest first.
    pub(crate) taken: Vec<Delivery>,
}

/// Deliveries taken from the queue under one lock.
const TAKE: usize = 64;

impl Subscription {
    /// The next message; waits for it. Safe to drop while waiting.
    pub async fn recv(&mut self) -> Delivery {
        loop {
            if let Some(delivery) = self.try_recv() {
                return delivery;
            }
            self.local.ready.notified().await;
        }
    }

    /// The next message if one is there.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        if self.taken.is_empty() {
            self.local.take(&mut self.taken, TAKE);
            self.taken.reverse();
        }
        self.taken.pop()
    }

    /// Waits for messages and appends up to `max` of them. Safe to drop while waiting.
    pub async fn recv_batch(&mut self, batch: &mut Vec<Delivery>, max: usize) {
        let first = self.recv().await;
        batch.push(first);
        while batch.len() < max
            && let Some(delivery) = self.try_recv()
        {
            batch.push(delivery);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.filters.iter().for_each(|filter| self.core.router.remove(filter, self.local.id));
        let left = {
            let mut queue = self.local.queue.lock();
            queue.closed = true;
            std::mem::take(&mut queue.items)
        };
        // Outside the lock: dropping unconfirmed deliveries tells their publishers.
        drop(left);
        self.local.space.notify_waiters();
    }
}

//! How a publisher learns that everybody who asked for it has confirmed its message.
//!
//! An [`Asker`] accompanies one message while it is routed. Each part that wants the publisher to wait takes a
//! [`Confirm`] from it. When the asker and all confirms are gone, the publisher is told; a confirm dropped unused means
//! that the message is not safe.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use edgeward_mqtt::Packet;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

/// A promise about one message.
pub struct Confirm {
    pending: Arc<Pending>,
    kept: bool,
}

impl Confirm {
    /// The message is safe. Dropping the promise instead makes the publisher send the message again.
    pub fn confirm(mut self) {
        self.kept = true;
    }
}

impl Drop for Confirm {
    fn drop(&mut self) {
        if !self.kept {
            self.pending.failed.store(true, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Confirm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Confirm")
    }
}

struct Pending {
    failed: AtomicBool,
    tell: Option<Tell>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell.tell(!*self.failed.get_mut());
        }
    }
}

/// Whom to tell.
pub(crate) enum Tell {
    /// A slot in the reply queue of a client's connection.
    Client(Arc<Replies>, u64),
    /// A publisher in this process.
    Local(oneshot::Sender<bool>),
}

impl Tell {
    fn tell(self, safe: bool) {
        match self {
            Tell::Client(replies, slot) => replies.complete(slot, safe),
            // A publisher that no longer waits does not want to know.
            Tell::Local(waiter) => drop(waiter.send(safe)),
        }
    }
}

/// Accompanies a message while it is routed.
pub(crate) struct Asker {
    tell: Option<Tell>,
    pending: Option<Arc<Pending>>,
}

impl Asker {
    /// For a publisher that does not wait.
    pub(crate) fn nobody() -> Asker {
        Asker { tell: None, pending: None }
    }

    /// For one that does.
    pub(crate) fn of(tell: Tell) -> Asker {
        Asker { tell: Some(tell), pending: None }
    }

    /// A promise to the publisher, if it waits for any.
    pub(crate) fn confirm(&mut self) -> Option<Confirm> {
        if let Some(tell) = self.tell.take() {
            self.pending = Some(Arc::new(Pending { failed: AtomicBool::new(false), tell: Some(tell) }));
        }
        let pending = self.pending.clone()?;
        Some(Confirm { pending, kept: false })
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        // Nobody took a promise: the message is as safe as it gets.
        if let Some(tell) = self.tell.take() {
            tell.tell(true);
        }
    }
}

/// The replies a connection owes, in the order of the packets that asked for them (MQTT-4.6.0-2).
#[derive(Default)]
pub(crate) struct Replies {
    slots: Mutex<Slots>,
    /// A reply can be sent, or one never will.
    pub(crate) changed: Notify,
}

#[derive(Default)]
struct Slots {
    first: u64,
    queue: VecDeque<Slot>,
    failed: bool,
}

struct Slot {
    reply: Packet,
    done: bool,
}

/// A message was given up by somebody who had promised to keep it.
#[derive(Debug)]
pub(crate) struct GivenUp;

impl Replies {
    /// Queues a reply that waits for [`Tell::Client`] with the slot returned.
    pub(crate) fn owe(&self, reply: Packet) -> u64 {
        let mut slots = self.slots.lock();
        slots.queue.push_back(Slot { reply, done: false });
        slots.first + slots.queue.len() as u64 - 1
    }

    fn complete(&self, slot: u64, safe: bool) {
        let mut slots = self.slots.lock();
        let Some(index) = slot.checked_sub(slots.first).and_then(|index| usize::try_from(index).ok()) else { return };
        slots.failed |= !safe;
        if let Some(slot) = slots.queue.get_mut(index) {
            slot.done = safe;
        }
        if slots.failed || index == 0 {
            drop(slots);
            self.changed.notify_one();
        }
    }

    /// How many replies are owed.
    pub(crate) fn len(&self) -> usize {
        self.slots.lock().queue.len()
    }

    /// Hands over the replies that are due.
    ///
    /// # Errors
    /// A message was given up: the connection must be closed.
    pub(crate) fn drain(&self, mut send: impl FnMut(&Packet)) -> Result<(), GivenUp> {
        let mut slots = self.slots.lock();
        while slots.queue.front().is_some_and(|slot| slot.done) {
            if let Some(slot) = slots.queue.pop_front() {
                slots.first += 1;
                send(&slot.reply);
            }
        }
        if slots.failed { Err(GivenUp) } else { Ok(()) }
    }

    /// Identifiers of QoS 2 messages whose PUBREC was not due yet.
    pub(crate) fn unconfirmed_exactly_once(&self) -> Vec<u16> {
        let received = |slot: &Slot| match &slot.reply {
            Packet::PubRec(ack) if !slot.done => Some(ack.packet_id),
            _ => None,
        };
        self.slots.lock().queue.iter().filter_map(received).collect()
    }
}

#[cfg(test)]
mod tests {
    use edgeward_mqtt::Ack;

    use super::*;

    fn due(replies: &Replies) -> (Vec<u16>, bool) {
        let mut ids = Vec::new();
        let given_up = replies
            .drain(|reply| {
                if let Packet::PubAck(ack) = reply {
                    ids.push(ack.packet_id)
                }
            })
            .is_err();
        (ids, given_up)
    }

    #[test]
    fn replies_keep_their_order_and_wait_for_every_promise() {
        let replies = Arc::new(Replies::default());
        let ask = |packet_id| {
            let slot = replies.owe(Packet::PubAck(Ack { packet_id }));
            Asker::of(Tell::Client(replies.clone(), slot))
        };
        let mut first = ask(1);
        let (a, b) = (first.confirm().unwrap(), first.confirm().unwrap());
        drop(first);
        drop(ask(2));
        assert_eq!(due(&replies), (vec![], false));
        a.confirm();
        assert_eq!(due(&replies), (vec![], false));
        b.confirm();
        assert_eq!(due(&replies), (vec![1, 2], false));
        assert_eq!(replies.len(), 0);
    }

    #[test]
    fn a_dropped_promise_is_a_failure() {
        let replies = Arc::new(Replies::default());
        let slot = replies.owe(Packet::PubAck(Ack { packet_id: 1 }));
        let mut asker = Asker::of(Tell::Client(replies.clone(), slot));
        let promise = asker.confirm();
        drop(asker);
        drop(promise);
        assert_eq!(due(&replies), (vec![], true));
        assert!(Asker::nobody().confirm().is_none());
    }
}

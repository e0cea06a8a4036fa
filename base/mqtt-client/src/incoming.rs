//! Messages received, and the acknowledgements the server is owed for them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use edgeward_mqtt::v5::{Ack, Packet, Properties, Publish};
use edgeward_mqtt::{QoS, Text};
use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};

/// Finishes what a [`Taker`] had no room for.
pub type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who takes the messages of a client, in the client's own task: no other task is woken for a message.
pub trait Taker: Send + 'static {
    /// Takes what one read of the socket has brought, in order, and leaves the vector empty. With an answer the client reads
    /// nothing more until that is done; it still sends, acknowledges and answers pings. Must be quick.
    fn take(&mut self, messages: &mut Vec<Incoming>) -> Option<Rest>;
}

/// Whoever only publishes: what comes is confirmed and forgotten.
impl Taker for () {
    fn take(&mut self, messages: &mut Vec<Incoming>) -> Option<Rest> {
        messages.drain(..).for_each(Incoming::confirm);
        None
    }
}

/// The messages of a client, in order.
#[derive(Debug)]
pub struct Messages(mpsc::Receiver<Incoming>);

/// The way into [`Messages`].
pub(crate) struct Queue(mpsc::Sender<Incoming>);

impl Taker for Queue {
    fn take(&mut self, messages: &mut Vec<Incoming>) -> Option<Rest> {
        let mut coming = messages.drain(..);
        while let Some(message) = coming.next() {
            match self.0.try_send(message) {
                Ok(()) => {}
                // Not confirmed: the server may keep it for whoever comes next.
                Err(TrySendError::Closed(_)) => {}
                Err(TrySendError::Full(message)) => {
                    let rest: Vec<Incoming> = std::iter::once(message).chain(coming).collect();
                    return Some(Box::pin(send_all(self.0.clone(), rest)));
                }
            }
        }
        None
    }
}

async fn send_all(queue: mpsc::Sender<Incoming>, messages: Vec<Incoming>) {
    for message in messages {
        if queue.send(message).await.is_err() {
            return;
        }
    }
}

impl Messages {
    /// A queue of `capacity` messages.
    pub(crate) fn queue(capacity: usize) -> (Queue, Messages) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Queue(sender), Messages(receiver))
    }

    /// The next message; none when the client was stopped. Safe to drop while waiting.
    pub async fn recv(&mut self) -> Option<Incoming> {
        self.0.recv().await
    }
}

/// A message received.
#[derive(Debug)]
pub struct Incoming {
    /// Topic name.
    pub topic: Text,
    /// Payload.
    pub payload: Bytes,
    /// Quality of service it came with.
    pub qos: QoS,
    /// It was retained by the server.
    pub retain: bool,
    /// The server may have sent it before.
    pub dup: bool,
    /// 0 for QoS 0.
    pub packet_id: u16,
    /// None before MQTT 5.
    pub properties: Properties,
    promise: Option<Promise>,
}

impl Incoming {
    pub(crate) fn new(publish: Publish, promise: Option<Promise>) -> Incoming {
        let Publish { dup, qos, retain, topic, packet_id, properties, payload } = publish;
        Incoming { topic, payload, qos, retain, dup, packet_id, properties, promise }
    }

    /// The message is safe: the server may forget it. Dropping a QoS 1 or 2 message without this ends the connection, so
    /// that a server that keeps the session sends it again.
    pub fn confirm(mut self) {
        if let Some(promise) = self.promise.take() {
            promise.keep();
        }
    }

    /// The promise alone, for whoever confirms later.
    pub fn take_promise(&mut self) -> Option<Promise> {
        self.promise.take()
    }
}

/// The promise to the server that a message is safe.
pub struct Promise {
    owed: Arc<Owed>,
    slot: u64,
    kept: bool,
}

impl Promise {
    /// Keeps it. Dropping it instead ends the connection.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.owed.complete(self.slot, self.kept);
    }
}

impl std::fmt::Debug for Promise {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Promise")
    }
}

/// The acknowledgements one connection owes, in the order of the messages (MQTT-4.6.0-2).
#[derive(Default)]
pub(crate) struct Owed {
    slots: Mutex<Slots>,
    pub(crate) changed: Notify,
}

#[derive(Default)]
struct Slots {
    first: u64,
    queue: VecDeque<(Packet, bool)>,
    broken: bool,
}

/// A promise was broken: the connection must end.
#[derive(Debug)]
pub(crate) struct Broken;

impl Owed {
    pub(crate) fn owe(self: &Arc<Self>, qos: QoS, packet_id: u16) -> Option<Promise> {
        let reply = match qos {
            QoS::AtMostOnce => return None,
            QoS::AtLeastOnce => Packet::PubAck(Ack::of(packet_id)),
            QoS::ExactlyOnce => Packet::PubRec(Ack::of(packet_id)),
        };
        let mut slots = self.slots.lock();
        slots.queue.push_back((reply, false));
        let slot = slots.first + slots.queue.len() as u64 - 1;
        Some(Promise { owed: self.clone(), slot, kept: false })
    }

    fn complete(&self, slot: u64, kept: bool) {
        let mut slots = self.slots.lock();
        slots.broken |= !kept;
        let index = slot.checked_sub(slots.first).and_then(|index| usize::try_from(index).ok());
        if let Some((_, done)) = index.and_then(|index| slots.queue.get_mut(index)) {
            *done = kept;
        }
        drop(slots);
        self.changed.notify_one();
    }

    /// Whether any is owed.
    pub(crate) fn any(&self) -> bool {
        !self.slots.lock().queue.is_empty()
    }

    /// Hands over the acknowledgements that are due.
    pub(crate) fn drain(&self, mut send: impl FnMut(&Packet)) -> Result<(), Broken> {
        let mut slots = self.slots.lock();
        while slots.queue.front().is_some_and(|(_, done)| *done) {
            if let Some((reply, _)) = slots.queue.pop_front() {
                slots.first += 1;
                send(&reply);
            }
        }
        if slots.broken { Err(Broken) } else { Ok(()) }
    }

    /// Identifiers of QoS 2 messages that nobody has confirmed.
    pub(crate) fn unconfirmed(&self) -> Vec<u16> {
        let received = |(reply, done): &(Packet, bool)| match reply {
            Packet::PubRec(ack) if !done => Some(ack.packet_id),
            _ => None,
        };
        self.slots.lock().queue.iter().filter_map(received).collect()
    }
}

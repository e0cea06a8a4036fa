//! The session of an MQTT client: what waits for it, what it has not acknowledged, what it subscribed to.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use edgeward_mqtt::{Filter, PublishHeader, QoS, Text, Version, encode_publish};
use edgeward_service::clock;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::batch::Offered;
use crate::confirm::Asker;
use crate::store::{Op, Store};
use crate::{Limits, Message, metrics};

/// A session; it outlives its connections if it is persistent.
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) client_id: Text,
    /// The client connected without `clean session`.
    pub(crate) persistent: bool,
    /// Something can be sent.
    pub(crate) ready: Notify,
    space: Notify,
    limits: Arc<Limits>,
    /// Where a persistent session is kept, if anywhere.
    store: Option<Arc<Store>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Counts connections; an old connection has an old number.
    epoch: u64,
    /// Ends the present connection; none while there is no connection.
    kick: Option<CancellationToken>,
    /// Taken out of the registry: nothing is accepted any more.
    retired: bool,
    /// When the last connection ended, ms since 1970.
    last_seen: i64,
    at_most_once: VecDeque<Message>,
    at_least_once: VecDeque<Sure>,
    /// Bytes in both queues.
    bytes: usize,
    /// Sent and not acknowledged, in the order they were sent.
    inflight: VecDeque<Inflight>,
    /// How many of `inflight` were sent on the present connection.
    resent: usize,
    last_packet_id: u16,
    next_sequence: u64,
    /// Identifiers of QoS 2 messages received and not yet released.
    received: HashSet<u16>,
    subscriptions: HashMap<Filter, QoS>,
    /// Publishers no longer wait for this client until it has caught up.
    lagging: bool,
}

/// A QoS 1 message and its number in the store; none if it is not there.
pub(crate) struct Sure {
    pub(crate) sequence: Option<u64>,
    pub(crate) message: Message,
}

struct Inflight {
    packet_id: u16,
    sure: Sure,
}

impl Session {
    pub(crate) fn new(
        id: u64,
        client_id: Text,
        persistent: bool,
        limits: Arc<Limits>,
        store: Option<Arc<Store>>,
    ) -> Self {
        let store = store.filter(|_| persistent);
        let state = Mutex::new(State { last_seen: clock::now_ms(), ..State::default() });
        Session { id, client_id, persistent, ready: Notify::new(), space: Notify::new(), limits, store, state }
    }

    /// Fills a session that was read from the store.
    pub(crate) fn restore(&self, last_seen: i64, subscriptions: HashMap<Filter, QoS>, queued: VecDeque<Sure>) {
        let mut state = self.state.lock();
        state.last_seen = last_seen;
        state.subscriptions = subscriptions;
        state.next_sequence = queued.back().and_then(|sure| sure.sequence).map_or(0, |last| last + 1);
        state.bytes = queued.iter().map(|sure| sure.message.size()).sum();
        state.at_least_once = queued;
    }

    /// Gives the session to a new connection, ending the one it had, and returns the number of the new one.
    pub(crate) fn attach(&self, kick: CancellationToken) -> u64 {
        let mut state = self.state.lock();
        if let Some(old) = state.kick.replace(kick) {
            old.cancel();
        }
        state.epoch += 1;
        state.resent = 0;
        state.lagging = false;
        state.epoch
    }

    /// The connection ended. Returns false if it no longer had the session.
    pub(crate) fn detach(&self, epoch: u64, unconfirmed: &[u16]) -> bool {
        let mut state = self.state.lock();
        if state.epoch != epoch || state.retired {
            return false;
        }
        state.kick = None;
        state.last_seen = clock::now_ms();
        for packet_id in unconfirmed {
            state.received.remove(packet_id);
        }
        let dropped = std::mem::take(&mut state.at_most_once);
        state.bytes -= dropped.iter().map(Message::size).sum::<usize>();
        drop(state);
        self.space.notify_waiters();
        true
    }

    /// The session ends for good: ends its connection, forgets it on disk and returns its filters.
    pub(crate) fn retire(&self) -> Vec<Filter> {
        let mut state = self.state.lock();
        state.retired = true;
        if let Some(kick) = state.kick.take() {
            kick.cancel();
        }
        if let Some(store) = &self.store {
            store.push(Op::Forget { client_id: self.client_id.clone() }, None);
        }
        state.at_most_once.clear();
        state.at_least_once.clear();
        let filters = state.subscriptions.drain().map(|(filter, _)| filter).collect();
        drop(state);
        self.space.notify_waiters();
        filters
    }

    /// Whether the session has no connection and has not had one for the given time.
    pub(crate) fn is_expired(&self, now_ms: i64, expiry: Duration) -> bool {
        let state = self.state.lock();
        let idle = u64::try_from(now_ms - state.last_seen).unwrap_or(0);
        state.kick.is_none() && u128::from(idle) > expiry.as_millis()
    }

    /// How many filters may still be added.
    pub(crate) fn subscription_room(&self) -> usize {
        self.limits.max_subscriptions.saturating_sub(self.state.lock().subscriptions.len())
    }

    /// Whether it subscribed to exactly this filter.
    pub(crate) fn is_subscribed(&self, filter: &Filter) -> bool {
        self.state.lock().subscriptions.contains_key(filter)
    }

    /// Notes a subscription; false if the connection no longer has the session or a limit forbids it.
    pub(crate) fn subscribe(&self, epoch: u64, filter: &Filter, qos: QoS, asker: &mut Asker) -> bool {
        let mut state = self.state.lock();
        let full =
            state.subscriptions.len() >= self.limits.max_subscriptions && !state.subscriptions.contains_key(filter);
        if state.epoch != epoch || state.retired || full {
            return false;
        }
        state.subscriptions.insert(filter.clone(), qos);
        if let Some(store) = &self.store {
            let op = Op::Subscribe { client_id: self.client_id.clone(), filter: filter.clone(), qos };
            store.push(op, asker.confirm());
        }
        true
    }

    /// Forgets a subscription; false if there was none.
    pub(crate) fn unsubscribe(&self, epoch: u64, filter: &Filter, asker: &mut Asker) -> bool {
        let mut state = self.state.lock();
        if state.epoch != epoch || state.retired || state.subscriptions.remove(filter).is_none() {
            return false;
        }
        if let Some(store) = &self.store {
            let op = Op::Unsubscribe { client_id: self.client_id.clone(), filter: filter.clone() };
            store.push(op, asker.confirm());
        }
        true
    }

    /// Notes the identifier of a QoS 2 message; false if the message was received before.
    pub(crate) fn receive(&self, packet_id: u16) -> bool {
        self.state.lock().received.insert(packet_id)
    }

    /// The client released a QoS 2 message.
    pub(crate) fn release(&self, packet_id: u16) {
        self.state.lock().received.remove(&packet_id);
    }

    /// Puts a message into the queue of its quality of service.
    pub(crate) fn offer(&self, message: &Message, qos: QoS, asker: &mut Asker) -> Offered {
        let mut state = self.state.lock();
        if state.retired {
            return Offered::Queued;
        }
        let wake = if qos == QoS::AtMostOnce {
            if state.kick.is_none() {
                return Offered::Queued;
            }
            state.queue_at_most_once(message.clone(), self.limits.max_queued_messages, self.limits.max_queued_bytes)
        } else {
            self.queue_at_least_once(&mut state, message, asker)
        };
        match wake {
            _ if self.is_full(&state) => Offered::Full,
            true => Offered::Wake,
            false => Offered::Queued,
        }
    }

    fn queue_at_least_once(&self, state: &mut State, message: &Message, asker: &mut Asker) -> bool {
        let no_space = state.at_least_once.len() >= self.limits.max_queued_messages
            || state.bytes + message.size() > self.limits.max_queued_bytes;
        if no_space {
            metrics::DROPPED_QOS1.inc();
            return false;
        }
        let message = if self.persistent { message.detached() } else { message.clone() };
        let sequence = self.store.as_ref().map(|store| {
            let sequence = state.next_sequence;
            state.next_sequence += 1;
            let op = Op::Queue { client_id: self.client_id.clone(), sequence, message: message.clone() };
            store.push(op, asker.confirm());
            sequence
        });
        state.bytes += message.size();
        state.at_least_once.push_back(Sure { sequence, message });
        state.at_least_once.len() == 1
    }

    /// Queues a retained message because of a new subscription. These come on top of the bounds, up to the number of
    /// messages that can be retained: they only share what is kept.
    pub(crate) fn offer_retained(&self, message: Message, qos: QoS) {
        let mut state = self.state.lock();
        let bound = self.limits.max_queued_messages + self.limits.max_retained;
        if qos == QoS::AtMostOnce {
            state.queue_at_most_once(message, bound, usize::MAX);
        } else if state.at_least_once.len() < bound {
            state.bytes += message.size();
            state.at_least_once.push_back(Sure { sequence: None, message });
        }
        self.ready.notify_one();
    }

    /// Whether publishers should wait: the client is connected, keeping up so far, and three quarters of a bound are used.
    fn is_full(&self, state: &State) -> bool {
        let most = state.at_most_once.len().max(state.at_least_once.len());
        state.kick.is_some()
            && !state.lagging
            && (most >= self.limits.max_queued_messages / 4 * 3 || state.bytes >= self.limits.max_queued_bytes / 4 * 3)
    }

    /// Waits until the client has caught up, at most `grace`; then nobody waits for it until it has.
    pub(crate) async fn wait_for_space(&self, grace: Duration) {
        let waited = tokio::time::timeout(grace, async {
            let mut notified = std::pin::pin!(self.space.notified());
            loop {
                notified.as_mut().enable();
                if !self.is_full(&self.state.lock()) {
                    return;
                }
                notified.as_mut().await;
                notified.set(self.space.notified());
            }
        });
        if waited.await.is_err() {
            let mut state = self.state.lock();
            if !state.lagging {
                state.lagging = true;
                metrics::SLOW_CLIENTS.inc();
                tracing::warn!(client = %self.client_id, "client does not keep up; publishers no longer wait for it");
            }
        }
    }

    /// Appends what can be sent to `out` until that holds `high` bytes: first what the last connection left
    /// unacknowledged, then new messages.
    pub(crate) fn drain(&self, epoch: u64, version: Version, out: &mut BytesMut, high: usize) {
        let mut state = self.state.lock();
        if state.epoch != epoch || state.retired {
            return;
        }
        let was_full = self.is_full(&state) || state.lagging;
        let before = out.len();
        let mut sent = state.resend(version, out, high);
        sent += state.send_new(version, out, high, self.limits.max_inflight);
        if out.len() > before {
            metrics::SENT.add(sent);
        }
        let half = self.limits.max_queued_messages / 2;
        if was_full && state.at_most_once.len() <= half && state.at_least_once.len() <= half {
            state.lagging = false;
        }
        if was_full && !self.is_full(&state) {
            drop(state);
            self.space.notify_waiters();
        }
    }

    /// The client acknowledged a QoS 1 message.
    pub(crate) fn acknowledge(&self, epoch: u64, packet_id: u16) {
        let mut state = self.state.lock();
        let sent = if state.epoch == epoch { state.resent } else { 0 };
        let Some(index) = state.inflight.iter().take(sent).position(|inflight| inflight.packet_id == packet_id) else {
            return;
        };
        state.resent -= 1;
        let Some(Inflight { sure, .. }) = state.inflight.remove(index) else { return };
        if let (Some(store), Some(sequence)) = (&self.store, sure.sequence) {
            store.push(Op::Unqueue { client_id: self.client_id.clone(), sequence }, None);
        }
    }
}

impl State {
    fn queue_at_most_once(&mut self, message: Message, max_messages: usize, max_bytes: usize) -> bool {
        self.bytes += message.size();
        self.at_most_once.push_back(message);
        while self.at_most_once.len() > max_messages || self.bytes > max_bytes {
            let Some(oldest) = self.at_most_once.pop_front() else { break };
            self.bytes -= oldest.size();
            metrics::DROPPED_QOS0.inc();
        }
        self.at_most_once.len() == 1
    }

    fn resend(&mut self, version: Version, out: &mut BytesMut, high: usize) -> u64 {
        let mut sent = 0;
        while out.len() < high
            && let Some(Inflight { packet_id, sure }) = self.inflight.get(self.resent)
        {
            encode(version, &sure.message, QoS::AtLeastOnce, *packet_id, true, out);
            self.resent += 1;
            sent += 1;
        }
        sent
    }

    fn send_new(&mut self, version: Version, out: &mut BytesMut, high: usize, window: usize) -> u64 {
        let mut sent = 0;
        while out.len() < high
            && self.inflight.len() < window
            && self.resent == self.inflight.len()
            && let Some(sure) = self.at_least_once.pop_front()
        {
            self.bytes -= sure.message.size();
            let packet_id = self.next_packet_id();
            encode(version, &sure.message, QoS::AtLeastOnce, packet_id, false, out);
            self.inflight.push_back(Inflight { packet_id, sure });
            self.resent += 1;
            sent += 1;
        }
        while out.len() < high
            && let Some(message) = self.at_most_once.pop_front()
        {
            self.bytes -= message.size();
            encode(version, &message, QoS::AtMostOnce, 0, false, out);
            sent += 1;
        }
        sent
    }

    /// An identifier that no message in flight has; the window is far smaller than the 65535 there are.
    fn next_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            if !self.inflight.iter().any(|inflight| inflight.packet_id == self.last_packet_id) {
                return self.last_packet_id;
            }
        }
    }
}

fn encode(version: Version, message: &Message, qos: QoS, packet_id: u16, dup: bool, out: &mut BytesMut) {
    let header = PublishHeader { dup, qos, retain: message.retain, packet_id };
    if let Err(error) = encode_publish(version, header, message.topic.as_bytes(), &message.payload, out) {
        // Topics and sizes were checked when the message was published.
        tracing::error!(topic = %message.topic, %error, "message has no encoding; this is a bug, please report it");
    }
}

//! What outlives a connection: messages the server has not acknowledged, subscriptions, QoS 2 identifiers received.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::BytesMut;
use edgeward_mqtt::v5::{Ack, Packet, Publish, Reason, Reasons, Subscribe, Subscription, Unsubscribe, encode};
use edgeward_mqtt::{Filter, QoS, Version};
use tokio::sync::oneshot;

use crate::ClientError;
use crate::handle::Request;
use crate::terms::Terms;

#[derive(Default)]
pub(crate) struct Session {
    /// In the order they were sent.
    inflight: VecDeque<Outgoing>,
    last_packet_id: u16,
    /// QoS 2 messages received and not released.
    pub(crate) received: HashSet<u16>,
    subscriptions: HashMap<Filter, Subscription>,
    /// SUBSCRIBEs without an answer.
    asked: Vec<Asked>,
}

struct Outgoing {
    packet: Packet,
    packet_id: u16,
    done: oneshot::Sender<Result<(), ClientError>>,
}

struct Asked {
    subscribe: Subscribe,
    done: oneshot::Sender<Vec<Reason>>,
}

impl Session {
    /// How many messages wait for the server.
    pub(crate) fn inflight(&self) -> usize {
        self.inflight.len()
    }

    /// Says again what the server may not have heard, at the start of a connection.
    pub(crate) fn resume(&mut self, terms: &Terms, out: &mut BytesMut) {
        if !terms.session_present {
            self.received.clear();
        }
        let known: Vec<_> = self.subscriptions.iter().map(|(filter, options)| (filter.clone(), *options)).collect();
        if !known.is_empty() && !terms.session_present {
            let subscribe = Subscribe { packet_id: self.next_packet_id(), filters: known, ..Subscribe::default() };
            put(terms.version, &Packet::Subscribe(subscribe), out);
        }
        for asked in &self.asked {
            put(terms.version, &Packet::Subscribe(asked.subscribe.clone()), out);
        }
        for outgoing in &mut self.inflight {
            if let Packet::Publish(publish) = &mut outgoing.packet {
                publish.dup = terms.session_present;
            }
            put(terms.version, &outgoing.packet, out);
        }
    }

    /// Sends what a user asked for.
    pub(crate) fn send(&mut self, terms: &Terms, request: Request, out: &mut BytesMut) {
        match request {
            Request::Publish { message, done } => self.publish(terms, message, done, out),
            Request::Subscribe { filters, done } => {
                let subscribe = Subscribe { packet_id: self.next_packet_id(), filters, ..Subscribe::default() };
                put(terms.version, &Packet::Subscribe(subscribe.clone()), out);
                self.asked.push(Asked { subscribe, done });
            }
            Request::Unsubscribe { filter } => {
                self.subscriptions.remove(&filter);
                let packet_id = self.next_packet_id();
                let unsubscribe = Unsubscribe { packet_id, filters: vec![filter], ..Unsubscribe::default() };
                put(terms.version, &Packet::Unsubscribe(unsubscribe), out);
            }
        }
    }

    /// With what the server does not support left out.
    fn publish(
        &mut self,
        terms: &Terms,
        message: Publish,
        done: oneshot::Sender<Result<(), ClientError>>,
        out: &mut BytesMut,
    ) {
        let qos = message.qos.min(terms.max_qos);
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { self.next_packet_id() };
        let retain = message.retain && terms.retain;
        let packet = Packet::Publish(Publish { dup: false, qos, retain, packet_id, ..message });
        let before = out.len();
        put(terms.version, &packet, out);
        let size = out.len() - before;
        // Whoever no longer waits does not want to know.
        if size > terms.max_packet_bytes {
            out.truncate(before);
            let most = terms.max_packet_bytes;
            let _ = done.send(Err(ClientError::Refused(format!("it has {size} bytes, and the server takes {most}"))));
        } else if qos == QoS::AtMostOnce {
            let _ = done.send(Ok(()));
        } else {
            self.inflight.push_back(Outgoing { packet, packet_id, done });
        }
    }

    /// PUBACK or PUBCOMP: a message has arrived, or was refused.
    pub(crate) fn finish(&mut self, ack: &Ack) {
        if let Some(index) = self.inflight.iter().position(|outgoing| outgoing.packet_id == ack.packet_id)
            && let Some(outgoing) = self.inflight.remove(index)
        {
            // A release the server does not know is one it has done.
            let refused = ack.reason.is_failure() && matches!(outgoing.packet, Packet::Publish(_));
            let why = || ClientError::Refused(explain(ack.reason, ack.properties.reason()));
            let _ = outgoing.done.send(if refused { Err(why()) } else { Ok(()) });
        }
    }

    /// PUBREC: releases a QoS 2 message, also one that is no longer known; or the server has refused it.
    pub(crate) fn release(&mut self, version: Version, ack: &Ack, out: &mut BytesMut) {
        if ack.reason.is_failure() {
            return self.finish(ack);
        }
        let release = Packet::PubRel(Ack::of(ack.packet_id));
        put(version, &release, out);
        if let Some(outgoing) = self.inflight.iter_mut().find(|outgoing| outgoing.packet_id == ack.packet_id) {
            outgoing.packet = release;
        }
    }

    /// SUBACK.
    pub(crate) fn subscribed(&mut self, ack: Reasons) {
        let Some(index) = self.asked.iter().position(|asked| asked.subscribe.packet_id == ack.packet_id) else {
            return;
        };
        let Asked { subscribe, done } = self.asked.swap_remove(index);
        for ((filter, options), reason) in subscribe.filters.into_iter().zip(&ack.reasons) {
            if !reason.is_failure() {
                self.subscriptions.insert(filter, options);
            }
        }
        let _ = done.send(ack.reasons);
    }

    fn next_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            let id = self.last_packet_id;
            let used = self.inflight.iter().any(|outgoing| outgoing.packet_id == id)
                || self.asked.iter().any(|asked| asked.subscribe.packet_id == id);
            if !used {
                return id;
            }
        }
    }
}

fn put(version: Version, packet: &Packet, out: &mut BytesMut) {
    if let Err(error) = encode(version, packet, out) {
        // Topics and filters were checked when they were handed over.
        tracing::error!(%error, "packet has no encoding; this is a bug, please report it");
    }
}

/// A reason, with the server's own words if it has any.
pub(crate) fn explain(reason: Reason, words: Option<&edgeward_mqtt::Text>) -> String {
    match words.filter(|words| !words.is_empty()) {
        Some(words) => format!("{reason} ({words})"),
        None => reason.to_string(),
    }
}

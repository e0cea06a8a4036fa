//! What outlives a connection: messages the server has not acknowledged, subscriptions, QoS 2 identifiers received.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::BytesMut;
use edgeward_mqtt::{Ack, Filter, Packet, Publish, QoS, SubAckCode, Subscribe, Version, encode};
use tokio::sync::oneshot;

use crate::handle::Request;

#[derive(Default)]
pub(crate) struct Session {
    /// In the order they were sent.
    inflight: VecDeque<Outgoing>,
    last_packet_id: u16,
    /// QoS 2 messages received and not released.
    pub(crate) received: HashSet<u16>,
    subscriptions: HashMap<Filter, QoS>,
    /// SUBSCRIBEs without an answer.
    asked: Vec<Asked>,
}

struct Outgoing {
    packet: Packet,
    packet_id: u16,
    done: oneshot::Sender<()>,
}

struct Asked {
    subscribe: Subscribe,
    done: oneshot::Sender<Vec<SubAckCode>>,
}

impl Session {
    /// How many messages wait for the server.
    pub(crate) fn inflight(&self) -> usize {
        self.inflight.len()
    }

    /// Says again what the server may not have heard, at the start of a connection.
    pub(crate) fn resume(&mut self, version: Version, session_present: bool, out: &mut BytesMut) {
        if !session_present {
            self.received.clear();
        }
        let known: Vec<(Filter, QoS)> = self.subscriptions.iter().map(|(filter, qos)| (filter.clone(), *qos)).collect();
        if !known.is_empty() && !session_present {
            let subscribe = Subscribe { packet_id: self.next_packet_id(), filters: known };
            put(version, &Packet::Subscribe(subscribe), out);
        }
        for asked in &self.asked {
            put(version, &Packet::Subscribe(asked.subscribe.clone()), out);
        }
        for outgoing in &mut self.inflight {
            if let Packet::Publish(publish) = &mut outgoing.packet {
                publish.dup = session_present;
            }
            put(version, &outgoing.packet, out);
        }
    }

    /// Sends what a user asked for.
    pub(crate) fn send(&mut self, version: Version, request: Request, out: &mut BytesMut) {
        match request {
            Request::Publish { qos, retain, topic, payload, done } => {
                let packet_id = if qos == QoS::AtMostOnce { 0 } else { self.next_packet_id() };
                let packet = Packet::Publish(Publish { dup: false, qos, retain, topic, packet_id, payload });
                put(version, &packet, out);
                if qos == QoS::AtMostOnce {
                    // Whoever no longer waits does not want to know.
                    let _ = done.send(());
                } else {
                    self.inflight.push_back(Outgoing { packet, packet_id, done });
                }
            }
            Request::Subscribe { filters, done } => {
                let subscribe = Subscribe { packet_id: self.next_packet_id(), filters };
                put(version, &Packet::Subscribe(subscribe.clone()), out);
                self.asked.push(Asked { subscribe, done });
            }
        }
    }

    /// PUBACK or PUBCOMP: a message has arrived.
    pub(crate) fn finish(&mut self, packet_id: u16) {
        if let Some(index) = self.inflight.iter().position(|outgoing| outgoing.packet_id == packet_id)
            && let Some(outgoing) = self.inflight.remove(index)
        {
            let _ = outgoing.done.send(());
        }
    }

    /// PUBREC: releases a QoS 2 message, also one that is no longer known.
    pub(crate) fn release(&mut self, version: Version, ack: Ack, out: &mut BytesMut) {
        let release = Packet::PubRel(ack);
        put(version, &release, out);
        if let Some(outgoing) = self.inflight.iter_mut().find(|outgoing| outgoing.packet_id == ack.packet_id) {
            outgoing.packet = release;
        }
    }

    /// SUBACK.
    pub(crate) fn subscribed(&mut self, packet_id: u16, codes: Vec<SubAckCode>) {
        let Some(index) = self.asked.iter().position(|asked| asked.subscribe.packet_id == packet_id) else { return };
        let Asked { subscribe, done } = self.asked.swap_remove(index);
        for ((filter, qos), code) in subscribe.filters.into_iter().zip(&codes) {
            if *code != SubAckCode::Failure {
                self.subscriptions.insert(filter, qos);
            }
        }
        let _ = done.send(codes);
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

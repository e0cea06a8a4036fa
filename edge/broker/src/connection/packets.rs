//! What the packets of an established connection do.

use bytes::BytesMut;
use edgeward_mqtt::{Ack, Filter, Packet, Publish, QoS, SubAck, SubAckCode, Subscribe, Unsubscribe, decode, encode};

use super::{Connection, End};
use crate::confirm::{Asker, Tell};
use crate::{Message, metrics};

impl Connection {
    /// Handles every whole packet in `input`, then wakes whoever got something.
    pub(super) fn take_packets(&mut self, input: &mut BytesMut) -> Result<(), End> {
        let result = self.handle_packets(input);
        self.batch.wake();
        result
    }

    fn handle_packets(&mut self, input: &mut BytesMut) -> Result<(), End> {
        loop {
            match decode(self.version, input, self.core.limits.max_packet_bytes) {
                Ok(Some(packet)) => self.handle(packet)?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    tracing::info!(client = self.client.id, %error, "MQTT client sent a malformed packet");
                    return Err(End::Protocol);
                }
            }
        }
    }

    fn handle(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.publish(publish),
            Packet::PubAck(ack) => self.session.acknowledge(self.epoch, ack.packet_id),
            Packet::PubRel(ack) => {
                self.session.release(ack.packet_id);
                self.reply(&Packet::PubComp(ack));
            }
            Packet::Subscribe(subscribe) => self.subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe),
            Packet::PingReq => self.reply(&Packet::PingResp),
            Packet::Disconnect => return Err(End::Disconnect),
            // A second CONNECT, answers to what this side never sends, and packets only a server sends.
            _ => {
                tracing::info!(client = self.client.id, "MQTT client sent a packet that has no place here");
                return Err(End::Protocol);
            }
        }
        Ok(())
    }

    fn publish(&mut self, publish: Publish) {
        let Publish { qos, retain, topic, packet_id, payload, .. } = publish;
        let mut asker = match qos {
            QoS::AtMostOnce => Asker::nobody(),
            QoS::AtLeastOnce => self.owe(Packet::PubAck(Ack { packet_id })),
            QoS::ExactlyOnce => self.owe(Packet::PubRec(Ack { packet_id })),
        };
        if qos == QoS::ExactlyOnce && !self.session.receive(packet_id) {
            // Sent again because our PUBREC was lost; it has been routed.
            return;
        }
        if let Some(access) = &self.core.options.access
            && !access.may_publish(&self.client, topic.as_str())
        {
            metrics::DENIED.inc();
            return;
        }
        let message = Message { topic, payload, qos, retain };
        let routes = self.routes.find(&self.core.router, &message.topic);
        self.core.publish(&message, &routes, &mut asker, &mut self.batch, true);
    }

    fn subscribe(&mut self, subscribe: Subscribe) {
        let Subscribe { packet_id, filters } = subscribe;
        // Only this connection subscribes for the session, so what is counted here still holds below.
        let mut room = self.session.subscription_room();
        let mut granted = Vec::new();
        let mut codes = Vec::new();
        for (filter, qos) in &filters {
            let new = !self.session.is_subscribed(filter);
            if !self.may_subscribe(filter) || (new && room == 0) {
                metrics::DENIED.inc();
                codes.push(SubAckCode::Failure);
                continue;
            }
            room -= usize::from(new);
            let qos = (*qos).min(QoS::AtLeastOnce);
            granted.push((filter, qos));
            codes.push(SubAckCode::Granted(qos));
        }
        let mut asker = self.owe(Packet::SubAck(SubAck { packet_id, codes }));
        for (filter, qos) in granted {
            self.core.registry.subscribe(&self.core.router, &self.session, self.epoch, (filter, qos), &mut asker);
            for message in self.core.retained.matching(filter) {
                let qos = qos.min(message.qos);
                self.session.offer_retained(message, qos);
            }
        }
    }

    fn unsubscribe(&mut self, unsubscribe: Unsubscribe) {
        let Unsubscribe { packet_id, filters } = unsubscribe;
        let mut asker = self.owe(Packet::UnsubAck(Ack { packet_id }));
        for filter in &filters {
            self.core.registry.unsubscribe(&self.core.router, &self.session, self.epoch, filter, &mut asker);
        }
    }

    fn may_subscribe(&self, filter: &Filter) -> bool {
        let text = filter.text().as_str();
        self.core.options.access.as_ref().is_none_or(|access| access.may_subscribe(&self.client, text))
    }

    /// Queues a reply that waits for everybody who takes a promise from the asker.
    fn owe(&self, reply: Packet) -> Asker {
        let slot = self.replies.owe(reply);
        Asker::of(Tell::Client(self.replies.clone(), slot))
    }

    /// Sends a reply that waits for nothing.
    fn reply(&mut self, reply: &Packet) {
        // Replies have fixed forms that always encode.
        let _ = encode(self.version, reply, &mut self.out);
    }
}

//! What rules find around them on a node: the node's broker as their message bus, its outbox as their way to the cloud.
//!
//! The stream tier knows only the traits; the edge tier knows no rules. They meet here.

use std::sync::Arc;

use edgeward_agent::Handle;
use edgeward_agent::outbox::Outbox;
use edgeward_broker::{Message, OnFull, QoS, SubscribeOptions, Subscription};
use edgeward_connect::{BusDelivery, BusMessage, BusMessages, BusOptions, CloudOutbox, CloudRecord, Hosts, LocalBus};
use edgeward_wire::Record;
use futures::future::BoxFuture;

/// The surroundings of rules that run in this agent.
pub(crate) fn of_agent(agent: &Handle) -> Hosts {
    Hosts {
        bus: Some(Arc::new(Bus(agent.broker().clone()))),
        outbox: Some(Arc::new(WayUp(agent.outbox().clone()))),
        ..Hosts::default()
    }
}

struct Bus(edgeward_broker::Handle);

impl LocalBus for Bus {
    fn subscribe(&self, filter: &str, options: BusOptions) -> Result<Box<dyn BusMessages>, String> {
        let options = SubscribeOptions {
            capacity: options.capacity,
            // A reading that must be kept waits for its rule; one that need not is dropped when the rule falls behind.
            on_full: if options.acknowledge { OnFull::Block } else { OnFull::DropOldest },
            acknowledge: options.acknowledge,
            ..SubscribeOptions::default()
        };
        let subscription = self.0.subscribe(&[filter], options).map_err(|error| error.to_string())?;
        Ok(Box::new(Messages { subscription, taken: Vec::new() }))
    }

    fn publish(&self, message: BusMessage) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let BusMessage { topic, payload, qos, retain } = message;
            let qos = QoS::try_from(qos).map_err(|_| format!("qos {qos} is not 0, 1 or 2"))?;
            self.0.publish(Message { topic, payload, qos, retain }).await.map_err(|error| error.to_string())
        })
    }
}

struct Messages {
    subscription: Subscription,
    /// Kept between calls for its capacity; deliveries in it are handed out by the next call if one was dropped.
    taken: Vec<edgeward_broker::Delivery>,
}

impl BusMessages for Messages {
    fn recv<'a>(&'a mut self, batch: &'a mut Vec<BusDelivery>, max: usize) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.taken.is_empty() {
                self.subscription.recv_batch(&mut self.taken, max).await;
            }
            batch.extend(self.taken.drain(..).map(delivery));
        })
    }
}

fn delivery(delivery: edgeward_broker::Delivery) -> BusDelivery {
    let (Message { topic, payload, qos, retain }, confirm) = delivery.into_parts();
    let confirm = confirm.map(|confirm| -> Box<dyn FnOnce() + Send> { Box::new(move || confirm.confirm()) });
    BusDelivery { message: BusMessage { topic, payload, qos: qos as u8, retain }, confirm }
}

struct WayUp(Outbox);

impl CloudOutbox for WayUp {
    fn append<'a>(&'a self, records: &'a [CloudRecord]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let records = records.iter().map(|record| Record {
                id: &record.stream,
                timestamp_ms: record.at,
                identity: &record.identity,
                payload: &record.payload,
            });
            self.0.append_all(records).await.map(drop).map_err(|error| error.to_string())
        })
    }
}

//! Rows for other rules.

use std::sync::Arc;

use edgeward_engine::{Ack, Emission, Message, Sink, SinkError, Value, meta};
use futures::future::BoxFuture;

use super::MemoryBus;

pub(super) struct MemorySink {
    pub(super) topic: Arc<str>,
    pub(super) bus: Arc<MemoryBus>,
}

impl Sink for MemorySink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let listeners = self.bus.listeners(&self.topic);
            if listeners.is_empty() {
                return Ok(());
            }
            let meta = meta([("topic", Value::Str(self.topic.clone()))]);
            for row in &emission.rows {
                let row = row.to_map();
                for listener in &listeners {
                    let mut message = Message::row(row.clone()).with_meta(meta.clone());
                    message.ack = passed_on(&emission.acks);
                    listener.emit(message).await;
                }
            }
            Ok(())
        })
    }
}

/// A token that keeps the tokens of the first rule's messages until the next rule is done too.
fn passed_on(acks: &[Ack]) -> Option<Ack> {
    if acks.is_empty() {
        return None;
    }
    let acks = acks.to_vec();
    Some(Ack::new(move |safe| {
        if !safe {
            acks.iter().for_each(Ack::fail);
        }
    }))
}

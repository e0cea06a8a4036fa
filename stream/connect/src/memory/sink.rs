//! Rows for other rules.

use std::sync::Arc;

use edgeward_engine::{Ack, Emission, Message, Sink, SinkError, Value, meta};
use edgeward_mqtt::check_topic;
use futures::future::BoxFuture;

use super::MemoryBus;
use super::bus::Target;
use super::lookup::Table;
use crate::SinkOptions;
use crate::rowkind::RowKind;
use crate::sink::SentRow;
use crate::template::Template;

pub(super) struct MemorySink {
    pub(super) topic: Template,
    pub(super) options: SinkOptions,
    pub(super) bus: Arc<MemoryBus>,
    /// Column that says what is to be done with the row in tables.
    pub(super) rowkind_field: Option<Arc<str>>,
    /// Column with the key of the row in tables; without it that of the table.
    pub(super) key_field: Option<Arc<str>>,
}

impl MemorySink {
    fn change(&self, table: &Table, row: &SentRow) -> Result<(), SinkError> {
        let kind = match &self.rowkind_field {
            Some(field) => RowKind::of(&row.row, field, RowKind::Upsert).map_err(SinkError::Rejected)?,
            None => RowKind::Upsert,
        };
        table.change(kind, self.key_field.as_deref(), row.fields.clone()).map_err(SinkError::Rejected)
    }

    async fn pass(&self, emission: &Emission) -> Result<(), SinkError> {
        if self.topic.constant().is_some_and(|topic| self.bus.listeners(topic).is_empty()) {
            return Ok(());
        }
        for row in self.options.rows(emission)? {
            let topic = self.topic.for_sink(&row.data())?;
            check_topic(topic.as_bytes()).map_err(|error| SinkError::Rejected(error.to_string()))?;
            let listeners = self.bus.listeners(&topic);
            let meta = meta([("topic", Value::str(topic))]);
            for target in &listeners {
                let listener = match target {
                    Target::Stream(emitter) => emitter,
                    Target::Table(table) => {
                        self.change(table, &row)?;
                        continue;
                    }
                };
                let mut message = Message::row(row.fields.clone()).with_meta(meta.clone());
                message.ack = passed_on(&emission.acks);
                listener.emit(message).await;
            }
        }
        Ok(())
    }
}

impl Sink for MemorySink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.pass(emission))
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

//! Rows for other rules.

use std::sync::Arc;

use edgeward_engine::{Ack, Emission, Map, Message, Sink, SinkError, Value, meta};
use futures::future::BoxFuture;

use super::MemoryBus;
use super::bus::Target;
use super::lookup::Table;
use crate::rowkind::RowKind;

pub(super) struct MemorySink {
    pub(super) topic: Arc<str>,
    pub(super) bus: Arc<MemoryBus>,
    /// Column that says what is to be done with the row in tables.
    pub(super) rowkind_field: Option<Arc<str>>,
    /// Column with the key of the row in tables; without it that of the table.
    pub(super) key_field: Option<Arc<str>>,
}

impl MemorySink {
    fn change(&self, table: &Table, row: Arc<Map>) -> Result<(), SinkError> {
        let kind = match &self.rowkind_field {
            Some(field) => RowKind::of(&row, field, RowKind::Upsert).map_err(SinkError::Rejected)?,
            None => RowKind::Upsert,
        };
        table.change(kind, self.key_field.as_deref(), row).map_err(SinkError::Rejected)
    }
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
                for target in &listeners {
                    let listener = match target {
                        Target::Stream(emitter) => emitter,
                        Target::Table(table) => {
                            self.change(table, row.clone())?;
                            continue;
                        }
                    };
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

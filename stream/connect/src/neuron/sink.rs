//! Columns as tags for Neuron to write, one message each.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::json::{Printer, write_string};
use edgeward_engine::{Connection, Emission, Sink, SinkError, Value};
use futures::future::BoxFuture;

use super::NeuronLinks;
use super::config::{Place, SinkConfig};
use super::link::{Link, MAX_MESSAGE};
use crate::SinkOptions;
use crate::sink::{Encoder, Payloads, SentRow};

pub(super) struct NeuronSink {
    pub(super) config: SinkConfig,
    pub(super) options: SinkOptions,
    pub(super) encoder: Encoder,
    pub(super) payloads: Payloads,
    pub(super) links: Arc<NeuronLinks>,
    /// Connected to with the first message, so that a rule can be checked without connecting.
    pub(super) link: Option<Arc<Link>>,
}

impl NeuronSink {
    async fn write(&mut self, emission: &Emission) -> Result<(), SinkError> {
        let messages = self.messages(emission)?;
        let link = self.link.get_or_insert_with(|| self.links.get(&self.config.address));
        for message in messages {
            if message.len() > MAX_MESSAGE {
                return Err(SinkError::Rejected(format!("a message of {} bytes is too large", message.len())));
            }
            link.send(message).await.map_err(SinkError::Recoverable)?;
        }
        Ok(())
    }

    fn messages(&mut self, emission: &Emission) -> Result<Vec<Bytes>, SinkError> {
        let Some(place) = &self.config.place else {
            self.encoder.encode(emission, &mut self.payloads)?;
            return Ok(self.payloads.iter().map(Bytes::copy_from_slice).collect());
        };
        let mut messages = Vec::new();
        for row in self.options.rows(emission)? {
            tags(place, &row, &mut messages).map_err(SinkError::Rejected)?;
        }
        Ok(messages)
    }
}

/// Appends a message for each tag of a row. Tags the row does not have are left out.
fn tags(place: &Place, sent: &SentRow, out: &mut Vec<Bytes>) -> Result<(), String> {
    let (data, row) = (sent.data(), &sent.fields);
    let (node, group) = (place.node.render(&data)?, place.group.render(&data)?);
    let mut add = |tag: &str, value: &Value| {
        let mut text = Vec::new();
        for (key, value) in
            [(r#"{"group_name":"#, &group), (r#","node_name":"#, &node), (r#","tag_name":"#, &tag.to_owned())]
        {
            text.extend_from_slice(key.as_bytes());
            write_string(value, &mut text);
        }
        text.extend_from_slice(br#","value":"#);
        Printer::default().write(value, &mut text).map_err(|error| error.to_string())?;
        text.push(b'}');
        out.push(text.into());
        Ok::<_, String>(())
    };
    if place.tags.is_empty() {
        return row.iter().try_for_each(|(tag, value)| add(tag, value));
    }
    for tag in &place.tags {
        let tag = tag.render(&data)?;
        match row.get(tag.as_str()) {
            Some(value) => add(&tag, value)?,
            None => tracing::debug!(tag, "a row has no value for a tag of neuron"),
        }
    }
    Ok(())
}

impl Sink for NeuronSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.write(emission))
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.link.as_ref().map_or(Connection::Connecting, |link| link.state.borrow().clone()))
    }
}

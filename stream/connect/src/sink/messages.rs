//! What a sink's messages say, for whoever reads values rather than payloads: the cases of `edgeward rule test`.

use edgeward_engine::{Emission, SinkError, Value};

use super::transform::Sent;
use super::{Encoder, Payloads, SinkFormat, SinkOptions};

/// One message of a sink.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkMessage {
    /// What is written as JSON, with the types that JSON does not tell.
    Value(Value),
    /// What a template wrote, or another format.
    Payload(Vec<u8>),
}

impl SinkOptions {
    /// The messages of an emission; nothing is sent of one without rows where `omitIfEmpty` says so.
    ///
    /// # Errors
    /// In the place of each message that cannot be made.
    pub fn messages(&self, emission: &Emission) -> Vec<Result<SinkMessage, SinkError>> {
        let filled = self.without_empty_rows(emission);
        let emission = filled.as_ref().unwrap_or(emission);
        if self.omit_if_empty && emission.rows.is_empty() {
            return Vec::new();
        }
        if self.format != SinkFormat::Json || !self.packing.does_nothing() {
            let mut payloads = Payloads::default();
            return match Encoder::new(self.clone()).encode(emission, &mut payloads) {
                Ok(()) => payloads.iter().map(|payload| Ok(SinkMessage::Payload(payload.to_vec()))).collect(),
                Err(error) => vec![Err(error)],
            };
        }
        let count = if self.send_single { emission.rows.len() } else { 1 };
        let message = |index| match self.transform(self.data(emission, index), true)? {
            Sent::Value(value) => Ok(SinkMessage::Value(value)),
            Sent::Text(text) => Ok(SinkMessage::Payload(text)),
        };
        (0..count).map(message).collect()
    }
}

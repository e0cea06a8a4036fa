//! Writes results to the log.

use edgeward_engine::{Emission, Sink, SinkError};
use futures::future::BoxFuture;

use crate::SinkOptions;
use crate::sink::{Encoder, Payloads};

pub(crate) struct LogSink {
    rule: String,
    encoder: Encoder,
    payloads: Payloads,
}

impl LogSink {
    pub(crate) fn new(rule: String, options: SinkOptions) -> LogSink {
        LogSink { rule, encoder: Encoder::new(options), payloads: Payloads::default() }
    }
}

impl Sink for LogSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        let encoded = self.encoder.encode(emission, &mut self.payloads);
        if encoded.is_ok() {
            for payload in self.payloads.iter() {
                tracing::info!(rule = self.rule, result = %String::from_utf8_lossy(payload), "sink result");
            }
        }
        Box::pin(std::future::ready(encoded))
    }
}

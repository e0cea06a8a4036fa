//! Takes everything.

use edgeward_engine::{Emission, Sink, SinkError};
use futures::future::BoxFuture;

use super::config::Config;
use crate::SinkOptions;
use crate::log::LogSink;

/// Logs what it takes if it is told to.
pub(super) struct NopSink(Option<Box<LogSink>>);

impl NopSink {
    pub(super) fn new(config: Config, rule: String, options: SinkOptions) -> NopSink {
        NopSink(config.log.then(|| Box::new(LogSink::new(rule, options))))
    }
}

impl Sink for NopSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        match &mut self.0 {
            Some(log) => log.send(emission),
            None => Box::pin(async { Ok(()) }),
        }
    }
}

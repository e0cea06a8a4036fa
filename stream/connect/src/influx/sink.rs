//! The points of a message in one request.

use edgeward_engine::{Emission, Sink, SinkError, Value};
use futures::future::BoxFuture;

use super::config::Config;
use super::line;
use crate::SinkOptions;
use crate::http::Failure;

pub(super) struct InfluxSink {
    pub(super) config: Config,
    pub(super) options: SinkOptions,
    pub(super) points: Vec<u8>,
}

impl InfluxSink {
    async fn write(&mut self, emission: &Emission) -> Result<(), SinkError> {
        self.points.clear();
        for row in self.options.rows(emission)? {
            let written = line::write(&self.config, &row, emission.at, &mut self.points);
            written.map_err(SinkError::Rejected)?;
        }
        if self.points.is_empty() {
            return Ok(());
        }
        let sent = self.config.request.request(&self.points, &Value::Nil).await;
        sent.map(drop).map_err(|failure| match failure {
            Failure::Passing(text) => SinkError::Recoverable(format!("influx sink fails to write: {text}")),
            Failure::Bad(text) => SinkError::Rejected(format!("influx sink fails to write: {text}")),
        })
    }
}

impl Sink for InfluxSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.write(emission))
    }
}

//! One request for each message.

use edgeward_engine::{Connection, Emission, Sink, SinkError};
use futures::future::BoxFuture;

use crate::SinkOptions;
use crate::http::{Failure, HttpConfig};
use crate::sink::{Encoder, Payloads};

pub(super) struct RestSink {
    config: HttpConfig,
    encoder: Encoder,
    payloads: Payloads,
    connection: Connection,
}

impl RestSink {
    pub(super) fn new(config: HttpConfig, options: SinkOptions) -> RestSink {
        let encoder = Encoder::new(options);
        RestSink { config, encoder, payloads: Payloads::default(), connection: Connection::Connecting }
    }

    async fn post(&mut self, emission: &Emission) -> Result<(), SinkError> {
        self.encoder.encode(emission, &mut self.payloads)?;
        for (index, payload) in self.payloads.iter().enumerate() {
            let outcome = self.config.request(payload, &self.encoder.data(emission, index)).await;
            self.connection = match &outcome {
                Err(Failure::Passing(text)) => Connection::Disconnected(text.clone()),
                _ => Connection::Connected,
            };
            outcome.map_err(|failure| {
                let passing = matches!(failure, Failure::Passing(_));
                let (method, err) = (self.config.method.constant().unwrap_or("dynamic"), failure.text());
                let text =
                    format!("rest sink fails to send out the data:err={err} recoverAble={passing} method={method}");
                if passing { SinkError::Recoverable(text) } else { SinkError::Rejected(text) }
            })?;
        }
        Ok(())
    }
}

impl Sink for RestSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.post(emission))
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.connection.clone())
    }
}

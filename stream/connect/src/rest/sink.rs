//! One request for each message.

use edgeward_engine::{Connection, Emission, Sink, SinkError};
use futures::future::BoxFuture;

use crate::SinkOptions;
use crate::http::{Failure, HttpConfig};
use crate::sink::{Encoder, Payloads};

/// Most bytes of a payload that an error repeats.
const TOLD: usize = 1_024;

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
            let data = self.encoder.data(emission, index);
            let outcome = self.config.request(payload, &data).await;
            self.connection = match &outcome {
                Err(Failure::Passing(text)) => Connection::Disconnected(text.clone()),
                _ => Connection::Connected,
            };
            outcome.map_err(|failure| {
                let passing = matches!(failure, Failure::Passing(_));
                let (method, path) = self.config.line(&data);
                let (err, body) = (failure.text(), String::from_utf8_lossy(&payload[..payload.len().min(TOLD)]));
                let text = format!(
                    "rest sink fails to send out the data:err={err} recoverAble={passing} method={method} \
                     path={path:?} request_body={body:?}"
                );
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

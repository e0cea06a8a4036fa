//! Results as messages of a subject.

use edgeward_engine::{Connection, Emission, Sink, SinkError};
use futures::future::BoxFuture;

use super::client::Client;
use super::config::{Server, check_subject};
use crate::sink::{Encoder, Payloads};
use crate::template::Template;

pub(super) struct NatsSink {
    server: Server,
    subject: Template,
    encoder: Encoder,
    payloads: Payloads,
    /// Connected with the first message and again after a failure.
    client: Option<Client>,
    state: Connection,
}

impl NatsSink {
    pub(super) fn new(server: Server, subject: Template, encoder: Encoder, payloads: Payloads) -> NatsSink {
        NatsSink { server, subject, encoder, payloads, client: None, state: Connection::Connecting }
    }

    async fn publish(&mut self, emission: &Emission) -> Result<(), SinkError> {
        self.encoder.encode(emission, &mut self.payloads)?;
        let (mut operations, mut largest) = (Vec::new(), 0);
        for (index, payload) in self.payloads.iter().enumerate() {
            let subject = self.subject.for_sink(&self.encoder.data(emission, index))?;
            check_subject(&subject, false).map_err(SinkError::Rejected)?;
            operations.extend([format!("PUB {subject} {}\r\n", payload.len()).as_bytes(), payload, b"\r\n"].concat());
            largest = largest.max(payload.len());
        }
        if operations.is_empty() {
            return Ok(());
        }
        let sent = self.send_all(&operations, largest).await;
        self.state = match &sent {
            Err(SinkError::Recoverable(reason)) => Connection::Disconnected(reason.clone()),
            _ => Connection::Connected,
        };
        sent
    }

    async fn send_all(&mut self, operations: &[u8], largest: usize) -> Result<(), SinkError> {
        let kept = self.client.take().map(|mut client| (client.is_quiet(), client));
        let mut client = match kept {
            Some((true, client)) => client,
            _ => Client::connect(&self.server).await.map_err(SinkError::Recoverable)?,
        };
        if largest > client.max_payload {
            let text =
                format!("a message of {largest} bytes is larger than the {} the server takes", client.max_payload);
            self.client = Some(client);
            return Err(SinkError::Rejected(text));
        }
        client.flush(operations).await.map_err(|text| match text.starts_with("Permissions Violation") {
            true => SinkError::Rejected(text),
            false => SinkError::Recoverable(text),
        })?;
        self.client = Some(client);
        Ok(())
    }
}

impl Sink for NatsSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.publish(emission))
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.state.clone())
    }
}

//! Rows as keys, and payloads as messages of a channel.

use edgeward_engine::json::Printer;
use edgeward_engine::{Connection, Emission, Sink, SinkError};
use futures::future::BoxFuture;

use super::config::{Config, DataType, Keys, Server};
use super::resp::{Client, Reply, command};
use crate::SinkOptions;
use crate::rowkind::{RowKind, column, plain};
use crate::sink::{Encoder, Payloads, SentRow};
use crate::template::Template;
use crate::wire::Failure;

/// A connection that is made with the first commands and again after a failure.
pub(super) struct Link {
    server: Server,
    client: Option<Client>,
    pub(super) state: Connection,
}

impl Link {
    pub(super) fn new(server: Server) -> Link {
        Link { server, client: None, state: Connection::Connecting }
    }

    pub(super) async fn calls(&mut self, commands: &[u8], count: usize) -> Result<Vec<Reply>, Failure> {
        let done = self.try_calls(commands, count).await;
        self.state = match &done {
            Err(Failure::Passing(reason)) => Connection::Disconnected(reason.clone()),
            _ => Connection::Connected,
        };
        done
    }

    async fn try_calls(&mut self, commands: &[u8], count: usize) -> Result<Vec<Reply>, Failure> {
        let mut client = match self.client.take().map(|mut client| (client.is_quiet(), client)) {
            Some((true, client)) => client,
            _ => Client::connect(&self.server).await.map_err(Failure::Passing)?,
        };
        let done = client.calls(commands, count).await;
        if !matches!(done, Err(Failure::Passing(_))) {
            self.client = Some(client);
        }
        done
    }

    async fn send(&mut self, commands: &[u8], count: usize) -> Result<(), SinkError> {
        if count == 0 {
            return Ok(());
        }
        self.calls(commands, count).await.map(drop).map_err(SinkError::from)
    }
}

/// The sink `redis`.
pub(super) struct KeySink {
    pub(super) config: Config,
    pub(super) options: SinkOptions,
    pub(super) link: Link,
}

impl KeySink {
    async fn write(&mut self, emission: &Emission) -> Result<(), SinkError> {
        let (mut commands, mut count) = (Vec::new(), 0);
        for row in self.options.rows(emission)? {
            count += commands_of(&self.config, &row, &mut commands).map_err(SinkError::Rejected)?;
        }
        self.link.send(&commands, count).await
    }
}

/// Appends the commands of a row and tells how many they are.
fn commands_of(config: &Config, row: &SentRow, out: &mut Vec<u8>) -> Result<usize, String> {
    let (data, row, fields) = (row.data(), &row.row, &row.fields);
    let kind = match &config.rowkind {
        None => RowKind::Upsert,
        Some(field) => RowKind::of(row, field, RowKind::Upsert)?,
    };
    let json = || {
        let mut text = Vec::new();
        Printer::default().write_map(fields, &mut text).map_err(|error| error.to_string()).map(|()| text)
    };
    match &config.keys {
        Keys::Columns => {
            fields.iter().for_each(|(key, value)| store(config, kind, key, plain(value).as_bytes(), out));
            return Ok(fields.len());
        }
        Keys::Column(field) => store(config, kind, &plain(column(row, field)?), &json()?, out),
        Keys::Fixed(key) => store(config, kind, &key.render(&data)?, &json()?, out),
    }
    Ok(1)
}

fn store(config: &Config, kind: RowKind, key: &str, value: &[u8], out: &mut Vec<u8>) {
    let key = key.as_bytes();
    match (kind, config.data_type, config.expiration) {
        (RowKind::Delete, DataType::List, _) => command(&[b"LPOP", key], out),
        (RowKind::Delete, DataType::Text, _) => command(&[b"DEL", key], out),
        (_, DataType::List, _) => command(&[b"LPUSH", key, value], out),
        (_, DataType::Text, None) => command(&[b"SET", key, value], out),
        (_, DataType::Text, Some(time)) => {
            command(&[b"SET", key, value, b"PX", time.as_millis().to_string().as_bytes()], out);
        }
    }
}

impl Sink for KeySink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.write(emission))
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.link.state.clone())
    }
}

/// The sink `redisPub`.
pub(super) struct PubSink {
    pub(super) channel: Template,
    pub(super) encoder: Encoder,
    pub(super) payloads: Payloads,
    pub(super) link: Link,
}

impl PubSink {
    async fn publish(&mut self, emission: &Emission) -> Result<(), SinkError> {
        self.encoder.encode(emission, &mut self.payloads)?;
        let (mut commands, mut count) = (Vec::new(), 0);
        for payload in self.payloads.iter() {
            let channel = self.channel.for_sink(&self.encoder.data(emission, count))?;
            command(&[b"PUBLISH", channel.as_bytes(), payload], &mut commands);
            count += 1;
        }
        self.link.send(&commands, count).await
    }
}

impl Sink for PubSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.publish(emission))
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.link.state.clone())
    }
}

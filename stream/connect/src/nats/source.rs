//! Messages of a subject.

use edgeward_engine::{Message, Value, meta};

use super::client::{Client, Op};
use super::config::Server;
use crate::keep::{Line, Listen, Never, Silence};

pub(super) struct NatsSource {
    pub(super) server: Server,
    pub(super) subject: String,
    /// Of sources in one group each message reaches one.
    pub(super) group: Option<String>,
}

impl Listen for NatsSource {
    async fn listen(&mut self, line: &Line<'_>) -> Result<Never, String> {
        let mut client = Client::connect(&self.server).await?;
        let group = self.group.as_deref().map_or_else(String::new, |group| format!(" {group}"));
        // The answer to PING tells that the subscription stands.
        client.say(format!("SUB {}{group} 1\r\nPING\r\n", self.subject).as_bytes()).await?;
        let mut silence = Silence::default();
        loop {
            match silence.broken_by(client.hear()).await? {
                None => client.say(b"PING\r\n").await?,
                Some(Op::Message { subject, payload }) => {
                    let meta = meta([("subject", Value::str(subject))]);
                    line.to.emit(Message::payload(payload).with_meta(meta)).await;
                }
                Some(Op::Pong) => line.up(),
                Some(Op::Ping) => client.say(b"PONG\r\n").await?,
                Some(Op::Error(text)) => return Err(text),
                Some(Op::Info(_) | Op::Ok) => {}
            }
        }
    }
}

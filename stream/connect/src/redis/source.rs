//! Messages of channels.

use edgeward_engine::{Message, Value, meta};

use super::config::Server;
use super::resp::{Client, Reply};
use crate::keep::{Line, Listen, Never, Silence};

pub(super) struct SubSource {
    pub(super) server: Server,
    pub(super) channels: Vec<String>,
}

impl Listen for SubSource {
    async fn listen(&mut self, line: &Line<'_>) -> Result<Never, String> {
        let mut client = Client::connect(&self.server).await?;
        let mut words: Vec<&[u8]> = vec![b"SUBSCRIBE"];
        words.extend(self.channels.iter().map(|channel| channel.as_bytes()));
        client.say(&words).await?;
        let mut silence = Silence::default();
        loop {
            let Some(reply) = silence.broken_by(client.hear()).await? else {
                client.say(&[b"PING"]).await?;
                continue;
            };
            match heard(reply) {
                Heard::Message(message) => line.to.emit(message).await,
                Heard::Subscribed => line.up(),
                Heard::Nothing => {}
                Heard::Refusal(text) => return Err(text),
            }
        }
    }
}

enum Heard {
    Message(Message),
    Subscribed,
    Nothing,
    Refusal(String),
}

fn heard(reply: Reply) -> Heard {
    let items = match reply {
        Reply::Array(items) => items,
        Reply::Error(text) => return Heard::Refusal(text),
        _ => return Heard::Nothing,
    };
    match &items[..] {
        [Reply::Bulk(kind), Reply::Bulk(channel), Reply::Bulk(payload)] if kind == "message" => {
            let channel = String::from_utf8_lossy(channel);
            let meta = meta([("channel", Value::str(&*channel))]);
            Heard::Message(Message::payload(payload.clone()).with_meta(meta))
        }
        [Reply::Bulk(kind), ..] if kind == "subscribe" => Heard::Subscribed,
        _ => Heard::Nothing,
    }
}

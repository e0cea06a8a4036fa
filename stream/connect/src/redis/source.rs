//! Messages of channels.

use std::time::Duration;

use edgeward_engine::{Connection, Emitter, Message, Source, SourceContext, SourceError, meta};
use edgeward_service::Backoff;
use futures::future::BoxFuture;

use super::config::Server;
use super::resp::{Client, Reply};

/// A server that says nothing for so long is asked whether it is still there, and given as long to answer.
const SILENCE: Duration = Duration::from_secs(30);

pub(super) struct SubSource {
    pub(super) server: Server,
    pub(super) channels: Vec<String>,
}

impl Source for SubSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks } = context;
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
            let listen = async {
                loop {
                    emitter.connection(Connection::Connecting);
                    let reason = self.listen(&emitter, &mut backoff).await;
                    emitter.connection(Connection::Disconnected(reason));
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            };
            tokio::select! {
                () = listen => {}
                () = tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}

impl SubSource {
    /// Listens until the connection is lost, and says why it was.
    async fn listen(&self, emitter: &Emitter, backoff: &mut Backoff) -> String {
        let mut client = match Client::connect(&self.server).await {
            Ok(client) => client,
            Err(reason) => return reason,
        };
        let mut words: Vec<&[u8]> = vec![b"SUBSCRIBE"];
        words.extend(self.channels.iter().map(|channel| channel.as_bytes()));
        if let Err(reason) = client.say(&words).await {
            return reason;
        }
        let mut asked = false;
        loop {
            let reply = match tokio::time::timeout(SILENCE, client.hear()).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(reason)) => return reason,
                Err(_) if asked => return format!("the server said nothing for {SILENCE:?}"),
                Err(_) => {
                    asked = true;
                    match client.say(&[b"PING"]).await {
                        Ok(()) => continue,
                        Err(reason) => return reason,
                    }
                }
            };
            asked = false;
            match heard(reply) {
                Heard::Message(message) => emitter.emit(message).await,
                Heard::Subscribed => {
                    backoff.reset();
                    emitter.connection(Connection::Connected);
                }
                Heard::Nothing => {}
                Heard::Refusal(text) => return text,
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
            let meta = meta([("channel", edgeward_engine::Value::str(&*channel))]);
            Heard::Message(Message::payload(payload.clone()).with_meta(meta))
        }
        [Reply::Bulk(kind), ..] if kind == "subscribe" => Heard::Subscribed,
        _ => Heard::Nothing,
    }
}

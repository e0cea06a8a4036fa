//! Messages of a subject.

use std::time::Duration;

use edgeward_engine::{Connection, Emitter, Message, Source, SourceContext, SourceError, Value, meta};
use edgeward_service::Backoff;
use futures::future::BoxFuture;

use super::client::{Client, Op};
use super::config::Server;

/// A server that says nothing for so long is asked whether it is still there, and given as long to answer.
const SILENCE: Duration = Duration::from_secs(30);

pub(super) struct NatsSource {
    pub(super) server: Server,
    pub(super) subject: String,
    /// Of sources in one group each message reaches one.
    pub(super) group: Option<String>,
}

impl Source for NatsSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks } = context;
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
            let listen = async {
                loop {
                    emitter.connection(Connection::Connecting);
                    let Err(reason) = self.listen(&emitter, &mut backoff).await;
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

impl NatsSource {
    /// Listens until the connection is lost.
    async fn listen(&self, emitter: &Emitter, backoff: &mut Backoff) -> Result<std::convert::Infallible, String> {
        let mut client = Client::connect(&self.server).await?;
        let group = self.group.as_deref().map_or_else(String::new, |group| format!(" {group}"));
        // The answer to PING tells that the subscription stands.
        client.say(format!("SUB {}{group} 1\r\nPING\r\n", self.subject).as_bytes()).await?;
        let mut asked = false;
        loop {
            let op = match tokio::time::timeout(SILENCE, client.hear()).await {
                Ok(op) => op?,
                Err(_) if asked => return Err(format!("the server said nothing for {SILENCE:?}")),
                Err(_) => {
                    asked = true;
                    client.say(b"PING\r\n").await?;
                    continue;
                }
            };
            asked = false;
            match op {
                Op::Message { subject, payload } => {
                    let meta = meta([("subject", Value::str(subject))]);
                    emitter.emit(Message::payload(payload).with_meta(meta)).await;
                }
                Op::Pong => {
                    backoff.reset();
                    emitter.connection(Connection::Connected);
                }
                Op::Ping => client.say(b"PONG\r\n").await?,
                Op::Error(text) => return Err(text),
                Op::Info(_) | Op::Ok => {}
            }
        }
    }
}

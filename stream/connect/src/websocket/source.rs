//! Frames as payloads.

use std::sync::Arc;
use std::time::Duration;

use edgeward_engine::{Connection, Emitter, Message, Source, SourceContext, SourceError};
use edgeward_service::Backoff;
use futures::StreamExt;
use futures::future::BoxFuture;

use super::config::{Place, Server};
use super::socket::{connect, payload};
use crate::HttpHost;
use crate::http::Role;

pub(super) struct SocketSource {
    pub(super) place: Place,
    pub(super) host: Arc<HttpHost>,
}

impl Source for SocketSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            match &self.place {
                Place::Client(server) => tokio::select! {
                    () = read(server, &context.emitter) => {}
                    () = context.tasks.cancelled() => {}
                },
                Place::Path(path) => {
                    let listener = (context.emitter.clone(), false);
                    if let Some(_listening) = self.host.listen(Role::Socket, path, listener, &context).await {
                        context.tasks.cancelled().await;
                    }
                }
            }
            Ok(())
        })
    }
}

/// Reads for ever, connecting again when the connection is lost.
async fn read(server: &Server, emitter: &Emitter) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
    loop {
        emitter.connection(Connection::Connecting);
        let reason = match connect(server).await {
            Err(reason) => reason,
            Ok(mut socket) => {
                emitter.connection(Connection::Connected);
                loop {
                    match socket.next().await {
                        Some(Ok(frame)) => {
                            backoff.reset();
                            let Some(payload) = payload(frame) else { continue };
                            emitter.emit(Message::payload(payload)).await;
                        }
                        Some(Err(error)) => break format!("connection to {} lost: {error}", server.url),
                        None => break format!("{} has closed the connection", server.url),
                    }
                }
            }
        };
        emitter.connection(Connection::Disconnected(reason));
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

//! Frames as payloads.

use std::sync::Arc;

use edgeward_engine::{Message, Source, SourceContext, SourceError};
use futures::StreamExt;
use futures::future::BoxFuture;

use super::config::Server;
use super::socket::{connect, payload};
use crate::HttpHost;
use crate::http::Role;
use crate::keep::{Line, Listen, Never};

/// A client of a server.
pub(super) struct ClientSource(pub(super) Server);

impl Listen for ClientSource {
    async fn listen(&mut self, line: &Line<'_>) -> Result<Never, String> {
        let mut socket = connect(&self.0).await?;
        line.up();
        loop {
            match socket.next().await {
                Some(Ok(frame)) => {
                    let Some(payload) = payload(frame) else { continue };
                    line.to.emit(Message::payload(payload)).await;
                }
                Some(Err(error)) => return Err(format!("connection to {} lost: {error}", self.0.url)),
                None => return Err(format!("{} has closed the connection", self.0.url)),
            }
        }
    }
}

/// A path on the shared server.
pub(super) struct PathSource {
    pub(super) path: String,
    pub(super) host: Arc<HttpHost>,
}

impl Source for PathSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let listener = (context.emitter.clone(), false);
            if let Some(_listening) = self.host.listen(Role::Socket, &self.path, listener, &context).await {
                context.tasks.cancelled().await;
            }
            Ok(())
        })
    }
}

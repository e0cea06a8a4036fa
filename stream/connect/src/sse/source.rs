//! Events as payloads.

use std::time::Duration;

use bytes::Bytes;
use edgeward_engine::{Connection, Emitter, Message, Source, SourceContext, SourceError};
use edgeward_service::Backoff;
use futures::future::BoxFuture;
use http_body_util::BodyExt;

use super::config::Config;
use crate::http::MAX_MESSAGE_BYTES;

pub(super) struct EventSource {
    pub(super) config: Config,
}

impl Source for EventSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            tokio::select! {
                () = read(&self.config, &context.emitter) => {}
                () = context.tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}

/// Reads for ever, connecting again when the connection is lost.
async fn read(config: &Config, emitter: &Emitter) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
    loop {
        emitter.connection(Connection::Connecting);
        let reason = match config.client.open(&config.url, &config.headers).await {
            Err(error) => error.to_string(),
            Ok(reply) if !reply.status().is_success() => format!("http status code {}", reply.status().as_u16()),
            Ok(reply) => {
                emitter.connection(Connection::Connected);
                let mut body = reply.into_body();
                let mut events = Events::default();
                loop {
                    match body.frame().await {
                        None => break "the server has closed the connection".to_owned(),
                        Some(Err(error)) => break error.to_string(),
                        Some(Ok(frame)) => {
                            let Some(data) = frame.data_ref() else { continue };
                            backoff.reset();
                            let Ok(made) = events.push(data) else { break "an event is too large".to_owned() };
                            for event in made {
                                emitter.emit(Message::payload(event)).await;
                            }
                        }
                    }
                }
            }
        };
        emitter.connection(Connection::Disconnected(format!("{}: {reason}", config.url)));
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// Puts events together from the pieces of a body.
#[derive(Default)]
struct Events {
    /// A line that has not ended.
    line: Vec<u8>,
    /// Data of an event that has not ended.
    data: Vec<u8>,
    /// The last line ended with a carriage return: a line feed after it belongs to it.
    returned: bool,
}

impl Events {
    /// The events that end within this piece.
    fn push(&mut self, piece: &[u8]) -> Result<Vec<Bytes>, ()> {
        let mut made = Vec::new();
        for byte in piece {
            let follows = std::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                b'\n' if follows => {}
                b'\n' | b'\r' => made.extend(self.end_line()),
                other => self.line.push(*other),
            }
            if self.line.len() + self.data.len() > MAX_MESSAGE_BYTES {
                return Err(());
            }
        }
        Ok(made)
    }

    fn end_line(&mut self) -> Option<Bytes> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            // Every line of data brought a line feed; the last one is not part of it.
            return data.strip_suffix(b"\n").map(Bytes::copy_from_slice);
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            self.data.push(b'\n');
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(text: &[u8], piece: usize) -> Vec<Bytes> {
        let mut events = Events::default();
        text.chunks(piece).flat_map(|piece| events.push(piece).unwrap()).collect()
    }

    #[test]
    fn puts_events_together() {
        let text = b"data: {\"a\":1}\n\n: comment\nevent: x\nid: 3\ndata:b\r\ndata: c\r\n\r\ndata: lost";
        for piece in 1..text.len() {
            assert_eq!(events(text, piece), [&b"{\"a\":1}"[..], b"b\nc"], "{piece}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[a:d\r\n]{0,60}", piece in 1usize..9) {
            prop_assert_eq!(events(text.as_bytes(), piece), events(text.as_bytes(), 1_000));
        }
    }
}

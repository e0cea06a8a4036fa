//! Events as payloads.

use bytes::Bytes;
use edgeward_engine::Message;
use http_body_util::BodyExt;

use super::config::Config;
use crate::http::MAX_MESSAGE_BYTES;
use crate::keep::{Line, Listen, Never};

pub(super) struct EventSource {
    pub(super) config: Config,
}

impl Listen for EventSource {
    async fn listen(&mut self, line: &Line<'_>) -> Result<Never, String> {
        let Err(reason) = self.read(line).await;
        Err(format!("{}: {reason}", self.config.url))
    }
}

impl EventSource {
    async fn read(&self, line: &Line<'_>) -> Result<Never, String> {
        let Config { client, url, headers, .. } = &self.config;
        let reply = client.open(url, headers).await.map_err(|error| error.to_string())?;
        if !reply.status().is_success() {
            return Err(format!("http status code {}", reply.status().as_u16()));
        }
        line.up();
        let mut body = reply.into_body();
        let mut events = Events::default();
        loop {
            let frame = body.frame().await.ok_or("the server has closed the connection")?;
            let frame = frame.map_err(|error| error.to_string())?;
            let Some(data) = frame.data_ref() else { continue };
            for event in events.push(data).map_err(|()| "an event is too large")? {
                line.to.emit(Message::payload(event)).await;
            }
        }
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

//! Streams from a node's session: what `kubectl logs` reads.
//!
//! The node may send as much as the hub has granted; what waits for its reader is held in one buffer per stream, never
//! larger than the window.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use edgeward_wire::{Frame, StreamFailure, StreamPart, StreamRequest};
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::Message;

use crate::metrics::STREAMS;

/// Bytes of one stream that may wait for their reader.
const WINDOW: usize = 256 << 10;
/// Streams of one node at once.
const STREAMS_PER_NODE: usize = 256;
/// How long a node may take to open a stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// The text of a log in pieces; ends with the log, with an error, or when it is dropped.
pub type NodeStream = BoxStream<'static, Result<Bytes, StreamFailure>>;

/// The streams of one session.
#[derive(Clone)]
pub(crate) struct Streams {
    open: Arc<Mutex<HashMap<u64, Arc<Pipe>>>>,
    last_id: Arc<AtomicU64>,
    outgoing: mpsc::Sender<Message>,
}

/// Between the session's reader and the stream's.
#[derive(Default)]
struct Pipe {
    state: Mutex<Flow>,
    changed: Notify,
}

#[derive(Default)]
struct Flow {
    /// The node has answered.
    opened: bool,
    waiting: BytesMut,
    /// Granted and not used.
    granted: usize,
    ended: Option<Option<StreamFailure>>,
}

/// The reading end; cancels the stream when it is dropped.
struct Reading {
    streams: Streams,
    id: u64,
    pipe: Arc<Pipe>,
}

impl Streams {
    pub(crate) fn new(outgoing: mpsc::Sender<Message>) -> Self {
        Self { open: Arc::default(), last_id: Arc::default(), outgoing }
    }

    /// Asks the node to open a stream and waits until it stands.
    pub(crate) async fn open(&self, request: StreamRequest) -> Result<NodeStream, StreamFailure> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let pipe = Arc::new(Pipe::default());
        pipe.state.lock().granted = WINDOW;
        {
            let mut open = self.open.lock();
            if open.len() >= STREAMS_PER_NODE {
                return Err(failure(format!("the node has {STREAMS_PER_NODE} streams open already; close some")));
            }
            open.insert(id, pipe.clone());
        }
        STREAMS.add(1);
        let reading = Reading { streams: self.clone(), id, pipe };
        self.send(id, StreamPart::Open { window: WINDOW as u32, request }).await?;
        match tokio::time::timeout(OPEN_TIMEOUT, reading.opened()).await {
            Ok(Ok(())) => Ok(Box::pin(futures::stream::unfold(reading, Reading::next))),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(failure("the node did not answer in time".to_owned())),
        }
    }

    /// A part came from the node.
    pub(crate) async fn receive(&self, id: u64, part: StreamPart) {
        let pipe = self.open.lock().get(&id).cloned();
        match (pipe, part) {
            (Some(pipe), StreamPart::Data(data)) => pipe.take_in(&data),
            (Some(pipe), StreamPart::End(ended)) => pipe.end(ended),
            // The reader went away; the node has not heard yet.
            (None, StreamPart::Data(_)) => drop(self.send(id, StreamPart::Cancel).await),
            _ => {}
        }
    }

    /// The session has ended, and every stream with it.
    pub(crate) fn end(&self) {
        for pipe in self.open.lock().values() {
            pipe.end(Some(failure("the node's session ended".to_owned())));
        }
    }

    async fn send(&self, id: u64, part: StreamPart) -> Result<(), StreamFailure> {
        let frame = Frame::Stream { id, part }.encode().map_err(|error| failure(error.to_string()))?;
        let sent = self.outgoing.send(Message::Binary(frame)).await;
        sent.map_err(|_| failure("the node's session ended".to_owned()))
    }
}

impl Pipe {
    fn take_in(&self, data: &Bytes) {
        let mut flow = self.state.lock();
        flow.opened = true;
        match flow.granted.checked_sub(data.len()) {
            Some(granted) => {
                flow.granted = granted;
                flow.waiting.extend_from_slice(data);
            }
            None => {
                flow.ended.get_or_insert_with(|| Some(failure("the node sent more than was granted".to_owned())));
            }
        }
        drop(flow);
        self.changed.notify_one();
    }

    fn end(&self, ended: Option<StreamFailure>) {
        self.state.lock().ended.get_or_insert(ended);
        self.changed.notify_one();
    }
}

impl Reading {
    async fn opened(&self) -> Result<(), StreamFailure> {
        loop {
            {
                let flow = self.pipe.state.lock();
                match &flow.ended {
                    _ if flow.opened => return Ok(()),
                    Some(Some(failure)) => return Err(failure.clone()),
                    Some(None) => return Ok(()),
                    None => {}
                }
            }
            self.pipe.changed.notified().await;
        }
    }

    /// The next piece: everything that waits. What is taken is granted again.
    async fn next(self) -> Option<(Result<Bytes, StreamFailure>, Self)> {
        loop {
            let (data, ended) = {
                let mut flow = self.pipe.state.lock();
                let data = flow.waiting.split().freeze();
                flow.granted += data.len();
                let ended = if data.is_empty() { flow.ended.clone() } else { None };
                if let Some(Some(_)) = ended {
                    // The failure is told once; then the stream is over.
                    flow.ended = Some(None);
                }
                (data, ended)
            };
            if !data.is_empty() {
                let widened = self.streams.send(self.id, StreamPart::Widen(data.len() as u32)).await;
                // Data that came before the session ended is still good; the end follows.
                widened.unwrap_or_else(|failure| self.pipe.end(Some(failure)));
                return Some((Ok(data), self));
            }
            match ended {
                Some(Some(failure)) => return Some((Err(failure), self)),
                Some(None) => return None,
                None => self.pipe.changed.notified().await,
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.streams.open.lock().remove(&self.id);
        STREAMS.sub(1);
        if self.pipe.state.lock().ended.is_none()
            && let Ok(frame) = (Frame::Stream { id: self.id, part: StreamPart::Cancel }).encode()
        {
            // If the queue is full, the answer to the node's next data cancels.
            let _ = self.streams.outgoing.try_send(Message::Binary(frame));
        }
    }
}

fn failure(message: String) -> StreamFailure {
    StreamFailure { code: 500, message }
}

//! Streams the hub opens inside a session: container logs.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use edgeward_service::{Counter, Gauge};
use edgeward_wire::{Frame, LogRequest, StreamFailure, StreamPart, StreamRequest};
use futures::StreamExt;
use futures::future::{AbortHandle, BoxFuture, abortable};
use futures::stream::{BoxStream, FuturesUnordered};
use tokio::sync::{Semaphore, mpsc};

use super::{End, Session};
use crate::Error;

/// Streams of one session; more are refused.
const STREAMS: usize = 64;
/// Parts from the hub that wait to be looked at; then the session is not read.
pub(super) const QUEUE: usize = 64;
/// Data of one frame.
const CHUNK: usize = 32 << 10;

/// Container logs.
pub trait Logs: Send + Sync {
    /// Opens a log.
    fn open(&self, request: LogRequest) -> BoxFuture<'_, Result<LogData, StreamFailure>>;
}

/// The text of a log in pieces; an error ends it.
pub type LogData = BoxStream<'static, Result<Bytes, StreamFailure>>;

struct Stream {
    /// A permit is a byte that may be sent.
    window: Arc<Semaphore>,
    abort: AbortHandle,
}

/// Serves streams until the session ends.
pub(super) async fn run(
    session: Session,
    mut parts: mpsc::Receiver<(u64, StreamPart)>,
    logs: Option<Arc<dyn Logs>>,
) -> End {
    let mut open: HashMap<u64, Stream> = HashMap::new();
    let mut serving = FuturesUnordered::new();
    loop {
        tokio::select! {
            part = parts.recv() => match part {
                None => return End::Closed,
                Some((id, StreamPart::Open { window, request })) => {
                    let window = Arc::new(Semaphore::new(window as usize));
                    let full = open.len() >= STREAMS;
                    let (served, abort) = abortable(serve(session.clone(), id, window.clone(), request, logs.clone(), full));
                    // An id that is used again belongs to the newer stream.
                    if let Some(old) = open.insert(id, Stream { window, abort }) {
                        old.abort.abort();
                    }
                    OPEN.set(open.len() as i64);
                    serving.push(async move { (id, served.await) });
                }
                Some((id, StreamPart::Widen(bytes))) => {
                    if let Some(stream) = open.get(&id) {
                        let room = Semaphore::MAX_PERMITS - stream.window.available_permits();
                        stream.window.add_permits((bytes as usize).min(room));
                    }
                }
                Some((id, StreamPart::Cancel)) => {
                    if let Some(stream) = open.remove(&id) {
                        stream.abort.abort();
                    }
                }
                Some((_, StreamPart::Data(_) | StreamPart::End(_))) => STRANGE.inc(),
            },
            Some((id, served)) = serving.next(), if !serving.is_empty() => match served {
                Ok(Ok(())) => drop(open.remove(&id)),
                Ok(Err(error)) => return End::Failed(error),
                // Cancelled, or replaced by a stream of the same id.
                Err(_) => {}
            },
        }
        OPEN.set(open.len() as i64);
    }
}

/// Opens what is asked for and sends it as far as the window allows.
async fn serve(
    session: Session,
    id: u64,
    window: Arc<Semaphore>,
    request: StreamRequest,
    logs: Option<Arc<dyn Logs>>,
    full: bool,
) -> Result<(), Error> {
    let StreamRequest::Logs(request) = request;
    let opened = match logs {
        _ if full => Err(failure(503, "this node serves as many logs as it can; try again later")),
        None => Err(failure(404, "this node runs no containers")),
        Some(logs) => logs.open(request).await,
    };
    let send = |part| session.send_frame(Frame::Stream { id, part });
    let mut log = match opened {
        Ok(log) => log,
        Err(failure) => return send(StreamPart::End(Some(failure))).await,
    };
    // Tells the hub that the stream stands, also while the log is silent.
    send(StreamPart::Data(Bytes::new())).await?;
    while let Some(piece) = log.next().await {
        let mut piece = match piece {
            Ok(piece) => piece,
            Err(failure) => return send(StreamPart::End(Some(failure))).await,
        };
        while !piece.is_empty() {
            // The semaphore is never closed.
            let Ok(first) = window.acquire().await else { return Ok(()) };
            first.forget();
            let more = window.available_permits().min(piece.len() - 1).min(CHUNK - 1);
            let count = 1 + window.forget_permits(more);
            send(StreamPart::Data(piece.split_to(count))).await?;
        }
    }
    send(StreamPart::End(None)).await
}

fn failure(code: u16, message: &str) -> StreamFailure {
    StreamFailure { code, message: message.to_owned() }
}

static OPEN: Gauge = Gauge::new("edgeward_link_streams", "logs being sent to the cloud");
static STRANGE: Counter = Counter::new("edgeward_link_strange_stream_parts_total", "stream parts only a node may send");

#[cfg(test)]
mod tests {
    use edgeward_service::Tasks;
    use futures::FutureExt;

    use super::super::Options;
    use super::super::session::Out;
    use super::*;

    /// A log of 100,000 bytes in pieces; a container named `broken` has one that breaks.
    struct Fake;

    impl Logs for Fake {
        fn open(&self, request: LogRequest) -> BoxFuture<'_, Result<LogData, StreamFailure>> {
            let pieces = match request.container.as_str() {
                "none" => return async { Err(failure(404, "no such container")) }.boxed(),
                "broken" => vec![Ok(Bytes::from_static(b"begin")), Err(failure(500, "broke"))],
                _ => vec![Ok(Bytes::from(vec![b'x'; 50_000])); 2],
            };
            async { Ok(Box::pin(futures::stream::iter(pieces)) as LogData) }.boxed()
        }
    }

    struct Hub {
        parts: mpsc::Sender<(u64, StreamPart)>,
        out: mpsc::Receiver<Out>,
        tasks: Tasks,
    }

    impl Hub {
        fn start(logs: Option<Arc<dyn Logs>>) -> Self {
            let options = Options::new("localhost", "edge-1", "/nowhere".into());
            let (session, received) = Session::new(&options, true);
            let (parts, incoming) = mpsc::channel(QUEUE);
            let tasks = Tasks::root("test");
            tasks.spawn_until_cancelled("streams", async move { drop(run(session, incoming, logs).await) });
            Self { parts, out: received.out, tasks }
        }

        async fn open(&self, id: u64, window: u32, container: &str) {
            let request = StreamRequest::Logs(LogRequest { container: container.into(), ..LogRequest::default() });
            self.parts.send((id, StreamPart::Open { window, request })).await.unwrap();
        }

        async fn next(&mut self) -> (u64, StreamPart) {
            match self.out.recv().await.unwrap() {
                Out::Frame(Frame::Stream { id, part }) => (id, part),
                other => panic!("{other:?}"),
            }
        }

        /// Data until the stream stands still or ends.
        async fn data(&mut self) -> (usize, Option<Option<StreamFailure>>) {
            let mut bytes = 0;
            loop {
                // The window is used up when nothing comes although everybody had their turn.
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                match self.out.try_recv() {
                    Ok(Out::Frame(Frame::Stream { part: StreamPart::Data(data), .. })) => {
                        assert!(data.len() <= CHUNK);
                        bytes += data.len();
                    }
                    Ok(Out::Frame(Frame::Stream { part: StreamPart::End(end), .. })) => return (bytes, Some(end)),
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => return (bytes, None),
                }
            }
        }
    }

    #[tokio::test]
    async fn data_keeps_within_the_window() {
        let mut hub = Hub::start(Some(Arc::new(Fake)));
        hub.open(7, 60_000, "main").await;
        assert_eq!(hub.next().await, (7, StreamPart::Data(Bytes::new())), "the stream stands");
        assert_eq!(hub.data().await, (60_000, None));
        hub.parts.send((7, StreamPart::Widen(1))).await.unwrap();
        assert_eq!(hub.data().await, (1, None));
        hub.parts.send((7, StreamPart::Widen(u32::MAX))).await.unwrap();
        assert_eq!(hub.data().await, (39_999, Some(None)));
        hub.tasks.shutdown(std::time::Duration::from_secs(5)).await;
    }

    #[tokio::test]
    async fn failures_and_cancellations_end_one_stream_only() {
        let mut hub = Hub::start(Some(Arc::new(Fake)));
        hub.open(1, 10, "none").await;
        assert_eq!(hub.data().await, (0, Some(Some(failure(404, "no such container")))));
        hub.open(2, 10, "broken").await;
        assert_eq!(hub.data().await, (5, Some(Some(failure(500, "broke")))));
        hub.open(3, 10, "main").await;
        assert_eq!(hub.data().await, (10, None));
        hub.parts.send((3, StreamPart::Cancel)).await.unwrap();
        hub.parts.send((3, StreamPart::Widen(100))).await.unwrap();
        hub.parts.send((99, StreamPart::Cancel)).await.unwrap();
        assert_eq!(hub.data().await, (0, None));
        for id in 10..=10 + STREAMS as u64 {
            hub.open(id, 0, "main").await;
        }
        let (_, end) = hub.data().await;
        assert_eq!(end.flatten().map(|failure| failure.code), Some(503));
        hub.tasks.shutdown(std::time::Duration::from_secs(5)).await;

        let mut hub = Hub::start(None);
        hub.open(1, 10, "main").await;
        assert_eq!(hub.data().await.1.flatten().map(|failure| failure.code), Some(404));
        hub.tasks.shutdown(std::time::Duration::from_secs(5)).await;
    }
}

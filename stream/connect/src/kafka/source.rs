//! Records as payloads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use edgeward_engine::{Ack, Connection, Emitter, Message, Source, SourceContext, SourceError, Value, meta};
use edgeward_service::Backoff;
use futures::future::{BoxFuture, try_join_all};
use tokio::sync::Notify;

use super::batch;
use super::client::{Broker, End, OUT_OF_RANGE, check, connect};
use super::config::{From, SourceConfig};
use crate::wire::Target;

/// Answers whose records are still on their way through the rules; beyond that the partition is not asked for more.
const UNFINISHED: usize = 64;

pub(super) struct KafkaSource {
    pub(super) config: SourceConfig,
    pub(super) acknowledge: bool,
}

impl Source for KafkaSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks } = context;
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
            // Without a group: where to go on after a lost connection.
            let mut place = None;
            let read = async {
                loop {
                    emitter.connection(Connection::Connecting);
                    let Err(reason) = self.read(&emitter, &mut place, &mut backoff).await;
                    emitter.connection(Connection::Disconnected(reason));
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            };
            tokio::select! {
                () = read => {}
                () = tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}

type Never = std::convert::Infallible;

impl KafkaSource {
    /// Reads until a connection is lost.
    async fn read(&self, emitter: &Emitter, place: &mut Option<i64>, backoff: &mut Backoff) -> Result<Never, String> {
        let (topic, cluster) = (&self.config.topic, &self.config.cluster);
        let mut first = connect(cluster).await?;
        let leaders = first.layout(topic, cluster).await?.leaders;
        match &self.config.from {
            From::Partition(wanted) => {
                let leader = leaders.into_iter().find(|(partition, _)| partition == wanted);
                let leader = leader.ok_or_else(|| format!("topic {topic} has no partition {wanted}"))?;
                let mut reader = Reader::open(self, leader).await?;
                reader.offset = match *place {
                    Some(offset) => offset,
                    None => reader.broker.end(topic, reader.partition, End::Last).await?,
                };
                backoff.reset();
                emitter.connection(Connection::Connected);
                loop {
                    let stepped = reader.step(emitter).await;
                    *place = Some(reader.offset);
                    stepped?;
                }
            }
            From::Group(group) => {
                let mut readers = Vec::new();
                for leader in leaders {
                    let mut reader = Reader::open(self, leader).await?;
                    let mut coordinator = first.coordinator(group, cluster).await?;
                    reader.offset = match coordinator.position(group, topic, reader.partition).await? {
                        Some(offset) => offset,
                        None => reader.broker.end(topic, reader.partition, End::First).await?,
                    };
                    reader.group = Some((group, coordinator));
                    readers.push(reader);
                }
                backoff.reset();
                emitter.connection(Connection::Connected);
                let all = readers.into_iter().map(|mut reader| async move {
                    loop {
                        reader.step(emitter).await?;
                    }
                });
                let never: Result<Vec<Never>, String> = try_join_all(all).await;
                Err(never.err().unwrap_or_else(|| "there is nothing to read".to_owned()))
            }
        }
    }
}

/// Reads one partition.
struct Reader<'a> {
    source: &'a KafkaSource,
    partition: i32,
    broker: Broker,
    /// The record to read next.
    offset: i64,
    /// The group and the broker that keeps its positions.
    group: Option<(&'a str, Broker)>,
    unfinished: VecDeque<Answer>,
    /// Told when the rules are done with an answer.
    done: Arc<Notify>,
}

/// An answer whose records are on their way.
struct Answer {
    first: i64,
    next: i64,
    done: Arc<AtomicU8>,
}

const WAITING: u8 = 0;
const SAFE: u8 = 1;
const FAILED: u8 = 2;

impl<'a> Reader<'a> {
    async fn open(source: &'a KafkaSource, (partition, target): (i32, Target)) -> Result<Reader<'a>, String> {
        let broker = Broker::connect(&target, &source.config.cluster).await?;
        Ok(Reader {
            source,
            partition,
            broker,
            offset: 0,
            group: None,
            unfinished: VecDeque::new(),
            done: Arc::default(),
        })
    }

    /// Takes one answer in, and keeps where the group has got to.
    async fn step(&mut self, emitter: &Emitter) -> Result<(), String> {
        let (topic, max_bytes) = (&self.source.config.topic, self.source.config.max_bytes);
        if self.unfinished.len() < UNFINISHED {
            let fetched = self.broker.fetch(topic, (self.partition, self.offset), max_bytes).await?;
            if fetched.error == OUT_OF_RANGE {
                self.offset = self.broker.end(topic, self.partition, End::First).await?;
                return Ok(());
            }
            check(fetched.error)?;
            self.emit(fetched.records, emitter).await?;
        } else {
            self.done.notified().await;
        }
        self.keep().await
    }

    async fn emit(&mut self, records: bytes::Bytes, emitter: &Emitter) -> Result<(), String> {
        let first = self.offset;
        let (records, next) = batch::read(records, first)?;
        if next == first {
            return Ok(());
        }
        let done = Arc::new(AtomicU8::new(if self.source.acknowledge { WAITING } else { SAFE }));
        let (told, notify) = (done.clone(), self.done.clone());
        let ack = self.source.acknowledge.then(|| {
            Ack::new(move |safe| {
                told.store(if safe { SAFE } else { FAILED }, Ordering::Release);
                notify.notify_one();
            })
        });
        for record in records {
            let meta = meta([
                ("topic", Value::str(self.source.config.topic.as_str())),
                ("partition", Value::Int(self.partition.into())),
                ("offset", Value::Int(record.offset)),
                ("key", record.key.map_or(Value::Nil, |key| Value::str(&*String::from_utf8_lossy(&key)))),
            ]);
            let message = Message { ack: ack.clone(), ..Message::payload(record.value).with_meta(meta) };
            emitter.emit(message).await;
        }
        self.unfinished.push_back(Answer { first, next, done });
        self.offset = next;
        Ok(())
    }

    /// Commits what is safe.
    ///
    /// # Errors
    /// A sink could not keep its promise: what it did not take is read again after a pause.
    async fn keep(&mut self) -> Result<(), String> {
        let mut safe = None;
        while let Some(answer) = self.unfinished.front() {
            match answer.done.load(Ordering::Acquire) {
                SAFE => safe = self.unfinished.pop_front().map(|answer| answer.next),
                FAILED => {
                    self.offset = answer.first;
                    self.unfinished.clear();
                    return Err("a sink did not take all records; they are read again".to_owned());
                }
                _ => break,
            }
        }
        if let (Some(offset), Some((group, coordinator))) = (safe, &mut self.group) {
            coordinator.commit(group, &self.source.config.topic, (self.partition, offset)).await?;
        }
        Ok(())
    }
}

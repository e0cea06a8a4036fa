//! Reads one partition, and keeps count of what the rules are done with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use edgeward_engine::{Ack, Emitter, Message, Value, meta};
use tokio::sync::Notify;

use super::batch;
use super::broker::{Broker, OUT_OF_RANGE, check};
use super::config::SourceConfig;
use super::group::Member;
use super::topics::End;
use crate::wire::Target;

/// Answers whose records are still on their way through the rules; beyond that the partition is not asked for more.
const UNFINISHED: usize = 64;

/// Reads one partition.
pub(super) struct Reader<'a> {
    config: &'a SourceConfig,
    partition: i32,
    broker: Broker,
    /// The record to read next.
    pub(super) offset: i64,
    progress: Progress,
}

/// What is on its way through the rules.
struct Progress {
    /// Records wait for the rules that read them.
    acknowledge: bool,
    unfinished: VecDeque<Answer>,
    /// Told when the rules are done with an answer.
    done: Arc<Notify>,
    /// The group, and the broker that keeps its positions.
    group: Option<(Member, Broker)>,
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
    /// Connects to the leader of a partition. The caller says where to begin.
    pub(super) async fn open(
        config: &'a SourceConfig,
        acknowledge: bool,
        (partition, leader): (i32, Target),
    ) -> Result<Reader<'a>, String> {
        let broker = Broker::connect(&leader, &config.cluster).await?;
        let progress = Progress { acknowledge, unfinished: VecDeque::new(), done: Arc::default(), group: None };
        Ok(Reader { config, partition, broker, offset: 0, progress })
    }

    /// Begins at an end of the partition.
    pub(super) async fn begin_at(&mut self, end: End) -> Result<(), String> {
        self.offset = self.broker.end(&self.config.topic, self.partition, end).await?;
        Ok(())
    }

    /// Begins where the group has got to, at first with the oldest record, and keeps the group's position from now on.
    pub(super) async fn begin_with(&mut self, member: Member, mut coordinator: Broker) -> Result<(), String> {
        match coordinator.position(&member.group, &self.config.topic, self.partition).await? {
            Some(offset) => self.offset = offset,
            None => self.begin_at(End::First).await?,
        }
        self.progress.group = Some((member, coordinator));
        Ok(())
    }

    /// Takes one answer in, and keeps where the group has got to.
    pub(super) async fn step(&mut self, emitter: &Emitter) -> Result<(), String> {
        if self.progress.unfinished.len() >= UNFINISHED {
            self.progress.done.notified().await;
            return self.keep().await;
        }
        let Reader { config, partition, broker, offset, progress } = self;
        let place = (*partition, *offset);
        let fetched = {
            let fetch = broker.fetch(&config.topic, place, config.max_bytes);
            tokio::pin!(fetch);
            loop {
                tokio::select! {
                    biased;
                    fetched = &mut fetch => break fetched?,
                    // A partition without news does not keep what is done from being kept.
                    () = progress.done.notified() => {
                        if let Err(first) = progress.keep(&config.topic, *partition).await? {
                            *offset = first;
                            return Err(again());
                        }
                    }
                }
            }
        };
        if fetched.error == OUT_OF_RANGE {
            return self.begin_at(End::First).await;
        }
        check(fetched.error)?;
        self.emit(fetched.records, emitter).await?;
        self.keep().await
    }

    /// # Errors
    /// A sink could not keep its promise: what it did not take is read again after a pause.
    async fn keep(&mut self) -> Result<(), String> {
        match self.progress.keep(&self.config.topic, self.partition).await? {
            Ok(()) => Ok(()),
            Err(first) => {
                self.offset = first;
                Err(again())
            }
        }
    }

    async fn emit(&mut self, records: Bytes, emitter: &Emitter) -> Result<(), String> {
        let first = self.offset;
        let (records, next) = batch::read(records, first)?;
        if next == first {
            return Ok(());
        }
        let ack = self.progress.begin(first, next);
        for record in records {
            let meta = meta([
                ("topic", Value::str(self.config.topic.as_str())),
                ("partition", Value::Int(self.partition.into())),
                ("offset", Value::Int(record.offset)),
                ("key", record.key.map_or(Value::Nil, |key| Value::str(&*String::from_utf8_lossy(&key)))),
            ]);
            let message = Message { ack: ack.clone(), ..Message::payload(record.value).with_meta(meta) };
            emitter.emit(message).await;
        }
        self.offset = next;
        Ok(())
    }
}

impl Progress {
    /// An answer sets out.
    fn begin(&mut self, first: i64, next: i64) -> Option<Ack> {
        let done = Arc::new(AtomicU8::new(if self.acknowledge { WAITING } else { SAFE }));
        let (told, notify) = (done.clone(), self.done.clone());
        self.unfinished.push_back(Answer { first, next, done });
        self.acknowledge.then(|| {
            Ack::new(move |safe| {
                told.store(if safe { SAFE } else { FAILED }, Ordering::Release);
                notify.notify_one();
            })
        })
    }

    /// Commits what is safe. The number is the first record of what a sink did not take.
    async fn keep(&mut self, topic: &str, partition: i32) -> Result<Result<(), i64>, String> {
        let mut safe = None;
        while let Some(answer) = self.unfinished.front() {
            match answer.done.load(Ordering::Acquire) {
                SAFE => safe = self.unfinished.pop_front().map(|answer| answer.next),
                FAILED => {
                    let first = answer.first;
                    self.unfinished.clear();
                    return Ok(Err(first));
                }
                _ => break,
            }
        }
        if let (Some(offset), Some((member, coordinator))) = (safe, &mut self.group) {
            coordinator.commit(member, topic, (partition, offset)).await?;
        }
        Ok(Ok(()))
    }
}

fn again() -> String {
    "a sink did not take all records; they are read again".to_owned()
}

//! Results as records.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use edgeward_engine::{Connection, Emission, Sink, SinkError, Value};
use futures::future::BoxFuture;

use super::batch::Record;
use super::broker::{Broker, connect};
use super::config::{SinkConfig, check_topic};
use super::topics::Layout;
use crate::sink::{Encoder, Payloads};
use crate::template::Template;
use crate::wire::Failure;

/// Topics whose partitions are known.
const KNOWN_TOPICS: usize = 1_000;
/// Most bytes of the records of one request.
const MAX_BATCH: usize = 900_000;

pub(super) struct KafkaSink {
    config: SinkConfig,
    encoder: Encoder,
    payloads: Payloads,
    layouts: HashMap<String, Layout>,
    /// Connections to leaders, by host and port; forgotten after a failure.
    brokers: HashMap<(String, u16), Broker>,
    /// Where the next batch without keys goes.
    turn: usize,
    state: Connection,
}

/// Records for one topic by partition.
type Batches = BTreeMap<(String, usize), Vec<Record>>;

impl KafkaSink {
    pub(super) fn new(config: SinkConfig, encoder: Encoder, payloads: Payloads) -> KafkaSink {
        let (layouts, brokers) = (HashMap::new(), HashMap::new());
        KafkaSink { config, encoder, payloads, layouts, brokers, turn: 0, state: Connection::Connecting }
    }

    async fn write(&mut self, emission: &Emission) -> Result<(), SinkError> {
        self.encoder.encode(emission, &mut self.payloads)?;
        let mut records = Vec::new();
        for (index, payload) in self.payloads.iter().enumerate() {
            let data = self.encoder.data(emission, index);
            records.push(self.record(Bytes::copy_from_slice(payload), &data, emission.at)?);
        }
        self.turn = self.turn.wrapping_add(1);
        for attempt in 1.. {
            let Err(failure) = self.try_send(&records).await else { break };
            let text = failure.text().to_owned();
            if matches!(failure, Failure::Passing(_)) {
                self.state = Connection::Disconnected(text);
                self.layouts.clear();
                self.brokers.clear();
                if attempt < self.config.attempts {
                    continue;
                }
            }
            return Err(failure.into());
        }
        self.state = Connection::Connected;
        Ok(())
    }

    fn record(&self, value: Bytes, data: &Value, at: i64) -> Result<(String, Record), SinkError> {
        let topic = self.config.topic.for_sink(data)?;
        check_topic("topic", &topic).map_err(|error| SinkError::Rejected(error.to_string()))?;
        let text = |template: &Template| template.for_sink(data).map(Bytes::from);
        let key = self.config.key.as_ref().map(text).transpose()?;
        let header = |(name, value): &(String, Template)| Ok((name.clone(), text(value)?));
        let headers = self.config.headers.iter().map(header).collect::<Result<_, SinkError>>()?;
        Ok((topic, Record { offset: 0, at, key, value, headers }))
    }

    async fn try_send(&mut self, records: &[(String, Record)]) -> Result<(), Failure> {
        let mut batches = Batches::new();
        for (topic, record) in records {
            let count = self.layout(topic).await.map_err(Failure::Passing)?.leaders.len();
            let hash = |key: &Bytes| (murmur2(key) & 0x7fff_ffff) as usize;
            let index = record.key.as_ref().map_or(self.turn, hash) % count;
            batches.entry((topic.clone(), index)).or_default().push(record.clone());
        }
        for ((topic, index), records) in batches {
            let mut rest = &records[..];
            while !rest.is_empty() {
                let mut size = 0;
                let fits = rest.iter().take_while(|record| {
                    size += record.value.len() + record.key.as_ref().map_or(0, Bytes::len) + 64;
                    size <= MAX_BATCH
                });
                let (now, later) = rest.split_at(fits.count().max(1));
                self.send_batch(&topic, index, now).await?;
                rest = later;
            }
        }
        Ok(())
    }

    async fn layout(&mut self, topic: &str) -> Result<&Layout, String> {
        if !self.layouts.contains_key(topic) {
            let mut broker = connect(&self.config.cluster).await?;
            let layout = broker.layout(topic, &self.config.cluster).await?;
            if self.layouts.len() >= KNOWN_TOPICS {
                self.layouts.clear();
            }
            self.layouts.insert(topic.to_owned(), layout);
        }
        self.layouts.get(topic).ok_or_else(|| format!("topic {topic} is unknown"))
    }

    async fn send_batch(&mut self, topic: &str, index: usize, records: &[Record]) -> Result<(), Failure> {
        let layout = self.layout(topic).await.map_err(Failure::Passing)?;
        let leader = layout.leaders.get(index % layout.leaders.len().max(1)).cloned();
        let (partition, target) = leader.ok_or_else(|| Failure::Passing(format!("topic {topic} has no leader")))?;
        let name = (target.host.clone(), target.port);
        let kept = self.brokers.remove(&name).map(|mut broker| (broker.is_quiet(), broker));
        let mut broker = match kept {
            Some((true, broker)) => broker,
            _ => Broker::connect(&target, &self.config.cluster).await.map_err(Failure::Passing)?,
        };
        broker.produce(topic, partition, self.config.acks, records).await?;
        self.brokers.insert(name, broker);
        Ok(())
    }
}

/// The hash of Kafka's own clients, so that a key is in the same partition whoever writes it.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = word.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)).wrapping_mul(M);
        k = (k ^ k >> 24).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

impl Sink for KafkaSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.write(emission))
    }

    fn connection(&self) -> Option<Connection> {
        Some(self.state.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    /// The examples of Kafka's own tests, as unsigned numbers.
    #[test]
    fn hashes_as_kafka_does() {
        for (text, expect) in
            [("21", -973_932_308_i32), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536)]
        {
            assert_eq!(murmur2(text.as_bytes()), expect as u32, "{text}");
        }
    }
}

//! Requests about topics: where their partitions are, what is in them, and what is added.

use std::collections::HashMap;

use bytes::{BufMut, Bytes};

use super::batch::{self, Record};
use super::broker::{Broker, LONGEST, bad, check, put_partition, put_text};
use super::config::Cluster;
use crate::wire::{Failure, Target};

const PRODUCE: (i16, i16) = (0, 3);
const FETCH: (i16, i16) = (1, 4);
const LIST_OFFSETS: (i16, i16) = (2, 1);
const METADATA: (i16, i16) = (3, 1);

/// Where a partition begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    First,
    Last,
}

/// A topic's partitions.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Leader of each partition, in the order of their numbers.
    pub(super) leaders: Vec<(i32, Target)>,
}

/// What a fetch brings.
pub(super) struct Fetched {
    /// 0 when all is well.
    pub(super) error: i16,
    pub(super) records: Bytes,
}

impl Broker {
    /// The partitions of a topic. Whether an unknown one is made is for the server to decide.
    pub(super) async fn layout(&mut self, topic: &str, cluster: &Cluster) -> Result<Layout, String> {
        let mut body = Vec::new();
        body.put_i32(1);
        put_text(topic, &mut body);
        let mut answer = self.ask(METADATA, &body).await?;
        let mut brokers = HashMap::new();
        let tls = cluster.brokers.first().and_then(|broker| broker.tls.clone());
        answer.each(|answer| {
            let (id, host, port) = (answer.i32()?, answer.text()?, answer.i32()?);
            answer.text()?;
            let port = u16::try_from(port).map_err(|_| bad())?;
            brokers.insert(id, Target { host, port, tls: tls.clone() });
            Ok(())
        })?;
        answer.i32()?;
        let (mut leaders, mut failed) = (Vec::new(), 0);
        answer.each(|answer| {
            failed = answer.i16()?;
            answer.text()?;
            answer.i8()?;
            answer.each(|answer| {
                let (_, partition, leader) = (answer.i16()?, answer.i32()?, answer.i32()?);
                (0..2).try_for_each(|_| answer.each(|answer| answer.i32().map(drop)))?;
                leaders.extend(brokers.get(&leader).map(|target| (partition, target.clone())));
                Ok(())
            })
        })?;
        check(failed).map_err(|why| format!("topic {topic}: {why}"))?;
        leaders.sort_by_key(|(partition, _)| *partition);
        match leaders.is_empty() {
            true => Err(format!("topic {topic} has no partition with a leader")),
            false => Ok(Layout { leaders }),
        }
    }

    /// The offset at an end of a partition.
    pub(super) async fn end(&mut self, topic: &str, partition: i32, end: End) -> Result<i64, String> {
        let mut body = Vec::new();
        body.put_i32(-1);
        put_partition(topic, partition, &mut body);
        body.put_i64(if end == End::First { -2 } else { -1 });
        let mut answer = self.ask(LIST_OFFSETS, &body).await?;
        let mut found = None;
        answer.each(|answer| {
            answer.text()?;
            answer.each(|answer| {
                let (_, error, _, offset) = (answer.i32()?, answer.i16()?, answer.i64()?, answer.i64()?);
                check(error)?;
                found = Some(offset);
                Ok(())
            })
        })?;
        found.ok_or_else(bad)
    }

    /// Waits for records of a partition from an offset on.
    pub(super) async fn fetch(
        &mut self,
        topic: &str,
        (partition, offset): (i32, i64),
        max_bytes: i32,
    ) -> Result<Fetched, String> {
        let mut body = Vec::new();
        body.put_i32(-1);
        body.put_i32(i32::try_from(LONGEST.as_millis()).unwrap_or(i32::MAX));
        body.put_i32(1);
        body.put_i32(max_bytes);
        // Only what is committed.
        body.put_i8(1);
        put_partition(topic, partition, &mut body);
        body.put_i64(offset);
        body.put_i32(max_bytes);
        let mut answer = self.ask(FETCH, &body).await?;
        answer.i32()?;
        let mut fetched = Fetched { error: 0, records: Bytes::new() };
        answer.each(|answer| {
            answer.text()?;
            answer.each(|answer| {
                answer.i32()?;
                fetched.error = answer.i16()?;
                answer.i64()?;
                answer.i64()?;
                answer.each(|answer| answer.i64().and(answer.i64()).map(|_| ()))?;
                fetched.records = answer.bytes()?;
                Ok(())
            })
        })?;
        Ok(fetched)
    }

    /// Appends records to a partition.
    pub(super) async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        acks: i16,
        records: &[Record],
    ) -> Result<(), Failure> {
        let batch = batch::write(records);
        let mut body = Vec::new();
        body.put_i16(-1);
        body.put_i16(acks);
        body.put_i32(i32::try_from(LONGEST.as_millis()).unwrap_or(i32::MAX));
        put_partition(topic, partition, &mut body);
        body.put_i32(i32::try_from(batch.len()).unwrap_or(i32::MAX));
        body.extend_from_slice(&batch);
        if acks == 0 {
            return self.say(PRODUCE, &body).await.map(drop).map_err(Failure::Passing);
        }
        let mut answer = self.ask(PRODUCE, &body).await.map_err(Failure::Passing)?;
        let mut error = 0;
        let read = answer.each(|answer| {
            answer.text()?;
            answer.each(|answer| {
                answer.i32()?;
                error = answer.i16()?;
                answer.i64()?;
                answer.i64()?;
                Ok(())
            })
        });
        read.map_err(Failure::Passing)?;
        check(error).map_err(|text| match error {
            // Too large, invalid, not allowed: sending it again changes nothing.
            2 | 10 | 17 | 18 | 29 | 42 | 43 | 76 | 87 => Failure::Refused(text),
            _ => Failure::Passing(text),
        })
    }
}

//! Requests to the brokers of a cluster, in the oldest versions that Kafka 4 still answers.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::batch::{self, Record};
use super::config::{Cluster, Login};
use crate::scram::{self, Hash};
use crate::wire::{Conn, Failure, PATIENCE, Target};

/// Largest answer; fetches are smaller by their own limit.
const MAX_ANSWER: usize = 15 << 20;
/// How long a broker may hold a fetch back while there is nothing new, and a produce while replicas write it.
pub(super) const LONGEST: Duration = Duration::from_secs(5);

const PRODUCE: (i16, i16) = (0, 3);
const FETCH: (i16, i16) = (1, 4);
const LIST_OFFSETS: (i16, i16) = (2, 1);
const METADATA: (i16, i16) = (3, 1);
const OFFSET_COMMIT: (i16, i16) = (8, 2);
const OFFSET_FETCH: (i16, i16) = (9, 1);
const FIND_COORDINATOR: (i16, i16) = (10, 0);
const SASL_HANDSHAKE: (i16, i16) = (17, 1);
const SASL_AUTHENTICATE: (i16, i16) = (36, 0);

/// The position asked for is gone.
pub(super) const OUT_OF_RANGE: i16 = 1;

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

/// A connection to one broker.
pub(super) struct Broker {
    conn: Conn,
    next: i32,
}

/// What a fetch brings.
pub(super) struct Fetched {
    /// 0 when all is well.
    pub(super) error: i16,
    pub(super) records: Bytes,
}

fn bad() -> String {
    "the server does not speak Kafka's protocol: an answer is cut off".to_owned()
}

/// Reads an answer.
struct Answer(Bytes);

impl Answer {
    fn i16(&mut self) -> Result<i16, String> {
        self.0.try_get_i16().map_err(|_| bad())
    }

    fn i32(&mut self) -> Result<i32, String> {
        self.0.try_get_i32().map_err(|_| bad())
    }

    fn i64(&mut self) -> Result<i64, String> {
        self.0.try_get_i64().map_err(|_| bad())
    }

    fn take(&mut self, length: i64) -> Result<Bytes, String> {
        match length {
            -1 => Ok(Bytes::new()),
            length => {
                let length = usize::try_from(length).ok().filter(|length| *length <= self.0.len()).ok_or_else(bad)?;
                Ok(self.0.split_to(length))
            }
        }
    }

    /// A text; none reads as empty.
    fn text(&mut self) -> Result<String, String> {
        let length = self.i16()?;
        Ok(String::from_utf8_lossy(&self.take(length.into())?).into_owned())
    }

    fn bytes(&mut self) -> Result<Bytes, String> {
        let length = self.i32()?;
        self.take(length.into())
    }

    /// Reads each item of a list; the answer is bounded, so nothing is reserved for what its length claims.
    fn each(&mut self, mut item: impl FnMut(&mut Answer) -> Result<(), String>) -> Result<(), String> {
        (0..self.i32()?).try_for_each(|_| item(self))
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    out.extend_from_slice(&text.as_bytes()[..text.len().min(i16::MAX as usize)]);
}

/// One topic with one partition, the usual shape of a request.
fn put_partition(topic: &str, partition: i32, out: &mut Vec<u8>) {
    out.put_i32(1);
    put_text(topic, out);
    out.put_i32(1);
    out.put_i32(partition);
}

/// Takes one whole answer off the front.
fn answer(buffer: &mut BytesMut) -> Result<Option<(i32, Bytes)>, String> {
    let Some(mut head) = buffer.get(..8) else { return Ok(None) };
    let length = usize::try_from(head.get_i32()).ok().filter(|length| (4..=MAX_ANSWER).contains(length));
    let number = head.get_i32();
    let length = length.ok_or("the server does not speak Kafka's protocol, or an answer is too large")?;
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let mut body = buffer.split_to(4 + length);
    body.advance(8);
    Ok(Some((number, body.freeze())))
}

/// Connects to the first broker that answers.
///
/// # Errors
/// None does; the text is the last one's.
pub(super) async fn connect(cluster: &Cluster) -> Result<Broker, String> {
    let mut reason = "no broker is named".to_owned();
    for target in &cluster.brokers {
        match Broker::connect(target, cluster).await {
            Ok(broker) => return Ok(broker),
            Err(why) => reason = why,
        }
    }
    Err(reason)
}

impl Broker {
    /// Connects and logs in.
    pub(super) async fn connect(target: &Target, cluster: &Cluster) -> Result<Broker, String> {
        let mut broker = Broker { conn: target.dial().await?, next: 0 };
        if let Some(login) = &cluster.login {
            let logged = broker.log_in(login).await;
            logged.map_err(|why| target.failed(&why))?;
        }
        Ok(broker)
    }

    pub(super) fn is_quiet(&mut self) -> bool {
        self.conn.is_quiet()
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), String> {
        let mut body = Vec::new();
        put_text(if login.scram { "SCRAM-SHA-512" } else { "PLAIN" }, &mut body);
        let mut answer = self.ask(SASL_HANDSHAKE, &body).await?;
        check(answer.i16()?)?;
        if !login.scram {
            let proof = format!("\0{}\0{}", login.user, login.password);
            return self.prove(&proof).await.map(drop);
        }
        let mut exchange = scram::Login::new(Hash::Sha512, &login.user);
        let question = self.prove(&exchange.first()).await?;
        let proof = exchange.prove(&login.password, &question)?;
        let end = self.prove(&proof).await?;
        Ok(exchange.verify(&end)?)
    }

    /// One step of a login: what is said, and what the broker says to it.
    async fn prove(&mut self, proof: &str) -> Result<String, String> {
        let mut body = Vec::new();
        body.put_i32(i32::try_from(proof.len()).unwrap_or(i32::MAX));
        body.extend_from_slice(proof.as_bytes());
        let mut answer = self.ask(SASL_AUTHENTICATE, &body).await?;
        match (answer.i16()?, answer.text()?) {
            (0, _) => Ok(String::from_utf8_lossy(&answer.bytes()?).into_owned()),
            (_, text) if !text.is_empty() => Err(text),
            (code, _) => check(code).map(|()| String::new()),
        }
    }

    async fn say(&mut self, (api, version): (i16, i16), body: &[u8]) -> Result<i32, String> {
        let mut head = Vec::new();
        self.next = self.next.wrapping_add(1);
        head.put_i16(api);
        head.put_i16(version);
        head.put_i32(self.next);
        put_text("edgeward", &mut head);
        let length = i32::try_from(head.len() + body.len()).map_err(|_| "the request is too large".to_owned())?;
        self.conn.write(&[&length.to_be_bytes()[..], &head, body].concat()).await?;
        Ok(self.next)
    }

    async fn ask(&mut self, api: (i16, i16), body: &[u8]) -> Result<Answer, String> {
        let number = self.say(api, body).await?;
        let (answered, body) = self.conn.answer(PATIENCE + LONGEST, answer).await?;
        if answered != number { Err("the server answers another request".to_owned()) } else { Ok(Answer(body)) }
    }

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
            answer.0.try_get_i8().map_err(|_| bad())?;
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

    /// The broker that keeps the positions of a group.
    pub(super) async fn coordinator(&mut self, group: &str, cluster: &Cluster) -> Result<Broker, String> {
        let mut body = Vec::new();
        put_text(group, &mut body);
        let mut answer = self.ask(FIND_COORDINATOR, &body).await?;
        check(answer.i16()?)?;
        answer.i32()?;
        let (host, port) = (answer.text()?, answer.i32()?);
        let port = u16::try_from(port).map_err(|_| bad())?;
        let tls = cluster.brokers.first().and_then(|broker| broker.tls.clone());
        Broker::connect(&Target { host, port, tls }, cluster).await
    }

    /// Where a group has got to in a partition; none when it has not begun.
    pub(super) async fn position(&mut self, group: &str, topic: &str, partition: i32) -> Result<Option<i64>, String> {
        let mut body = Vec::new();
        put_text(group, &mut body);
        put_partition(topic, partition, &mut body);
        let mut answer = self.ask(OFFSET_FETCH, &body).await?;
        let mut found = -1;
        answer.each(|answer| {
            answer.text()?;
            answer.each(|answer| {
                answer.i32()?;
                found = answer.i64()?;
                answer.text()?;
                check(answer.i16()?)
            })
        })?;
        Ok((found >= 0).then_some(found))
    }

    /// Keeps where a group has got to.
    pub(super) async fn commit(&mut self, group: &str, topic: &str, place: (i32, i64)) -> Result<(), String> {
        let mut body = Vec::new();
        put_text(group, &mut body);
        // No generation, no member, kept as long as the server likes.
        body.put_i32(-1);
        put_text("", &mut body);
        body.put_i64(-1);
        put_partition(topic, place.0, &mut body);
        body.put_i64(place.1);
        put_text("", &mut body);
        let mut answer = self.ask(OFFSET_COMMIT, &body).await?;
        answer.each(|answer| {
            answer.text()?;
            answer.each(|answer| {
                answer.i32()?;
                check(answer.i16()?)
            })
        })
    }
}

/// An error code as text.
pub(super) fn check(code: i16) -> Result<(), String> {
    let text = match code {
        0 => return Ok(()),
        OUT_OF_RANGE => "the offset is out of range",
        2 => "the message is damaged",
        3 => "unknown topic or partition",
        5 => "no leader is available",
        6 => "the broker is not the leader",
        7 => "the request took too long",
        10 => "the message is too large for the broker",
        14..=16 => "the group's coordinator is not available",
        17 => "the topic's name is not valid",
        19 | 20 => "not enough replicas",
        29 => "not allowed to use the topic",
        30 => "not allowed to use the group",
        33 => "the kind of login is not supported by the broker",
        35 => "the broker is too old or too new",
        58 => "the login failed",
        _ => return Err(format!("kafka error {code}")),
    };
    Err(format!("kafka error {code}: {text}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_not(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(255u8), any::<u8>()], 0..60)) {
            let _ = answer(&mut BytesMut::from(&bytes[..]));
            let mut reader = Answer(bytes.into());
            let _ = reader.text();
            let _ = reader.bytes();
            let _ = reader.each(|reader| reader.each(|reader| reader.text().map(drop)));
        }
    }
}

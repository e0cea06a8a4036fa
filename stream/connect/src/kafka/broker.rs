//! A connection to one broker: log in, ask, be answered. What is asked stands in `topics` and `group`, always in the
//! oldest version that Kafka 4 still answers.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::config::{Cluster, Login};
use crate::scram::{self, Hash};
use crate::wire::{Conn, PATIENCE, Target};

/// Largest answer; fetches are smaller by their own limit.
const MAX_ANSWER: usize = 15 << 20;
/// How long a broker may hold a fetch back while there is nothing new, and a produce while replicas write it.
pub(super) const LONGEST: Duration = Duration::from_secs(5);

const SASL_HANDSHAKE: (i16, i16) = (17, 1);
const SASL_AUTHENTICATE: (i16, i16) = (36, 0);

/// The position asked for is gone.
pub(super) const OUT_OF_RANGE: i16 = 1;
/// The group moved on without this member …
pub(super) const OTHER_GENERATION: i16 = 22;
/// … forgot it …
pub(super) const UNKNOWN_MEMBER: i16 = 25;
/// … or waits for all members to join again.
pub(super) const REBALANCE: i16 = 27;

/// A connection to one broker.
pub(super) struct Broker {
    conn: Conn,
    next: i32,
}

/// Text for an answer that is none.
pub(super) fn bad() -> String {
    "the server does not speak Kafka's protocol: an answer is cut off".to_owned()
}

/// Reads an answer.
pub(super) struct Answer(pub(super) Bytes);

impl Answer {
    pub(super) fn i8(&mut self) -> Result<i8, String> {
        self.0.try_get_i8().map_err(|_| bad())
    }

    pub(super) fn i16(&mut self) -> Result<i16, String> {
        self.0.try_get_i16().map_err(|_| bad())
    }

    pub(super) fn i32(&mut self) -> Result<i32, String> {
        self.0.try_get_i32().map_err(|_| bad())
    }

    pub(super) fn i64(&mut self) -> Result<i64, String> {
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
    pub(super) fn text(&mut self) -> Result<String, String> {
        let length = self.i16()?;
        Ok(String::from_utf8_lossy(&self.take(length.into())?).into_owned())
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, String> {
        let length = self.i32()?;
        self.take(length.into())
    }

    /// Reads each item of a list; the answer is bounded, so nothing is reserved for what its length claims.
    pub(super) fn each(&mut self, mut item: impl FnMut(&mut Answer) -> Result<(), String>) -> Result<(), String> {
        (0..self.i32()?).try_for_each(|_| item(self))
    }
}

pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    out.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    out.extend_from_slice(&text.as_bytes()[..text.len().min(i16::MAX as usize)]);
}

/// One topic with one partition, the usual shape of a request.
pub(super) fn put_partition(topic: &str, partition: i32, out: &mut Vec<u8>) {
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

    pub(super) async fn say(&mut self, (api, version): (i16, i16), body: &[u8]) -> Result<i32, String> {
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

    pub(super) async fn ask(&mut self, api: (i16, i16), body: &[u8]) -> Result<Answer, String> {
        self.ask_within(PATIENCE + LONGEST, api, body).await
    }

    /// Asks what may be answered late.
    pub(super) async fn ask_within(&mut self, limit: Duration, api: (i16, i16), body: &[u8]) -> Result<Answer, String> {
        let number = self.say(api, body).await?;
        let (answered, body) = self.conn.answer(limit, answer).await?;
        if answered != number { Err("the server answers another request".to_owned()) } else { Ok(Answer(body)) }
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
        22 => "the group has begun anew",
        23 => "the members of the group do not agree on how to share",
        25 => "the group does not know this member",
        26 => "the session timeout is not allowed",
        27 => "the group shares its partitions anew",
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

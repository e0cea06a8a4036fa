//! Requests about groups: who belongs to one, who reads what, and how far it has got.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{BufMut, Bytes};

use super::broker::{Answer, Broker, bad, check, put_partition, put_text};
use super::config::Cluster;
use crate::wire::Target;

const OFFSET_COMMIT: (i16, i16) = (8, 2);
const OFFSET_FETCH: (i16, i16) = (9, 1);
const FIND_COORDINATOR: (i16, i16) = (10, 0);
const JOIN_GROUP: (i16, i16) = (11, 2);
const HEARTBEAT: (i16, i16) = (12, 0);
const LEAVE_GROUP: (i16, i16) = (13, 0);
const SYNC_GROUP: (i16, i16) = (14, 0);

/// A member that says nothing for so long is given up by its group. The mock cluster of the tests waits almost as long with
/// every change of a group.
const SESSION: Duration = Duration::from_secs(if cfg!(test) { 10 } else { 30 });
/// How often a member says that it is there.
pub(super) const HEARTBEATS: Duration = Duration::from_secs(3);
/// How long members may take to join again.
const REJOIN: Duration = Duration::from_secs(30);
/// The group waits for its slowest member, and Java's consumers allow themselves five minutes.
const LONGEST_JOIN: Duration = Duration::from_secs(330);
/// How partitions are shared, the one way that all clients know.
const RANGE: &str = "range";

/// Partitions by topic.
pub(super) type Share = BTreeMap<String, Vec<i32>>;

/// A member of a group in one generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) group: String,
    pub(super) id: String,
    pub(super) generation: i32,
}

/// How joining ended.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) member: Member,
    /// Only the leader hears of the members, by their ids, and shares the partitions of the topics they want.
    pub(super) members: BTreeMap<String, Vec<String>>,
}

impl Broker {
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
    pub(super) async fn commit(&mut self, member: &Member, topic: &str, place: (i32, i64)) -> Result<(), String> {
        let mut body = member.head();
        // Kept as long as the server likes.
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

    /// Joins a group to read a topic, under the id it was given earlier, if any. Waits until all members have joined.
    /// The number is an error code.
    pub(super) async fn join(&mut self, group: &str, id: &str, topic: &str) -> Result<Result<Joined, i16>, String> {
        let millis = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let mut body = Vec::new();
        put_text(group, &mut body);
        body.put_i32(millis(SESSION));
        body.put_i32(millis(REJOIN));
        put_text(id, &mut body);
        put_text("consumer", &mut body);
        body.put_i32(1);
        put_text(RANGE, &mut body);
        put_bytes(&wish(topic), &mut body);
        let mut answer = self.ask_within(LONGEST_JOIN, JOIN_GROUP, &body).await?;
        answer.i32()?;
        let error = answer.i16()?;
        let generation = answer.i32()?;
        answer.text()?;
        let (leader, id) = (answer.text()?, answer.text()?);
        let mut members = BTreeMap::new();
        answer.each(|answer| {
            let id = answer.text()?;
            members.insert(id, wishes(answer.bytes()?)?);
            Ok(())
        })?;
        if error != 0 {
            return Ok(Err(error));
        }
        if leader != id {
            members.clear();
        }
        Ok(Ok(Joined { member: Member { group: group.to_owned(), id, generation }, members }))
    }

    /// Hears what this member is to read; the leader says what everybody is to read. The number is an error code.
    pub(super) async fn sync(
        &mut self,
        member: &Member,
        shares: &BTreeMap<String, Share>,
    ) -> Result<Result<Share, i16>, String> {
        let mut body = member.head();
        body.put_i32(i32::try_from(shares.len()).unwrap_or(i32::MAX));
        for (id, share) in shares {
            put_text(id, &mut body);
            put_bytes(&assignment(share), &mut body);
        }
        let mut answer = self.ask_within(LONGEST_JOIN, SYNC_GROUP, &body).await?;
        match answer.i16()? {
            0 => assigned(answer.bytes()?).map(Ok),
            error => Ok(Err(error)),
        }
    }

    /// Says that the member is there. Answers an error code.
    pub(super) async fn heartbeat(&mut self, member: &Member) -> Result<i16, String> {
        self.ask(HEARTBEAT, &member.head()).await?.i16()
    }

    /// Gives the member's partitions back to the group.
    pub(super) async fn leave(&mut self, group: &str, id: &str) -> Result<(), String> {
        let mut body = Vec::new();
        put_text(group, &mut body);
        put_text(id, &mut body);
        check(self.ask(LEAVE_GROUP, &body).await?.i16()?)
    }
}

impl Member {
    /// What requests of a member begin with.
    fn head(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_text(&self.group, &mut body);
        body.put_i32(self.generation);
        put_text(&self.id, &mut body);
        body
    }
}

/// Shares partitions as Kafka's range assignor does: of each topic every member, in the order of their ids, gets a run.
pub(super) fn range(members: &BTreeMap<String, Vec<String>>, partitions: &Share) -> BTreeMap<String, Share> {
    let mut shares: BTreeMap<String, Share> = members.keys().map(|id| (id.clone(), Share::new())).collect();
    for (topic, all) in partitions {
        let takers: Vec<&String> =
            members.iter().filter(|(_, wants)| wants.contains(topic)).map(|(id, _)| id).collect();
        let Some((each, more)) = all.len().checked_div(takers.len()).zip(all.len().checked_rem(takers.len())) else {
            continue;
        };
        let mut rest = &all[..];
        for (index, id) in takers.into_iter().enumerate() {
            let (own, others) = rest.split_at(each + usize::from(index < more));
            rest = others;
            if let Some(share) = shares.get_mut(id).filter(|_| !own.is_empty()) {
                share.insert(topic.clone(), own.to_vec());
            }
        }
    }
    shares
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    out.extend_from_slice(bytes);
}

/// What a member tells of itself: version 0, its topics, nothing else.
fn wish(topic: &str) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, 0, 1];
    put_text(topic, &mut out);
    out.put_i32(-1);
    out
}

/// The topics in a [`wish`] of any version.
fn wishes(bytes: Bytes) -> Result<Vec<String>, String> {
    let (mut answer, mut topics) = (Answer(bytes), Vec::new());
    answer.i16()?;
    answer.each(|answer| {
        topics.push(answer.text()?);
        Ok(())
    })?;
    Ok(topics)
}

fn assignment(share: &Share) -> Vec<u8> {
    let mut out = vec![0, 0];
    out.put_i32(i32::try_from(share.len()).unwrap_or(i32::MAX));
    for (topic, partitions) in share {
        put_text(topic, &mut out);
        out.put_i32(i32::try_from(partitions.len()).unwrap_or(i32::MAX));
        partitions.iter().for_each(|partition| out.put_i32(*partition));
    }
    out.put_i32(-1);
    out
}

/// What is in an [`assignment`] of any version; nothing at all means no partition.
fn assigned(bytes: Bytes) -> Result<Share, String> {
    let mut share = Share::new();
    if bytes.is_empty() {
        return Ok(share);
    }
    let mut answer = Answer(bytes);
    answer.i16()?;
    answer.each(|answer| {
        let topic = answer.text()?;
        let partitions = share.entry(topic).or_default();
        answer.each(|answer| {
            partitions.push(answer.i32()?);
            Ok(())
        })
    })?;
    Ok(share)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Members as `id: topics`, partitions as `topic: count`, and what each member gets.
    fn check(members: &[(&str, &str)], topics: &[(&str, i32)], expect: &str) {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let members = members.iter().map(|(id, topics)| ((*id).to_owned(), words(topics))).collect();
        let partitions = topics.iter().map(|(topic, count)| ((*topic).to_owned(), (0..*count).collect())).collect();
        let shares = range(&members, &partitions);
        let texts: Vec<String> = shares.iter().map(|(id, share)| format!("{id}{share:?}")).collect();
        assert_eq!(texts.join(" ").replace('"', ""), expect);
    }

    #[test]
    fn partitions_are_shared_in_runs() {
        check(&[("a", "t"), ("b", "t")], &[("t", 3)], "a{t: [0, 1]} b{t: [2]}");
        check(&[("a", "t"), ("b", "t")], &[("t", 1)], "a{t: [0]} b{}");
        check(&[("a", "t u"), ("b", "u")], &[("t", 2), ("u", 2)], "a{t: [0, 1], u: [0]} b{u: [1]}");
        check(&[("a", "x")], &[("t", 2)], "a{}");
        check(&[], &[("t", 2)], "");
    }

    proptest! {
        #[test]
        fn what_members_are_told_survives(share in prop::collection::btree_map("[a-z]{1,5}", prop::collection::vec(0i32..99, 1..4), 0..4)) {
            prop_assert_eq!(assigned(assignment(&share).into()), Ok(share));
        }

        #[test]
        fn any_bytes_of_others_are_read_or_refused(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..60)) {
            let _ = wishes(bytes.clone().into());
            let _ = assigned(bytes.into());
        }
    }

    #[test]
    fn wishes_are_read() {
        assert_eq!(wishes(wish("t").into()), Ok(vec!["t".to_owned()]));
    }
}

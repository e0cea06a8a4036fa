//! Records as payloads: of one partition, or of those that a group gives to this member.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::{sleep, timeout};

use super::broker::{Broker, OTHER_GENERATION, REBALANCE, UNKNOWN_MEMBER, check, connect};
use super::config::{From, SourceConfig};
use super::group::{HEARTBEATS, Joined, Member, Share, range};
use super::reader::Reader;
use super::topics::End;
use crate::keep::{Line, Listen, Never};

/// How long a source that ends may take to tell its group.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) struct KafkaSource {
    pub(super) config: SourceConfig,
    pub(super) acknowledge: bool,
    /// Without a group: where to go on after a lost connection.
    pub(super) place: Option<i64>,
    /// With a group: the id it gave this member, empty before.
    pub(super) id: String,
}

impl Listen for KafkaSource {
    async fn listen(&mut self, line: &Line<'_>) -> Result<Never, String> {
        match self.config.from.clone() {
            From::Partition(wanted) => self.read(wanted, line).await,
            From::Group(group) => loop {
                self.take_part(&group, line).await?;
            },
        }
    }

    async fn farewell(&mut self) {
        if let (From::Group(group), false) = (&self.config.from, self.id.is_empty()) {
            let leave = async { self.coordinator(group).await?.leave(group, &self.id).await };
            if let Ok(Err(error)) = timeout(FAREWELL, leave).await {
                tracing::debug!(group, error, "a group was left without a word");
            }
        }
    }
}

impl KafkaSource {
    /// Reads one partition, at first what comes from now on.
    async fn read(&mut self, wanted: i32, line: &Line<'_>) -> Result<Never, String> {
        let KafkaSource { config, acknowledge, place, .. } = self;
        let leaders = connect(&config.cluster).await?.layout(&config.topic, &config.cluster).await?.leaders;
        let leader = leaders.into_iter().find(|(partition, _)| *partition == wanted);
        let leader = leader.ok_or_else(|| format!("topic {} has no partition {wanted}", config.topic))?;
        let mut reader = Reader::open(config, *acknowledge, leader).await?;
        match *place {
            Some(offset) => reader.offset = offset,
            None => reader.begin_at(End::Last).await?,
        }
        line.up();
        loop {
            let stepped = reader.step(line.to).await;
            *place = Some(reader.offset);
            stepped?;
        }
    }

    /// Joins the group and reads what it gives, until it shares its partitions anew.
    async fn take_part(&mut self, group: &str, line: &Line<'_>) -> Result<(), String> {
        let mut coordinator = self.coordinator(group).await?;
        let Some((member, share)) = self.join(group, &mut coordinator).await? else { return Ok(()) };
        let config = &self.config;
        let mine = share.get(&config.topic).map(Vec::as_slice).unwrap_or_default();
        let leaders = connect(&config.cluster).await?.layout(&config.topic, &config.cluster).await?.leaders;
        let mut readers = Vec::new();
        for leader in leaders.into_iter().filter(|(partition, _)| mine.contains(partition)) {
            let mut reader = Reader::open(config, self.acknowledge, leader).await?;
            reader.begin_with(member.clone(), self.coordinator(group).await?).await?;
            readers.push(reader);
        }
        line.up();
        let read = readers.into_iter().map(|mut reader| async move {
            loop {
                reader.step(line.to).await?;
            }
        });
        let read = async {
            // A member without partitions only waits.
            let read: Result<Vec<Never>, String> = try_join_all(read).await;
            if read.is_ok() {
                std::future::pending::<()>().await;
            }
            read.map(drop)
        };
        tokio::select! {
            read = read => read,
            code = beat(&mut coordinator, &member) => self.moved(code?),
        }
    }

    /// Joins the group and hears what to read; none when the group moved on meanwhile.
    async fn join(&mut self, group: &str, coordinator: &mut Broker) -> Result<Option<(Member, Share)>, String> {
        let joined = coordinator.join(group, &self.id, &self.config.topic).await?;
        let Joined { member, members } = match joined {
            Ok(joined) => joined,
            Err(code) => return self.moved(code).map(|()| None),
        };
        self.id.clone_from(&member.id);
        let shares = if members.is_empty() { BTreeMap::new() } else { self.share(&members).await? };
        match coordinator.sync(&member, &shares).await? {
            Ok(share) => Ok(Some((member, share))),
            Err(code) => self.moved(code).map(|()| None),
        }
    }

    /// Who reads what, when this member leads the group.
    async fn share(&self, members: &BTreeMap<String, Vec<String>>) -> Result<BTreeMap<String, Share>, String> {
        let cluster = &self.config.cluster;
        let mut broker = connect(cluster).await?;
        let mut partitions = Share::new();
        for topic in members.values().flatten() {
            if !partitions.contains_key(topic) {
                let leaders = broker.layout(topic, cluster).await?.leaders;
                partitions.insert(topic.clone(), leaders.into_iter().map(|(partition, _)| partition).collect());
            }
        }
        Ok(range(members, &partitions))
    }

    async fn coordinator(&self, group: &str) -> Result<Broker, String> {
        let cluster = &self.config.cluster;
        connect(cluster).await?.coordinator(group, cluster).await
    }

    /// The group is not what it was: what is left is to join again.
    fn moved(&mut self, code: i16) -> Result<(), String> {
        match code {
            OTHER_GENERATION | REBALANCE => Ok(()),
            UNKNOWN_MEMBER => {
                self.id.clear();
                Ok(())
            }
            other => check(other),
        }
    }
}

/// Says that the member is there, until the group answers otherwise.
async fn beat(coordinator: &mut Broker, member: &Member) -> Result<i16, String> {
    loop {
        sleep(HEARTBEATS).await;
        match coordinator.heartbeat(member).await? {
            0 => {}
            code => return Ok(code),
        }
    }
}

//! Every acknowledged reading is in the cloud's store exactly once: over cuts of the link and kills of the agent.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use edgeward_agent::outbox::COUNTER_BITS;
use edgeward_agent::{Agent, Options};
use edgeward_service::Tasks;
use rand::RngExt;

use crate::lab::{Cloud, Mood, Node, agent_options, eventually};

const CHILD: &str = "EDGEWARD_TELEMETRY_CHILD";
const KILLS: usize = 8;

/// The agent as a process of its own: it appends readings for ever and prints each number it was given.
#[tokio::main]
async fn produce(settings: &str) {
    let [folder, server, https, token] = settings.split('|').collect::<Vec<_>>()[..] else { panic!("{settings}") };
    let mut options: Options = agent_options("edge-1", folder.as_ref());
    options.link.server = server.to_owned();
    options.link.https = https.to_owned();
    options.link.token = Some(token.to_owned());
    options.outbox.segment_bytes = 20_000;
    let tasks = Tasks::root("agent");
    let handle = Box::pin(Agent::start(options, &tasks)).await.unwrap();
    let mut producers = tokio::task::JoinSet::new();
    for producer in 0..32 {
        let outbox = handle.outbox().clone();
        producers.spawn(async move {
            for number in 0.. {
                let seq = outbox.append("machine", number, format!("{producer} {number}").as_bytes()).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "kept {seq}").unwrap();
                out.flush().unwrap();
            }
        });
    }
    producers.join_all().await;
}

#[test]
fn every_acknowledged_reading_is_stored_once_over_kills_and_cuts() {
    match std::env::var(CHILD) {
        Ok(settings) => produce(&settings),
        Err(_) => kill_and_cut(),
    }
}

#[tokio::main]
async fn kill_and_cut() {
    let cloud = Cloud::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (server, https) = (cloud.wire.address, cloud.hub.enroll_address());
    let settings = format!("{}|{server}|{https}|{}", folder.path().display(), cloud.token());
    let mut kept = Vec::new();
    for round in 0..KILLS {
        let wire = cloud.wire.clone();
        let (settings, cut) = (settings.clone(), rand::rng().random_range(100..400));
        let readings = rand::rng().random_range(500..2000);
        let run = tokio::task::spawn_blocking(move || run_child(&settings, readings));
        tokio::time::sleep(Duration::from_millis(cut)).await;
        wire.set(if round % 2 == 0 { Mood::Reset } else { Mood::Blackhole });
        tokio::time::sleep(Duration::from_millis(cut)).await;
        wire.set(Mood::Pass);
        kept.extend(run.await.unwrap());
    }
    let count = kept.len();
    kept.sort_unstable();
    kept.dedup();
    assert_eq!(kept.len(), count, "no number was given twice");
    assert_eq!(kept.iter().map(|seq| seq >> COUNTER_BITS).min(), kept.iter().map(|seq| seq >> COUNTER_BITS).max());

    // The agent comes back for good and the rest drains.
    let mut options = cloud.agent_options("edge-1", folder.path());
    options.outbox.segment_bytes = 20_000;
    let node = Node::start(options).await;
    let status = node.handle.outbox().status();
    let written = status.next & ((1 << COUNTER_BITS) - 1);
    let reader = cloud.ingest.reader().unwrap();
    let totals = eventually("the backlog", async || {
        reader.totals().unwrap().into_iter().find(|totals| totals.through + 1 == written as i64)
    })
    .await;
    assert_eq!((totals.stored, totals.lost), (written, 0));
    let stored: std::collections::HashSet<u64> =
        reader.last("edge-1", None, usize::MAX >> 1).unwrap().iter().map(|r| r.epoch << COUNTER_BITS | r.seq).collect();
    assert_eq!(stored.len() as u64, written);
    assert!(kept.iter().all(|seq| stored.contains(seq)));
    println!("{count} readings acknowledged, {written} written and stored, {} received twice", totals.duplicates);
    eventually("the outbox to know it", async || {
        let status = node.handle.outbox().status();
        (status.unconfirmed == status.next).then_some(())
    })
    .await;
    node.stop().await;
    cloud.stop().await;
}

/// Runs the agent until it has acknowledged so many readings, kills it, and returns their numbers.
fn run_child(settings: &str, readings: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "telemetry::every_acknowledged_reading_is_stored_once_over_kills_and_cuts", "--nocapture"])
        .env(CHILD, settings)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut kept = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        let Some(seq) = line.strip_prefix("kept ") else { continue };
        kept.push(seq.parse().unwrap());
        if kept.len() == readings {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(kept.len() >= readings, "the agent ended by itself");
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_outbox_had_to_drop_is_accounted_for() {
    let cloud = Cloud::start().await;
    let folder = tempfile::tempdir().unwrap();
    cloud.wire.set(Mood::Reset);
    let mut options = cloud.agent_options("edge-1", folder.path());
    options.outbox.max_bytes = 20_000;
    options.outbox.flush_interval = Duration::ZERO;
    let node = Node::start(options).await;
    let outbox = node.handle.outbox();
    for number in 0..2_000 {
        outbox.append("machine", number, &[b'x'; 50]).await.unwrap();
        if number == 1_000 {
            cloud.wire.set(Mood::Pass);
            node.online().await;
            eventually("the first half", async || (outbox.status().unconfirmed == outbox.status().next).then_some(()))
                .await;
            cloud.wire.set(Mood::Reset);
            node.link(|state| !state.is_online()).await;
        }
    }
    let dropped = outbox.status().dropped;
    assert!(dropped > 500);
    cloud.wire.set(Mood::Pass);
    let reader = cloud.ingest.reader().unwrap();
    let totals =
        eventually("the rest", async || reader.totals().unwrap().into_iter().find(|t| t.through == 1_999)).await;
    assert_eq!((totals.stored + totals.lost, totals.lost), (2_000, dropped));
    node.stop().await;

    // The disk was wiped: the node counts from zero and nothing is taken for a repetition.
    std::fs::remove_dir_all(folder.path().join("outbox")).unwrap();
    let node = Node::start(cloud.agent_options("edge-1", folder.path())).await;
    node.handle.outbox().append("machine", 0, b"new life").await.unwrap();
    eventually("the new life", async || reader.totals().unwrap().into_iter().find(|t| t.through == 0 && t.stored == 1))
        .await;
    node.stop().await;
    cloud.stop().await;
}

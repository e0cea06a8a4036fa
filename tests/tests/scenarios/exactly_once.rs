//! Whatever is killed and cut while readings flow: each acknowledged reading is stored exactly once, and each acknowledged
//! object of the API is there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use edgeward_tests::replay::{Replay, stream, to_cloud};
use edgeward_tests::{Api, Cloud, Mood, Node, PATIENCE, Wire, data, eventually, say, scenario};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

const KILLS: usize = 50;
/// Rows per second: the replay lasts about as long as the kills.
const RATE: u32 = 220;
const NODE: &str = "factory";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[test]
fn fifty_kills_and_cuts_lose_nothing_and_repeat_nothing() {
    scenario("exactly-once", async |site| {
        let readings = data::readings(&site)?;
        let wire = Wire::start(&site).await?;
        let mut cloud = Cloud::start(&site).await?;
        let api = cloud.api().await?;
        let mut node = Node::new(&site, 1, NODE, wire.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&api).await?;
        node.make("/streams", &stream()).await?;
        node.make("/rules", &to_cloud()).await?;
        let (stop, stopped) = watch::channel(false);
        let writer = tokio::spawn(write_objects(api.clone(), stopped));
        let begun = Instant::now();
        let mut replay = Replay::start(&site, &node, &readings, RATE)?;
        let cuts = havoc(&mut cloud, &mut node, &wire).await?;
        let chaos = begun.elapsed();
        let totals = replay.finish(Duration::from_secs(240)).await?;
        anyhow::ensure!(
            totals.sent == readings.rows && totals.acknowledged == readings.rows,
            "{} rows, {totals:?}",
            readings.rows
        );
        cloud.ready().await?;
        eventually("all readings in the cloud store", PATIENCE * 2, async || {
            Ok((cloud.stored(NODE, "machine")? >= readings.rows).then_some(()))
        })
        .await?;
        // Long enough for one too many to arrive.
        sleep(Duration::from_secs(1)).await;
        each_once(&cloud, readings.rows)?;
        stop.send_replace(true);
        let written = writer.await??;
        objects_are_there(&api, &written).await?;
        say(format!(
            "{KILLS} kills and {cuts} cuts in {:.0} s: {} readings sent, {} of them again; stored {}, lost 0, duplicated 0; \
             {} objects acknowledged and there; all done after {:.0} s",
            chaos.as_secs_f64(),
            totals.sent,
            totals.resent,
            readings.rows,
            written.names.len(),
            begun.elapsed().as_secs_f64()
        ));
        Ok(())
    });
}

/// Kills server and agent at random moments, also while they start, and cuts the link in between. Returns the cuts.
async fn havoc(cloud: &mut Cloud, node: &mut Node, wire: &Wire) -> anyhow::Result<usize> {
    let seed = std::env::var("SCENARIO_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random());
    say(format!("SCENARIO_SEED={seed} repeats these moments"));
    let mut random = StdRng::seed_from_u64(seed);
    let mut cuts = 0;
    for _ in 0..KILLS {
        if random.random_bool(0.4) {
            wire.set(if random.random_bool(0.5) { Mood::Blackhole } else { Mood::Reset });
            cuts += 1;
        }
        sleep(Duration::from_millis(random.random_range(20..2_500))).await;
        let pause = Duration::from_millis(random.random_range(0..400));
        if random.random_bool(0.5) {
            cloud.process()?.check()?;
            cloud.kill()?;
            sleep(pause).await;
            cloud.launch()?;
        } else {
            node.process()?.check()?;
            node.kill()?;
            sleep(pause).await;
            node.launch(None)?;
        }
        // A cut outlives the kill it surrounds, half of the time.
        if random.random_bool(0.5) {
            wire.set(Mood::Pass);
        }
    }
    wire.set(Mood::Pass);
    Ok(cuts)
}

/// Every reading's sequence once, from 1 (or 0) without a gap.
fn each_once(cloud: &Cloud, rows: u64) -> anyhow::Result<()> {
    let stored = cloud.readings(&["--node", NODE, "--stream", "machine", "--limit", "1000000"])?;
    let mut sequences = BTreeSet::new();
    for reading in &stored {
        let payload: Value = serde_json::from_str(reading["payload"].as_str().unwrap_or_default())?;
        let sequence = payload["seq"].as_u64();
        anyhow::ensure!(payload["temperature"].is_number(), "a reading without its value: {payload}");
        sequences.insert(sequence.ok_or_else(|| anyhow::anyhow!("a reading without its sequence: {payload}"))?);
    }
    let (total, distinct) = (stored.len() as u64, sequences.len() as u64);
    let span = sequences.last().zip(sequences.first()).map_or(0, |(last, first)| last - first + 1);
    anyhow::ensure!(
        total == rows && distinct == rows && span == rows,
        "{rows} sent, {total} stored, {distinct} of them different, over a span of {span}: lost {}, duplicated {}",
        rows.saturating_sub(distinct),
        total - distinct
    );
    Ok(())
}

/// What the API acknowledged.
#[derive(Default)]
struct Written {
    names: Vec<String>,
    /// The last acknowledged value of an object that changes all the time.
    counter: u64,
}

/// Creates one object after the other and changes another one, and repeats what failed.
async fn write_objects(api: Api, stopped: watch::Receiver<bool>) -> anyhow::Result<Written> {
    let mut written = Written::default();
    let mut number = 0_u64;
    while !*stopped.borrow() {
        sleep(Duration::from_millis(40)).await;
        let name = if number == 0 { "counter".to_owned() } else { format!("note-{number}") };
        let object = json!({"metadata": {"name": name}, "data": {"number": number.to_string()}});
        let object = object.to_string().into_bytes();
        let made = api.call(http::Method::POST, CONFIG_MAPS, "application/json", object).await;
        match made {
            // A conflict: the try before this one did arrive, only its answer was lost.
            Ok((201 | 409, _)) => written.names.push(name),
            // Killed, or not up yet; everything else is a wrong answer.
            Err(_) | Ok((500..600, _)) => continue,
            Ok((status, answer)) => anyhow::bail!("{name}: {status}: {answer}"),
        }
        let patch = json!({"data": {"number": number.to_string()}});
        if api.merge(&format!("{CONFIG_MAPS}/counter"), &patch).await.is_ok() {
            written.counter = number;
        }
        number += 1;
    }
    Ok(written)
}

async fn objects_are_there(api: &Api, written: &Written) -> anyhow::Result<()> {
    let list = api.list(CONFIG_MAPS).await?;
    let number = |name: &str| {
        let found = list.iter().find(|object| object["metadata"]["name"] == *name)?;
        found["data"]["number"].as_str()?.parse::<u64>().ok()
    };
    for name in &written.names {
        let wanted = name.strip_prefix("note-").and_then(|number| number.parse().ok());
        let there = number(name);
        anyhow::ensure!(there.is_some() && (wanted.is_none() || there == wanted), "object {name} is lost: {there:?}");
    }
    let counter = number("counter").unwrap_or(0);
    anyhow::ensure!(counter >= written.counter, "a change is lost: {} acknowledged, {counter} there", written.counter);
    Ok(())
}

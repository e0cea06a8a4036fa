//! A full disk: writes are refused in the client's own form, everything else goes on, and with space again all is there.

use std::time::Duration;

use edgeward_tests::disk::Disk;
use edgeward_tests::mqtt::Mqtt;
use edgeward_tests::{Cloud, Mood, Node, PATIENCE, Wire, eventually, machine, say, scenario};
use http::Method;
use serde_json::json;
use tokio::time::timeout;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MOST: usize = 500;

fn left_out(what: &str) -> bool {
    if !machine::is_root() {
        say(format!("\n=== NOT ROOT: no disk can be made, {what} is left out ===\n"));
    }
    !machine::is_root()
}

#[test]
fn a_full_disk_in_the_cloud_loses_no_object() {
    scenario("full-disk", async |site| {
        if left_out("a full disk in the cloud") {
            return Ok(());
        }
        let disk = Disk::mount(&site.dir().join("cloud"), 24)?;
        let mut cloud = Cloud::start(&site).await?;
        let api = cloud.api().await?;
        let large = "x".repeat(400_000);
        let body = |number: usize| {
            let object = json!({"metadata": {"name": format!("large-{number}")}, "data": {"text": large}});
            object.to_string().into_bytes()
        };
        let mut acknowledged = 0;
        let refusal = loop {
            let (status, answer) = api.call(Method::POST, CONFIG_MAPS, "application/json", body(acknowledged)).await?;
            if status != 201 {
                break (status, answer);
            }
            acknowledged += 1;
            anyhow::ensure!(acknowledged < MOST, "the disk never fills up");
        };
        let (status, answer) = refusal;
        anyhow::ensure!((500..600).contains(&status) && answer["kind"] == "Status", "{status}: {answer}");
        say(format!("{acknowledged} objects, then {status}: {}", answer["message"]));
        anyhow::ensure!(
            answer["message"].as_str().is_some_and(|text| text.contains("disk") || text.contains("space")),
            "{answer}"
        );
        anyhow::ensure!(api.list(CONFIG_MAPS).await?.len() >= acknowledged, "reads fail, too");
        cloud.process()?.check()?;
        disk.grow(64)?;
        eventually("writes working again", PATIENCE, async || {
            let (status, _) = api.call(Method::POST, CONFIG_MAPS, "application/json", body(acknowledged)).await?;
            Ok((status == 201 || status == 409).then_some(()))
        })
        .await?;
        cloud.kill()?;
        cloud.launch()?;
        cloud.ready().await?;
        let there = cloud.api().await?.list(CONFIG_MAPS).await?;
        for number in 0..=acknowledged {
            let name = format!("large-{number}");
            anyhow::ensure!(there.iter().any(|object| object["metadata"]["name"] == *name), "{name} is lost");
        }
        anyhow::ensure!(!cloud.process()?.said().contains("panicked"), "the server panicked");
        drop(disk);
        Ok(())
    });
}

#[test]
fn a_full_disk_at_the_edge_loses_no_reading() {
    scenario("full-disk-edge", async |site| {
        if left_out("a full disk at the edge") {
            return Ok(());
        }
        let wire = Wire::start(&site).await?;
        let cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "small", wire.address());
        let disk = Disk::mount(&node.dir(), 24)?;
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        let stream =
            r#"CREATE STREAM blobs (n BIGINT, text STRING) WITH (DATASOURCE="blobs", FORMAT="json", TYPE="mqtt")"#;
        node.make("/streams", &json!({"sql": stream})).await?;
        let sink = json!({"cloud": {"stream": "blobs", "sendSingle": true, "identity": ["n"]}});
        let rule = json!({"id": "up", "sql": "SELECT * FROM blobs", "actions": [sink], "options": {"qos": 1}});
        node.make("/rules", &rule).await?;
        wire.set(Mood::Blackhole);
        let sensor = Mqtt::open(node.mqtt())?;
        let text = "x".repeat(100_000);
        let mut acknowledged = 0_u64;
        loop {
            let message = json!({"n": acknowledged, "text": text}).to_string();
            // A reading that cannot be kept is not acknowledged.
            match timeout(Duration::from_secs(4), sensor.publish("blobs", message)).await {
                Ok(Ok(())) => acknowledged += 1,
                Ok(Err(_)) | Err(_) => break,
            }
            anyhow::ensure!(acknowledged < MOST as u64, "the disk never fills up");
        }
        drop(sensor);
        node.process()?.check()?;
        say(format!("{acknowledged} readings of 100 kB acknowledged, then none"));
        disk.grow(64)?;
        wire.set(Mood::Pass);
        eventually("all acknowledged readings in the cloud store", PATIENCE * 2, async || {
            node.process()?.check()?;
            let stored = cloud.readings(&["--node", "small", "--stream", "blobs", "--limit", "1000"])?;
            let number = |text: &str| text.strip_prefix(r#"{"n":"#)?.split(',').next()?.parse::<u64>().ok();
            let mut all: Vec<_> = stored.iter().filter_map(|one| number(one["payload"].as_str()?)).collect();
            all.sort_unstable();
            let before = all.len();
            all.dedup();
            anyhow::ensure!(all.len() == before, "readings are stored twice");
            Ok((0..acknowledged).all(|number| all.binary_search(&number).is_ok()).then_some(()))
        })
        .await?;
        let sensor = Mqtt::open(node.mqtt())?;
        sensor.publish("blobs", json!({"n": 9_999, "text": "small"}).to_string()).await?;
        anyhow::ensure!(!node.process()?.said().contains("panicked"), "the agent panicked");
        drop(disk);
        Ok(())
    });
}

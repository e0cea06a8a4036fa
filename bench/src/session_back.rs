//! From the heal of a silent cut to the session being back.

use std::time::{Duration, Instant};

use edgeward_tests::api::condition;
use edgeward_tests::site::on_a_site;
use edgeward_tests::{Cloud, Mood, Node, PATIENCE, Wire};
use tokio::time::sleep;

use crate::figure::{Figure, median, percentile};

/// Seconds of the cuts: shorter and longer than it takes both ends to notice.
const CUTS: [u64; 3] = [10, 25, 45];

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    on_a_site("bench-session", async |site| {
        let wire = Wire::start(&site).await?;
        let cloud = Cloud::start(&site).await?;
        let api = cloud.api().await?;
        let mut node = Node::new(&site, 1, "bench", wire.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&api).await?;
        let mut times = Vec::new();
        for seconds in CUTS {
            wire.set(Mood::Blackhole);
            sleep(Duration::from_secs(seconds)).await;
            let missed = !condition(&api.get("/api/v1/nodes/bench").await?, "Ready");
            anyhow::ensure!(missed, "the cloud did not miss the node");
            let healed = Instant::now();
            wire.set(Mood::Pass);
            while !condition(&api.get("/api/v1/nodes/bench").await?, "Ready") {
                anyhow::ensure!(healed.elapsed() < PATIENCE * 2, "the node does not come back");
                sleep(Duration::from_millis(5)).await;
            }
            times.push(healed.elapsed().as_secs_f64());
        }
        Ok(vec![
            Figure::new("session back after a cut, median", median(&mut times), "s").aim("< 5").peer(62.0, "KubeEdge"),
            Figure::new("session back after a cut, slowest", percentile(&mut times, 1.0), "s")
                .aim("< 5")
                .peer(68.0, "KubeEdge"),
        ])
    })
}

//! From the creation of a pod of one container to its readiness, the image being there.

use std::pin::pin;
use std::time::Instant;

use edgeward_tests::api::condition;
use edgeward_tests::site::{alone, on_a_site};
use edgeward_tests::{Api, Cable, Cloud, Node, PATIENCE, images, machine, say};
use futures::StreamExt as _;
use kube::core::WatchEvent;
use serde_json::{Value, json};

use crate::figure::{Figure, median, milliseconds, percentile};

const ROUNDS: usize = 20;
const IMAGE: &str = "edgeward.dev/bench/worker:1";
const PODS: &str = "/api/v1/namespaces/default/pods";

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    if !machine::has_containers() {
        say("no root or no containerd: apply to Ready is left out");
        return Ok(Vec::new());
    }
    on_a_site("bench-pods", async |site| {
        let _alone = alone("containers").await?;
        let cable = Cable::new(&site)?;
        let mut cloud = Cloud::behind(&site, &cable);
        cloud.launch()?;
        cloud.ready().await?;
        let archives = site.dir().join("images");
        images::write(&archives, &[IMAGE])?;
        let mut node = Node::with_pods(&site, "bench-pods", cable);
        node.flags.push(format!("--images={}", archives.display()));
        node.launch(Some(&cloud.token()?))?;
        let api = cloud.api().await?;
        node.ready(&api).await?;
        // The first sandbox also brings the pod network about.
        ready(&api, "warm-up").await?;
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let name = format!("pod-{round}");
            times.push(ready(&api, &name).await?);
            api.delete(&format!("{PODS}/{name}?gracePeriodSeconds=0")).await?;
        }
        node.stop().await?;
        Ok(vec![
            Figure::new("pod: apply to Ready, median of 20", median(&mut times), "ms")
                .aim("<= 600")
                .peer(1_000.0, "KubeEdge"),
            Figure::new("pod: apply to Ready, slowest of 20", percentile(&mut times, 1.0), "ms"),
        ])
    })
}

async fn ready(api: &Api, name: &str) -> anyhow::Result<f64> {
    let path = format!("{PODS}?watch=1&fieldSelector=metadata.name%3D{name}");
    let request = http::Request::get(path).body(Vec::new())?;
    let mut events = pin!(api.client().request_events::<Value>(request).await?);
    let container = json!({"name": "worker", "image": IMAGE});
    let spec = json!({"terminationGracePeriodSeconds": 0, "containers": [container]});
    let begun = Instant::now();
    api.create(PODS, &json!({"metadata": {"name": name}, "spec": spec})).await?;
    let seen = async {
        while let Some(event) = events.next().await {
            if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event?
                && condition(&pod, "Ready")
            {
                return Ok(milliseconds(begun.elapsed()));
            }
        }
        anyhow::bail!("the watch ended")
    };
    tokio::time::timeout(PATIENCE, seen).await?
}

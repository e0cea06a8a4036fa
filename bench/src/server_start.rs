//! From the start of the server to its readiness, and its memory with the lab applied.

use std::time::{Duration, Instant};

use edgeward_tests::site::on_a_site;
use edgeward_tests::{Cloud, PATIENCE, eventually, machine};
use http::Method;
use tokio::time::sleep;

use crate::figure::{Figure, median, megabytes, milliseconds};

const ROUNDS: usize = 5;

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    on_a_site("bench-server", async |site| {
        let (mut first, mut again) = (Vec::new(), Vec::new());
        let mut cloud = Cloud::new(&site);
        for _ in 0..ROUNDS {
            first.push(start(&mut cloud).await?);
            cloud.stop().await?;
            again.push(start(&mut cloud).await?);
            cloud.stop().await?;
            std::fs::remove_dir_all(cloud.dir())?;
        }
        start(&mut cloud).await?;
        let mut applied = "empty";
        if let (Some(lab), Some(kubectl)) = (machine::shared("lab", "the lab"), cloud.kubectls().pop()) {
            kubectl.run(&["apply", "-f", &lab.display().to_string()])?;
            applied = "lab applied";
            let api = cloud.api().await?;
            eventually("the lab's deployments", PATIENCE, async || {
                Ok((api.list("/api/v1/pods").await?.len() >= 3).then_some(()))
            })
            .await?;
        }
        sleep(Duration::from_secs(2)).await;
        let memory = megabytes(cloud.process()?.resident_bytes()?);
        Ok(vec![
            Figure::new("server: first start to ready", median(&mut first), "ms")
                .aim("< 500")
                .peer(4_200.0, "kube-apiserver"),
            Figure::new("server: start to ready again", median(&mut again), "ms")
                .aim("< 500")
                .peer(2_200.0, "kube-apiserver"),
            Figure::new(&format!("server: RSS, {applied}"), memory, "MB")
                .aim("< 60")
                .peer(500.0, "Kubernetes, all parts"),
        ])
    })
}

async fn start(cloud: &mut Cloud) -> anyhow::Result<f64> {
    // The kubeconfig of the last start would let us in before this one has written its own; that is the same access.
    let begun = Instant::now();
    cloud.launch()?;
    loop {
        let ready = async {
            let api = cloud.api().await?;
            anyhow::Ok(api.call(Method::GET, "/readyz", "", Vec::new()).await?.0 == 200)
        };
        if ready.await.unwrap_or(false) {
            return Ok(milliseconds(begun.elapsed()));
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "the server does not get ready");
        sleep(Duration::from_millis(2)).await;
    }
}

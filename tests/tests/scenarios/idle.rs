//! Nothing polls: programs that have nothing to do use next to no processor.

use std::time::{Duration, Instant};

use edgeward_tests::{Cloud, Node, Process, say, scenario};
use tokio::time::sleep;

const SECONDS: u64 = 10;
/// The task is under 1 % of a core in a release build; this one is not optimised.
const MAX_PERCENT: f64 = 5.0;

#[test]
fn both_programs_idle() {
    scenario("idle", async |site| {
        let mut cloud = Cloud::with(&site, &[]);
        cloud.launch()?;
        cloud.ready().await?;
        let mut node = Node::new(&site, 1, "quiet", cloud.address());
        // The defaults, as people run it.
        node.flags = vec!["--disable-pods".to_owned()];
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        // What a start leaves to do.
        sleep(Duration::from_secs(5)).await;
        let (server, agent) = tokio::join!(percent(cloud.process()?), percent(node.process()?));
        let (server, agent) = (server?, agent?);
        say(format!("idle for {SECONDS} s: server {server:.2} %, agent {agent:.2} % of a core (debug build)"));
        anyhow::ensure!(server < MAX_PERCENT && agent < MAX_PERCENT, "server {server:.2} %, agent {agent:.2} %");
        Ok(())
    });
}

async fn percent(process: &Process) -> anyhow::Result<f64> {
    let (begun, before) = (Instant::now(), process.cpu_time()?);
    sleep(Duration::from_secs(SECONDS)).await;
    Ok((process.cpu_time()? - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0)
}

//! Processor time of programs that have nothing to do.

use std::time::Duration;

use edgeward_tests::site::on_a_site;
use edgeward_tests::{Cloud, Node};
use tokio::time::sleep;

use crate::figure::{Figure, megabytes};

const SECONDS: u64 = 30;

pub(crate) fn measure() -> anyhow::Result<Vec<Figure>> {
    on_a_site("bench-idle", async |site| {
        let mut cloud = Cloud::with(&site, &[]);
        cloud.launch()?;
        cloud.ready().await?;
        let mut node = Node::new(&site, 1, "bench", cloud.address());
        node.flags = vec!["--disable-pods".to_owned()];
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        sleep(Duration::from_secs(5)).await;
        let before = (cloud.process()?.cpu_time()?, node.process()?.cpu_time()?);
        sleep(Duration::from_secs(SECONDS)).await;
        let percent = |now: Duration, before: Duration| (now - before).as_secs_f64() / SECONDS as f64 * 100.0;
        let server = percent(cloud.process()?.cpu_time()?, before.0);
        let agent = percent(node.process()?.cpu_time()?, before.1);
        let (server_memory, agent_memory) =
            (megabytes(cloud.process()?.resident_bytes()?), megabytes(node.process()?.resident_bytes()?));
        Ok(vec![
            Figure::new("server: idle processor", server, "% of a core").aim("< 1"),
            Figure::new("agent: idle processor", agent, "% of a core").aim("< 1"),
            Figure::new("server: idle RSS, one node", server_memory, "MB").peer(86.0, "cloudcore alone"),
            Figure::new("agent: idle RSS", agent_memory, "MB").peer(87.0, "edgecore"),
        ])
    })
}

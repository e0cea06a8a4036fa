//! How long a pod takes from apply to Ready; printed, not asserted: machines differ.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::{TestNode, can_run_containers, script};

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "a measurement for people")]
async fn apply_to_ready() {
    if !can_run_containers() {
        return;
    }
    let node = TestNode::start("t-speed", 10).await;
    let mut times: Vec<Duration> = Vec::new();
    for round in 0..10 {
        let name = format!("pod-{round}");
        let begun = Instant::now();
        node.api.apply(script(&name, "exec sleep 1000"));
        node.wait_ready(&name).await;
        times.push(begun.elapsed());
        node.api.delete(&name, 0);
        node.wait_deleted(&name).await;
    }
    times.sort();
    eprintln!("apply to Ready: median {:?}, best {:?}, worst {:?}", times[5], times[0], times[9]);
    node.finish().await;
}

//! Pods on real containerd: the usual course of things.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use common::{BUSYBOX, TestNode, can_run_containers, container, pod, script};
use edgeward_pods::LogOptions;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_logs_and_goes() {
    if !can_run_containers() {
        return;
    }
    let node = TestNode::start("t-run", 1).await;
    node.api.apply(script("hello", "echo hello; exec sleep 1000"));
    let status = node.wait_ready("hello").await;
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert!(status.pod_ip.unwrap().starts_with("10.88.1."));
    assert_eq!(node.log("hello", LogOptions::default()).await, "hello\n");
    node.api.delete("hello", 1);
    node.wait_deleted("hello").await;
    node.finish().await;
}

//! Probes, hooks and logs on real containerd.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::time::Duration;

use common::{BUSYBOX, TestNode, can_run_containers, container, is_ready, pod, script};
use edgeward_pods::LogOptions;
use futures::StreamExt;
use serde_json::{Value, json};

fn probed(name: &str, text: &str, probes: Value) -> k8s_openapi::api::core::v1::Pod {
    let mut main = json!({ "name": "main", "image": BUSYBOX, "command": ["/bin/sh", "-c", text] });
    probes.as_object().unwrap().iter().for_each(|(key, value)| main[key] = value.clone());
    pod(name, json!({ "terminationGracePeriodSeconds": 0, "containers": [main] }))
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_hooks() {
    if !can_run_containers() {
        return;
    }
    let node = TestNode::start("t-probe", 6).await;
    let exec = |command: &str| json!({ "exec": { "command": ["/bin/sh", "-c", command] }, "periodSeconds": 1, "failureThreshold": 1 });
    // Ready while the file is there.
    let flag = node.path().join("flag");
    let mut ready = probed("ready", "exec sleep 1000", json!({ "readinessProbe": exec("test -e /flag/on") }));
    common::mount_host_path(&mut ready, "/flag", &flag);
    node.api.apply(ready);
    node.wait_for("ready", "running but not ready", |s| {
        container(s).state.is_some_and(|s| s.running.is_some()) && !is_ready(s)
    })
    .await;
    assert!(node.wait_event("ready", "Unhealthy").await.starts_with("Readiness probe failed: "));
    std::fs::write(flag.join("on"), "").unwrap();
    node.wait_ready("ready").await;
    std::fs::remove_file(flag.join("on")).unwrap();
    let status = node.wait_for("ready", "not ready", |s| !is_ready(s)).await;
    assert_eq!(container(&status).restart_count, 0);

    node.api.apply(probed("dead", "exec sleep 1000", json!({ "livenessProbe": exec("echo why; exit 1") })));
    node.wait_for("dead", "restarted", |s| container(s).restart_count >= 1).await;
    assert!(node.wait_event("dead", "Killing").await.ends_with("failed liveness probe, will be restarted"));
    assert!(node.wait_event("dead", "Unhealthy").await.starts_with("Liveness probe failed: why"));

    let tcp = json!({ "tcpSocket": { "port": 9999 }, "periodSeconds": 1, "failureThreshold": 30 });
    let slow = json!({ "startupProbe": tcp, "livenessProbe": exec("test -e /tmp/started") });
    node.api.apply(probed("slow", "sleep 2; echo > /tmp/started; exec httpd -f -p 9999", slow));
    let status = node.wait_ready("slow").await;
    assert_eq!((container(&status).restart_count, container(&status).started), (0, Some(true)));

    let mark = node.path().join("mark");
    let hooks = json!({ "lifecycle": {
        "postStart": { "exec": { "command": ["/bin/sh", "-c", "echo started > /mark/start"] } },
        "preStop": { "exec": { "command": ["/bin/sh", "-c", "echo stopped > /mark/stop"] } } } });
    let mut hooked = probed("hooked", "exec sleep 1000", hooks);
    common::mount_host_path(&mut hooked, "/mark", &mark);
    node.api.apply(hooked);
    node.wait_ready("hooked").await;
    assert_eq!(std::fs::read_to_string(mark.join("start")).unwrap(), "started\n");
    node.api.delete("hooked", 5);
    node.wait_deleted("hooked").await;
    assert_eq!(std::fs::read_to_string(mark.join("stop")).unwrap(), "stopped\n");
    node.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_followed_and_rotated() {
    if !can_run_containers() {
        return;
    }
    let node = TestNode::start_with("t-log", 7, |options| {
        options.log_max_bytes = 20_000;
        options.log_max_files = 2;
    })
    .await;
    let gate = node.path().join("gate");
    let text = "for i in 1 2 3 4 5; do echo line $i; done; until test -e /gate/go; do sleep 0.1; done; echo last";
    let mut slow = script("slow", text);
    slow.spec.as_mut().unwrap().restart_policy = Some("Never".into());
    common::mount_host_path(&mut slow, "/gate", &gate);
    node.api.apply(slow);
    node.wait_ready("slow").await;
    while !node.log("slow", LogOptions::default()).await.ends_with("line 5\n") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Followed from the second last line on, to the container's end.
    let options = LogOptions { follow: true, tail: Some(2), ..LogOptions::default() };
    let mut followed = node.handle.logs("default", "slow", "main", options).await.unwrap();
    let first = followed.next().await.unwrap().unwrap();
    assert_eq!(first, "line 4\nline 5\n");
    std::fs::write(gate.join("go"), "").unwrap();
    let rest: Vec<_> = followed.collect().await;
    assert_eq!(rest.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect::<Vec<_>>(), b"last\n");
    let cases = [
        (LogOptions { tail: Some(1), ..LogOptions::default() }, "last\n"),
        (LogOptions { tail: Some(0), ..LogOptions::default() }, ""),
        (LogOptions { limit_bytes: Some(8), ..LogOptions::default() }, "line 1\nl"),
        (LogOptions { since: Some(i64::MAX), ..LogOptions::default() }, ""),
    ];
    for (options, expected) in cases {
        assert_eq!(node.log("slow", options.clone()).await, expected, "{options:?}");
    }
    let stamped = node.log("slow", LogOptions { timestamps: true, tail: Some(1), ..LogOptions::default() }).await;
    assert!(stamped.starts_with("20") && stamped.ends_with("Z last\n") || stamped.ends_with(" last\n"), "{stamped}");
    let missing = node.handle.logs("default", "nobody", "", LogOptions::default()).await;
    assert!(missing.is_err());

    // Two rotations later two files are left, the newest lines are there, and a follower missed none.
    node.api.apply(script("chatty", "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo number $i; [ $((i%1000)) = 0 ] && sleep 6; done; exec sleep 1000"));
    node.wait_ready("chatty").await;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut followed = node.handle.logs("default", "chatty", "", options).await.unwrap();
    let mut text = String::new();
    while !text.ends_with("number 4000\n") {
        let piece = tokio::time::timeout(Duration::from_secs(60), followed.next()).await;
        text.push_str(std::str::from_utf8(&piece.unwrap().unwrap().unwrap()).unwrap());
    }
    let expected: String = (1..=4000).map(|i| format!("number {i}\n")).collect();
    assert_eq!(text, expected);
    let folder = node.options.log_dir.join("default_chatty_uid-chatty/main");
    while std::fs::read_dir(&folder).unwrap().count() != 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let tail = node.log("chatty", LogOptions { tail: Some(1001), ..LogOptions::default() }).await;
    assert!(tail.starts_with("number 3000\n") && tail.ends_with("number 4000\n"), "{}", tail.len());
    node.finish().await;
}

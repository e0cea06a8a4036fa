//! Pods on real containerd: the usual course of things, and the usual mishaps.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use common::{BUSYBOX, TestNode, can_run_containers, container, is_ready, pod, script};
use edgeward_pods::LogOptions;
use k8s_openapi::api::core::v1::PodStatus;
use serde_json::json;

/// Waiting reason of the first container.
fn waiting(status: &PodStatus) -> Option<String> {
    container(status).state?.waiting?.reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_logs_and_goes() {
    if !can_run_containers() {
        return;
    }
    let node = TestNode::start("t-run", 1).await;
    node.api.apply(script("hello", "echo hello; echo oops >&2; exec sleep 1000"));
    let status = node.wait_ready("hello").await;
    assert_eq!((status.phase.as_deref(), status.qos_class.as_deref()), (Some("Running"), Some("BestEffort")));
    assert_eq!(status.host_ip.as_deref(), Some("127.0.0.1"));
    assert!(status.pod_ip.unwrap().starts_with("10.88.1."));
    let first = container(&container_status(&node, "hello"));
    assert!(first.container_id.unwrap().starts_with("containerd://") && first.image_id.contains("sha256:"));
    let conditions: Vec<String> = status
        .conditions
        .unwrap()
        .iter()
        .map(|condition| format!("{}={}", condition.type_, condition.status))
        .collect();
    assert_eq!(
        conditions,
        [
            "PodReadyToStartContainers=True",
            "Initialized=True",
            "Ready=True",
            "ContainersReady=True",
            "PodScheduled=True"
        ]
    );
    assert_eq!(node.log_lines("hello", "", 2).await, ["hello", "oops"]);
    for reason in ["Pulled", "Created", "Started"] {
        assert!(node.api.has_event("hello", reason), "{reason}: {:?}", node.api.event_texts("hello"));
    }
    node.api.delete("hello", 1);
    node.wait_deleted("hello").await;
    assert!(node.api.has_event("hello", "Killing"));
    assert_eq!(std::fs::read_dir(&node.options.log_dir).unwrap().count(), 0, "logs are removed with the pod");
    assert_eq!(std::fs::read_dir(node.options.data_dir.join("pods")).unwrap().count(), 0);
    // A pod whose object vanished is removed too, without a confirmation.
    node.api.apply(script("forced", "exec sleep 1000"));
    node.wait_ready("forced").await;
    node.api.delete_by_force("forced");
    let pods = node.options.data_dir.join("pods");
    while std::fs::read_dir(&pods).unwrap().count() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    node.finish().await;
}

fn container_status(node: &TestNode, name: &str) -> PodStatus {
    node.api.status(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_end_and_are_started_again() {
    if !can_run_containers() {
        return;
    }
    let node = TestNode::start("t-end", 2).await;
    node.api.apply(script("crash", "echo run; echo last words > /dev/termination-log; exit 3"));
    let ended = node.wait_for("crash", "CrashLoopBackOff", |s| waiting(s).as_deref() == Some("CrashLoopBackOff")).await;
    let last = container(&ended).last_state.unwrap().terminated.unwrap();
    assert_eq!(
        (last.exit_code, last.reason.as_deref(), last.message.as_deref()),
        (3, Some("Error"), Some("last words\n"))
    );
    assert!(
        node.wait_event("crash", "BackOff")
            .await
            .starts_with("Back-off restarting failed container main in pod crash_default")
    );
    node.wait_for("crash", "restarted twice", |s| container(s).restart_count >= 2).await;
    let previous = node.log("crash", LogOptions { previous: true, ..LogOptions::default() }).await;
    assert_eq!(previous, "run\n");

    let with_policy = |name: &str, policy: &str, text: &str| {
        let mut pod = script(name, text);
        pod.spec.as_mut().unwrap().restart_policy = Some(policy.into());
        pod
    };
    node.api.apply(with_policy("once", "Never", "exit 0"));
    node.api.apply(with_policy("fails", "Never", "exit 1"));
    // The host folder outlives the container: the second run sees what the first left.
    let mark = node.path().join("mark");
    let mut again = with_policy("again", "OnFailure", "test -e /mark/x && exit 0; echo > /mark/x; exit 1");
    common::mount_host_path(&mut again, "/mark", &mark);
    node.api.apply(again);
    node.wait_for("once", "Succeeded", |s| s.phase.as_deref() == Some("Succeeded")).await;
    node.wait_for("fails", "Failed", |s| s.phase.as_deref() == Some("Failed")).await;
    let status = node.wait_for("again", "Succeeded", |s| s.phase.as_deref() == Some("Succeeded")).await;
    assert_eq!(container(&status).restart_count, 1);

    // Init containers, one after the other, then the containers; a side car beside them.
    let spec = json!({
        "terminationGracePeriodSeconds": 1,
        "initContainers": [
            { "name": "one", "image": BUSYBOX, "command": ["/bin/sh", "-c", "echo 1 >> /shared/order"], "volumeMounts": [{ "name": "v", "mountPath": "/shared" }] },
            { "name": "car", "image": BUSYBOX, "restartPolicy": "Always", "command": ["/bin/sh", "-c", "echo car >> /shared/order; exec sleep 1000"], "volumeMounts": [{ "name": "v", "mountPath": "/shared" }] },
            { "name": "two", "image": BUSYBOX, "command": ["/bin/sh", "-c", "while ! grep -q car /shared/order; do :; done; echo 2 >> /shared/order"], "volumeMounts": [{ "name": "v", "mountPath": "/shared" }] },
        ],
        "containers": [{ "name": "main", "image": BUSYBOX, "command": ["/bin/sh", "-c", "cat /shared/order; exec sleep 1000"], "volumeMounts": [{ "name": "v", "mountPath": "/shared" }] }],
        "volumes": [{ "name": "v", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } }],
    });
    node.api.apply(pod("init", spec));
    let status = node.wait_ready("init").await;
    let inits = status.init_container_statuses.unwrap();
    assert!(
        inits[0].state.as_ref().unwrap().terminated.is_some() && inits[1].state.as_ref().unwrap().running.is_some()
    );
    assert_eq!(node.log_lines("init", "main", 3).await, ["1", "2", "car"]);

    // Another image: that container is made anew.
    let second = "registry.invalid/test/second:1";
    node.import(second).await;
    node.api.apply(script("change", "exec sleep 1000"));
    node.wait_ready("change").await;
    let mut changed = script("change", "exec sleep 1000");
    changed.spec.as_mut().unwrap().containers[0].image = Some(second.into());
    node.api.apply(changed);
    node.wait_for("change", "restarted", |s| is_ready(s) && container(s).restart_count == 1).await;
    assert!(node.wait_event("change", "Killing").await.contains("definition changed"));

    // Memory beyond the limit.
    let spec = json!({ "restartPolicy": "Never", "containers": [{ "name": "main", "image": BUSYBOX,
        "command": ["/bin/sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M"], "resources": { "limits": { "memory": "16Mi" } } }] });
    node.api.apply(pod("hungry", spec));
    let status = node.wait_for("hungry", "Failed", |s| s.phase.as_deref() == Some("Failed")).await;
    let ended = container(&status).state.unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (137, Some("OOMKilled")));
    node.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_are_present_are_used_and_others_are_waited_for() {
    if !can_run_containers() {
        return;
    }
    // An archive that is none is reported and left out.
    let node = TestNode::start_with("t-img", 3, |options| {
        let folder = options.images_dir.clone().unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("broken.tar"), "no archive").unwrap();
    })
    .await;
    // The tag is `latest`: policy Always. The registry's name does not resolve.
    let plain = |name: &str, image: &str, policy: Option<&str>| {
        let mut container = json!({ "name": "main", "image": image, "command": ["/bin/sleep", "1000"] });
        if let Some(policy) = policy {
            container["imagePullPolicy"] = json!(policy);
        }
        pod(name, json!({ "terminationGracePeriodSeconds": 0, "containers": [container] }))
    };
    node.api.apply(plain("always", BUSYBOX, None));
    node.wait_ready("always").await;
    let text = node.wait_event("always", "RegistryUnreachable").await;
    assert!(text.contains(BUSYBOX) && text.contains("registry.invalid"), "{text}");
    let cases = [
        ("missing", "registry.invalid/no/such:1", None, "ErrImagePull"),
        ("backoff", "registry.invalid/no/such:2", None, "ImagePullBackOff"),
        ("never", "registry.invalid/no/such:3", Some("Never"), "ErrImageNeverPull"),
        ("bad", "Bad Image", None, "InvalidImageName"),
    ];
    for (name, image, policy, expected) in cases {
        node.api.apply(plain(name, image, policy));
        let status = node.wait_for(name, expected, |s| waiting(s).as_deref() == Some(expected)).await;
        assert_eq!(status.phase.as_deref(), Some("Pending"), "{name}");
    }
    // It comes up once the image is there.
    node.import("registry.invalid/no/such:3").await;
    node.wait_ready("never").await;
    // A pod that waits for its image ends at once.
    node.api.delete("missing", 30);
    node.wait_deleted("missing").await;
    node.finish().await;
}

#[tokio::test]
async fn what_is_missing_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    type Change = fn(&mut edgeward_pods::Options);
    let cases: [(Change, &str); 4] = [
        (
            |options| options.containerd.program = "/nonexistent/containerd".into(),
            "/nonexistent/containerd is not installed: on Debian run `apt-get install",
        ),
        (|options| options.network.cni_bin_dirs = vec!["/nonexistent".into()], "the CNI plugin `bridge`"),
        (
            |options| options.containerd.socket = Some("/nonexistent/socket".into()),
            "containerd does not answer on /nonexistent/socket",
        ),
        (|options| options.network.bridge = "a-name-that-is-too-long".into(), "must have 1 to 15 bytes"),
    ];
    for (change, expected) in cases {
        let mut options = edgeward_pods::Options::new("t-none", &folder.path().join("d"), &folder.path().join("r"));
        options.log_dir = folder.path().join("log");
        change(&mut options);
        let tasks = edgeward_service::Tasks::root("test");
        let error =
            edgeward_pods::Pods::start(options, common::MemoryApi::new(), &tasks).await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

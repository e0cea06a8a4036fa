//! What a container finds around itself on real containerd: environment, files, users, limits, network.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod common;

use std::os::unix::fs::MetadataExt as _;

use common::{BUSYBOX, TestNode, can_run_containers, container, pod};
use edgeward_pods::LogOptions;
use serde_json::{Value, json};

/// Runs one container to its end and returns what it printed.
async fn output(node: &TestNode, name: &str, script: &str, container: Value, spec: Value) -> String {
    let mut main =
        json!({ "name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", script] });
    merge(&mut main, container);
    let mut whole = json!({ "restartPolicy": "Never", "containers": [main] });
    merge(&mut whole, spec);
    node.api.apply(pod(name, whole));
    let done = node.wait_for(name, "over", |s| matches!(s.phase.as_deref(), Some("Succeeded" | "Failed"))).await;
    let text = node.log(name, LogOptions::default()).await;
    assert_eq!(done.phase.as_deref(), Some("Succeeded"), "{name}: {text}");
    text
}

fn merge(target: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    more.into_iter().for_each(|(key, value)| target[&key] = value);
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_and_volumes() {
    if !can_run_containers() {
        return;
    }
    let node = TestNode::start("t-env", 4).await;
    node.api.set_config_map("cm", json!({ "data": { "a": "1", "b": "two" } }));
    node.api.set_secret("s", json!({ "data": { "key": "c2VjcmV0" } }));
    let env = json!({ "env": [
        { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
        { "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
        { "name": "HOST", "valueFrom": { "fieldRef": { "fieldPath": "status.hostIP" } } },
        { "name": "A", "valueFrom": { "configMapKeyRef": { "name": "cm", "key": "a" } } },
        { "name": "S", "valueFrom": { "secretKeyRef": { "name": "s", "key": "key" } } },
        { "name": "BOTH", "value": "$(A)-$(NODE)" },
    ], "envFrom": [{ "prefix": "P_", "configMapRef": { "name": "cm" } }] });
    let text =
        output(&node, "env", "echo $NODE $A $S $BOTH $P_b $HOST; echo $IP; hostname; cat /etc/hosts", env, json!({}))
            .await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "t-env 1 secret 1-t-env two 127.0.0.1");
    assert!(
        lines[1].starts_with("10.88.4.") && lines[2] == "env" && text.contains(&format!("{}\tenv", lines[1])),
        "{text}"
    );

    let host = node.path().join("made/for/it");
    let volumes = json!({ "volumes": [
        { "name": "host", "hostPath": { "path": host } },
        { "name": "memory", "emptyDir": { "medium": "Memory" } },
        { "name": "disk", "emptyDir": {} },
        { "name": "cm", "configMap": { "name": "cm", "items": [{ "key": "b", "path": "sub/b", "mode": 0o400 }] } },
        { "name": "secret", "secret": { "secretName": "s" } },
        { "name": "me", "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
        { "name": "all", "projected": { "sources": [
            { "configMap": { "name": "cm" } },
            { "serviceAccountToken": { "path": "token", "expirationSeconds": 3600 } },
        ] } },
    ] });
    let mounts = json!({ "volumeMounts": [
        { "name": "host", "mountPath": "/host" },
        { "name": "host", "mountPath": "/part", "subPathExpr": "$(A)/deep" },
        { "name": "memory", "mountPath": "/memory" },
        { "name": "disk", "mountPath": "/disk", "readOnly": true },
        { "name": "cm", "mountPath": "/cm" },
        { "name": "secret", "mountPath": "/secret" },
        { "name": "me", "mountPath": "/me" },
        { "name": "all", "mountPath": "/all" },
    ], "env": [{ "name": "A", "value": "x" }] });
    let script = "cat /cm/sub/b /secret/key /me/labels /all/a /all/token; echo; echo hi > /host/file; echo ho > /part/file; \
                  grep ' /memory ' /proc/mounts; touch /disk/x || echo read-only; touch /cm/x || echo fixed";
    let text = output(&node, "volumes", script, mounts, volumes).await;
    assert!(text.starts_with("twosecretapp=\"volumes\"1token of default for volumes\n"), "{text}");
    assert!(text.contains("tmpfs /memory") && text.contains("read-only") && text.contains("fixed"), "{text}");
    assert_eq!(std::fs::read_to_string(host.join("file")).unwrap(), "hi\n");
    assert_eq!(std::fs::read_to_string(host.join("x/deep/file")).unwrap(), "ho\n");

    // A missing ConfigMap holds the pod back; it comes up as soon as the map is there, and follows its changes.
    let waiting = json!({ "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "main", "image": BUSYBOX, "command": ["/bin/sh", "-c", "while :; do cat /late/k > /host/seen; done"],
            "volumeMounts": [{ "name": "late", "mountPath": "/late" }, { "name": "host", "mountPath": "/host" }] }],
        "volumes": [{ "name": "late", "configMap": { "name": "late" } }, { "name": "host", "hostPath": { "path": host } }] });
    node.api.apply(pod("late", waiting));
    assert!(node.wait_event("late", "FailedMount").await.contains("configmap \"late\" not found"));
    node.api.set_config_map("late", json!({ "data": { "k": "v1" } }));
    node.wait_ready("late").await;
    node.api.set_config_map("late", json!({ "data": { "k": "v2" } }));
    while std::fs::read_to_string(host.join("seen")).unwrap_or_default() != "v2" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    // What a configuration asks for in vain.
    let env = json!([{ "name": "X", "valueFrom": { "secretKeyRef": { "name": "s", "key": "nokey" } } }]);
    node.api.apply(pod("config", json!({ "containers": [{ "name": "main", "image": BUSYBOX, "env": env }] })));
    let status = node
        .wait_for("config", "CreateContainerConfigError", |s| {
            container(s)
                .state
                .and_then(|state| state.waiting)
                .is_some_and(|w| w.reason.as_deref() == Some("CreateContainerConfigError"))
        })
        .await;
    let message = container(&status).state.unwrap().waiting.unwrap().message.unwrap();
    assert_eq!(message, "couldn't find key nokey in Secret default/s");
    node.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_limits_and_namespaces() {
    if !can_run_containers() {
        return;
    }
    let node = TestNode::start("t-sec", 5).await;
    let context = json!({ "securityContext": { "runAsUser": 1000, "runAsGroup": 2000, "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } });
    let group = json!({ "securityContext": { "fsGroup": 3000, "supplementalGroups": [4000] } });
    let script =
        "id -u; id -g; id -G; touch /x 2>/dev/null || echo read-only; grep -E 'NoNewPrivs|CapEff' /proc/self/status";
    let text = output(&node, "user", script, context, group).await;
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(
        words,
        ["1000", "2000", "2000", "3000", "4000", "read-only", "CapEff:", "0000000000000000", "NoNewPrivs:", "1"],
        "{text}"
    );
    let text = output(&node, "plain", "echo x > /proc/sys/kernel/hostname || echo masked", json!({}), json!({})).await;
    assert!(text.contains("masked"), "{text}");
    let privileged = json!({ "securityContext": { "privileged": true } });
    let text =
        output(&node, "privileged", "ls /dev | grep -c .; grep CapEff /proc/self/status", privileged, json!({})).await;
    assert!(text.lines().next().unwrap().parse::<u32>().unwrap() > 15, "{text}");

    // Limits are visible in the container's cgroup, which lies below the class of its pod.
    let resources = json!({ "resources": { "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "cpu": "200m", "memory": "256Mi" } } });
    let script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.shares; \
                  cat /proc/self/oom_score_adj; cat /proc/self/cgroup";
    let text = output(&node, "limits", script, resources, json!({ "hostPID": true })).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(&lines[..3], ["268435456", "20000", "102"], "{text}");
    let score: i64 = lines[3].parse().unwrap();
    assert!((3..1000).contains(&score), "{text}");
    assert_eq!(node.api.status("limits").qos_class.as_deref(), Some("Burstable"));
    let pod_limit = "/sys/fs/cgroup/memory/edgeward/t-sec/kubepods/burstable/poduid-limits/memory.limit_in_bytes";
    assert_eq!(std::fs::read_to_string(pod_limit).unwrap().trim(), "268435456");

    // The host's network and processes, and names of our own.
    let spec =
        json!({ "hostNetwork": true, "hostPID": true, "hostAliases": [{ "ip": "192.0.2.9", "hostnames": ["far"] }] });
    let text = output(&node, "host", "hostname; ls /proc | grep -c '^[0-9]'; cat /etc/hosts", json!({}), spec).await;
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(text.starts_with(&own) && text.contains("192.0.2.9\tfar"), "{text}");
    assert_eq!(node.api.status("host").pod_ip.as_deref(), Some("127.0.0.1"));
    let spec = json!({ "dnsPolicy": "None", "dnsConfig": { "nameservers": ["192.0.2.53"], "searches": ["a.b"], "options": [{ "name": "ndots", "value": "2" }] } });
    let text = output(&node, "dns", "cat /etc/resolv.conf", json!({}), spec).await;
    assert_eq!(text, "search a.b\nnameserver 192.0.2.53\noptions ndots:2\n");

    // A host port leads to the container.
    let spec = json!({ "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": BUSYBOX,
        "command": ["/bin/sh", "-c", "echo served > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"],
        "ports": [{ "name": "web", "containerPort": 8080, "hostPort": 18080 }],
        "readinessProbe": { "httpGet": { "path": "/index.html", "port": "web" }, "periodSeconds": 1 } }] });
    node.api.apply(pod("web", spec));
    let ip = node.wait_ready("web").await.pod_ip.unwrap();
    for address in [format!("{ip}:8080"), format!("{}:18080", node_address())] {
        assert!(get(&address).await.ends_with("served\n"), "{address}");
    }
    assert_eq!(std::fs::metadata(node.path()).unwrap().uid(), 0);
    let network = node.options.network.bridge.clone();
    node.finish().await;
    let rules = std::process::Command::new("iptables-save").args(["-t", "nat"]).output().unwrap();
    let rules = String::from_utf8(rules.stdout).unwrap();
    assert!(!rules.contains(&network), "{rules}");
}

/// An address of this machine that is not loopback.
fn node_address() -> String {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip().to_string()
}

async fn get(address: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

//! Objects down and states up, over cuts and restarts.

use edgeward_agent::link::LinkState;
use edgeward_pods::{Change, PodKey};
use edgeward_twin::DeviceId;
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{Event, PodStatus};
use serde_json::{Value, json};

use crate::lab::{Cloud, Mood, Node, eventually};

fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": node,
            "containers": [{
                "name": "main", "image": "x",
                "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}],
            }],
        },
    })
}

fn config_map(value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default"},
        "data": {"value": value},
    })
}

fn device(node: &str) -> [Value; 2] {
    let metadata = |name: &str| json!({"name": name, "namespace": "default"});
    let version = "devices.kubeedge.io/v1beta1";
    let property = json!({"name": "temperature", "type": "FLOAT", "accessMode": "ReadWrite"});
    [
        json!({
            "apiVersion": version, "kind": "DeviceModel", "metadata": metadata("model"), "spec": {"properties": [property]},
        }),
        json!({
            "apiVersion": version, "kind": "Device", "metadata": metadata("sensor"),
            "spec": {"deviceModelRef": {"name": "model"}, "nodeName": node, "properties": [{"name": "temperature"}]},
        }),
    ]
}

async fn names(node: &Node, path: &str) -> Vec<String> {
    let (status, list) = node.get(path).await;
    assert_eq!(status, 200, "{list}");
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_api_shows_what_the_node_needs_online_and_offline() {
    let cloud = Cloud::start().await;
    let folder = tempfile::tempdir().unwrap();
    cloud.create(config_map("one")).await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "default"}, "data": {"k": "dg=="},
    });
    cloud.create(secret).await;
    let node = Node::start(cloud.agent_options("edge-1", folder.path())).await;
    node.online().await;
    cloud.create(pod("mine", "edge-1")).await;
    cloud.create(pod("other", "edge-2")).await;
    for object in device("edge-1") {
        cloud.create(object).await;
    }
    node.when("/api/v1/namespaces/default/pods/mine", |status, _| status == 200).await;
    node.when("/api/v1/namespaces/default/configmaps/settings", |_, map| map["data"]["value"] == "one").await;
    node.when("/api/v1/namespaces/default/secrets/keys", |_, secret| secret["data"]["k"] == "dg==").await;
    node.when("/apis/devices.kubeedge.io/v1beta1/devices", |_, list| {
        list["items"].as_array().is_some_and(|l| l.len() == 1)
    })
    .await;
    assert_eq!(names(&node, "/api/v1/pods").await, ["mine"]);
    // The twin took the device from the replica; what it reports shows here and arrives there.
    let sensor = DeviceId::new("default", "sensor");
    eventually("a report", async || node.handle.twin().report_value(&sensor, "temperature", "21.5".into()).await.ok())
        .await;
    let reported = |device: &Value| device["status"]["twins"][0]["reported"]["value"] == "21.5";
    node.when("/apis/devices.kubeedge.io/v1beta1/namespaces/default/devices/sensor", |_, device| reported(device))
        .await;
    node.when("/apis/devices.kubeedge.io/v1beta1/namespaces/default/devicestatuses/sensor", |_, status| {
        reported(status)
    })
    .await;
    eventually("the report in the cloud", async || {
        cloud
            .reports
            .devices
            .lock()
            .iter()
            .any(|report| report.contains("sensor") && report.contains("21.5"))
            .then_some(())
    })
    .await;
    node.stop().await;

    cloud.wire.set(Mood::Blackhole);
    let node = Node::start(cloud.agent_options("edge-1", folder.path())).await;
    assert_eq!(names(&node, "/api/v1/pods").await, ["mine"]);
    let (_, pod) = node.get("/api/v1/namespaces/default/pods/mine").await;
    assert_eq!(pod["spec"]["nodeName"], "edge-1");
    assert_eq!(pod.get("edgeward.io/replica"), None, "marks are the replica's own");
    let (_, device) = node.get("/apis/devices.kubeedge.io/v1alpha2/namespaces/default/devices/sensor").await;
    assert!(reported(&device), "{device}");
    let (_, list) = node.get("/apis/devices.kubeedge.io/v1beta1/devices").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert!(matches!(&*node.handle.link_state().borrow(), LinkState::Offline(_)));
    kubectl_works(&node).await;
    node.stop().await;
    cloud.stop().await;
}

/// What people type on a node that is cut off.
async fn kubectl_works(node: &Node) {
    let server = format!("http://{}", node.handle.local_api().unwrap());
    let home = tempfile::tempdir().unwrap();
    for (arguments, expect) in [
        ("get pods", "mine "),
        ("get nodes", "edge-1 "),
        ("get devices", "sensor "),
        ("get devicestatuses -o yaml", "21.5"),
        ("describe pod mine", "edge-1"),
        ("describe device sensor", "21.5"),
        ("get cm,secret -A", "configmap/settings"),
        ("delete pod mine", "read-only"),
    ] {
        let run = tokio::process::Command::new("kubectl")
            .args(["--server", &server, "--cache-dir"])
            .arg(home.path())
            .args(arguments.split(' '))
            .env("KUBECONFIG", "/dev/null")
            .output();
        let Ok(output) = run.await else {
            println!("LEFT OUT: kubectl against the local API; kubectl is not installed");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(expect), "kubectl {arguments}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_change_while_the_link_is_cut_and_agree_after_the_heal() {
    let cloud = Cloud::start().await;
    let folder = tempfile::tempdir().unwrap();
    for mood in [Mood::Blackhole, Mood::Reset] {
        let node = Node::start(cloud.agent_options("edge-1", folder.path())).await;
        node.online().await;
        cloud.create(config_map("one")).await;
        for name in ["stays", "goes"] {
            cloud.create(pod(name, "edge-1")).await;
            node.when(&format!("/api/v1/namespaces/default/pods/{name}"), |status, _| status == 200).await;
        }
        for object in device("edge-1") {
            cloud.create(object).await;
        }
        let sensor = DeviceId::new("default", "sensor");
        eventually("a report", async || node.handle.twin().report_value(&sensor, "temperature", "1".into()).await.ok())
            .await;

        cloud.wire.set(mood);
        node.link(|state| !state.is_online()).await;
        cloud.delete(&pod("goes", "edge-1")).await;
        cloud.create(pod("comes", "edge-1")).await;
        cloud.merge(&config_map("one"), json!({"data": {"value": "two"}})).await;
        for value in 2..=9 {
            node.handle.twin().report_value(&sensor, "temperature", value.to_string()).await.unwrap();
        }
        assert_eq!(names(&node, "/api/v1/pods").await, ["goes", "stays"]);
        // Killed and started again while it is cut off.
        node.stop().await;
        let node = Node::start(cloud.agent_options("edge-1", folder.path())).await;
        assert_eq!(names(&node, "/api/v1/pods").await, ["goes", "stays"]);

        cloud.reports.devices.lock().clear();
        let healed = std::time::Instant::now();
        cloud.wire.set(Mood::Pass);
        node.online().await;
        println!("session back {:?} after the heal of {mood:?}", healed.elapsed());
        node.when("/api/v1/namespaces/default/pods/comes", |status, _| status == 200).await;
        node.when("/api/v1/namespaces/default/pods/goes", |status, _| status == 404).await;
        node.when("/api/v1/namespaces/default/configmaps/settings", |_, map| map["data"]["value"] == "two").await;
        let last = |report: &String| report.contains("sensor") && report.contains("\"value\":\"9\"");
        eventually("the newest value", async || cloud.reports.devices.lock().iter().any(last).then_some(())).await;
        assert_eq!(names(&node, "/api/v1/pods").await, ["comes", "stays"]);

        for name in ["stays", "comes"] {
            cloud.delete(&pod(name, "edge-1")).await;
        }
        cloud.delete(&config_map("")).await;
        for object in device("edge-1") {
            cloud.delete(&object).await;
        }
        node.when("/api/v1/pods", |_, list| list["items"].as_array().is_some_and(Vec::is_empty)).await;
        node.stop().await;
    }
    cloud.stop().await;
}

/// The next change about a pod of this name, in a few words.
async fn next_of(changes: &mut BoxStream<'static, Change>, name: &str) -> String {
    loop {
        match changes.next().await.unwrap() {
            Change::Pod(pod) if pod.metadata.name.as_deref() == Some(name) => {
                let deleting = if pod.metadata.deletion_timestamp.is_some() { "deleting" } else { "wanted" };
                return format!("{deleting} {}", pod.metadata.uid.clone().unwrap_or_default());
            }
            Change::PodGone(key) if key.name == name => return format!("gone {}", key.uid),
            Change::Synced => return "synced".to_owned(),
            _ => {}
        }
    }
}

fn status(phase: &str) -> PodStatus {
    PodStatus { phase: Some(phase.to_owned()), ..PodStatus::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_lives_and_dies_across_a_cut() {
    let cloud = Cloud::start().await;
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(cloud.agent_options("edge-1", folder.path())).await;
    node.online().await;
    cloud.create(config_map("one")).await;
    let uid = cloud.create(pod("p", "edge-1")).await.metadata.uid.unwrap();
    let key = PodKey { namespace: "default".into(), name: "p".into(), uid: uid.clone() };
    node.when("/api/v1/namespaces/default/pods/p", |status, _| status == 200).await;
    let api = node.handle.node_api().clone();
    let mut changes = api.watch();
    assert_eq!(next_of(&mut changes, "p").await, format!("wanted {uid}"));
    assert_eq!(next_of(&mut changes, "p").await, "synced");
    api.update_status(&key, status("Running")).await.unwrap();
    cloud.when("v1", "Pod", Some("default"), "p", |pod| pod["status"]["phase"] == "Running").await;
    assert_eq!(api.config_map("default", "settings").await.unwrap().unwrap().data.as_ref().unwrap()["value"], "one");
    assert!(api.config_map("default", "missing").await.unwrap().is_none());

    // Cut off: the status is kept, survives a restart, and arrives as its newest value. So does an event.
    cloud.wire.set(Mood::Blackhole);
    node.link(|state| !state.is_online()).await;
    for phase in ["Pending", "Failed", "Succeeded"] {
        api.update_status(&key, status(phase)).await.unwrap();
    }
    let event = json!({
        "metadata": {"name": "p.1", "namespace": "default"}, "reason": "Started", "message": "it did", "count": 1,
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p", "uid": uid}, "type": "Normal",
    });
    api.record_event(serde_json::from_value::<Event>(event).unwrap());
    node.when("/api/v1/namespaces/default/events/p.1", |status, _| status == 200).await;
    // In the cloud the pod is deleted meanwhile; the node hears of it after the heal.
    let api_of_pods = cloud.api("v1", "Pod", Some("default"));
    api_of_pods.delete("p", &kube::api::DeleteParams::default().grace_period(5)).await.unwrap();
    drop((changes, api));
    node.stop().await;
    let node = Node::start(cloud.agent_options("edge-1", folder.path())).await;
    let (_, local) = node.get("/api/v1/namespaces/default/pods/p").await;
    assert_eq!(local["status"]["phase"], "Succeeded");
    let api = node.handle.node_api().clone();
    let mut changes = api.watch();
    assert_eq!(next_of(&mut changes, "p").await, format!("wanted {uid}"));
    assert_eq!(next_of(&mut changes, "p").await, "synced");
    cloud.wire.set(Mood::Pass);
    assert_eq!(next_of(&mut changes, "p").await, format!("deleting {uid}"));
    let seen = cloud.when("v1", "Pod", Some("default"), "p", |pod| pod["status"]["phase"] == "Succeeded").await;
    assert_eq!(seen["metadata"]["uid"], uid.as_str());
    let event = cloud.when("v1", "Event", Some("default"), "p.1", |_| true).await;
    assert_eq!((event["message"].as_str(), event["source"]["host"].as_str()), (Some("it did"), Some("edge-1")));

    // Its last container is gone: the object goes in the cloud, then here.
    api.confirm_pod_deleted(&key).await.unwrap();
    assert_eq!(next_of(&mut changes, "p").await, format!("gone {uid}"));
    assert!(api_of_pods.get_opt("p").await.unwrap().is_none());
    api.update_status(&key, status("Running")).await.unwrap();
    assert_eq!(node.get("/api/v1/namespaces/default/pods/p").await.0, 404);

    // Its successor of the same name is another pod.
    let next = cloud.create(pod("p", "edge-1")).await.metadata.uid.unwrap();
    assert_eq!(next_of(&mut changes, "p").await, format!("wanted {next}"));
    drop((changes, api));
    node.stop().await;
    cloud.stop().await;
}

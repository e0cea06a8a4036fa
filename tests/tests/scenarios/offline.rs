//! A node that is cut off goes on by itself, also after a kill and a start without the cloud, and comes back by itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use edgeward_tests::api::{condition, taints, text};
use edgeward_tests::mqtt::Mqtt;
use edgeward_tests::site::alone;
use edgeward_tests::{Api, Cable, Cloud, Mood, Node, PATIENCE, Wire, eventually, machine, say, scenario};
use serde_json::{Value, json};

use crate::workload;

const DEVICES: &str = "/apis/devices.kubeedge.io/v1beta1/namespaces/default/devices";
const MODELS: &str = "/apis/devices.kubeedge.io/v1beta1/namespaces/default/devicemodels";
/// The aim is 5 s on a free machine.
const SESSION_BACK: Duration = Duration::from_secs(30);

fn device(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device", "metadata": {"name": name},
        "spec": {
            "deviceModelRef": {"name": "sensor"}, "nodeName": node, "protocol": {"protocolName": "mqtt"},
            "properties": [{"name": "temperature", "reportToCloud": true}],
        },
    })
}

async fn make_devices(api: &Api, node: &str) -> anyhow::Result<()> {
    let model = json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "DeviceModel", "metadata": {"name": "sensor"},
        "spec": {"protocol": "mqtt", "properties": [{"name": "temperature", "type": "FLOAT", "accessMode": "ReadOnly"}]},
    });
    api.create(MODELS, &model).await?;
    for number in 1..=3 {
        api.create(DEVICES, &device(&format!("sensor-{number}"), node)).await?;
    }
    Ok(())
}

/// A rule that raises an alarm on the node's own broker and tells the cloud.
async fn make_rule(node: &Node) -> anyhow::Result<()> {
    let sql = r#"CREATE STREAM readings (t FLOAT, n BIGINT) WITH (DATASOURCE="readings", FORMAT="json", TYPE="mqtt")"#;
    node.make("/streams", &json!({"sql": sql})).await?;
    let actions = json!([
        {"mqtt": {"server": "", "topic": "alarms", "sendSingle": true}},
        {"cloud": {"stream": "alarms", "sendSingle": true, "identity": ["n"]}},
    ]);
    let rule = json!({"id": "hot", "sql": "SELECT n, t FROM readings WHERE t > 50", "actions": actions, "options": {"qos": 1}});
    node.make("/rules", &rule).await
}

/// A hot reading becomes an alarm, on the node alone.
async fn alarm_comes(node: &Node, number: u64) -> anyhow::Result<()> {
    let mut screen = Mqtt::open(node.mqtt())?;
    screen.subscribe("alarms").await?;
    screen.publish("readings", json!({"n": number, "t": 20.0}).to_string()).await?;
    screen.publish("readings", json!({"n": number, "t": 99.5}).to_string()).await?;
    let (_, alarm) = screen.next().await?;
    let alarm: Value = serde_json::from_slice(&alarm)?;
    anyhow::ensure!(alarm["n"] == number && alarm["t"] == 99.5, "{alarm}");
    Ok(())
}

/// A reported value is in the twin of the device, as its own MQTT client sees it.
async fn twin_holds(node: &Node, value: &str) -> anyhow::Result<()> {
    let twin = "$hw/events/device/default/sensor-1/twin";
    let mut sensor = Mqtt::open(node.mqtt())?;
    sensor.subscribe(&format!("{twin}/get/result")).await?;
    sensor.publish(&format!("{twin}/get"), "{}").await?;
    let (_, answer) = sensor.next().await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    anyhow::ensure!(text(&answer, "/twin/temperature/actual/value") == value, "{answer}");
    Ok(())
}

async fn report(node: &Node, value: &str) -> anyhow::Result<()> {
    let twin = "$hw/events/device/default/sensor-1/twin";
    let mut sensor = Mqtt::open(node.mqtt())?;
    sensor.subscribe(&format!("{twin}/update/result")).await?;
    let update = json!({"event_id": value, "timestamp": 0, "twin": {"temperature": {
        "actual": {"value": value}, "metadata": {"type": "float"}}}});
    sensor.publish(&format!("{twin}/update"), update.to_string()).await?;
    let (_, result) = sensor.next().await?;
    let result: Value = serde_json::from_slice(&result)?;
    anyhow::ensure!(text(&result, "/twin/temperature/actual/value") == value, "{result}");
    Ok(())
}

#[test]
fn devices_broker_and_rules_go_on_without_the_cloud() {
    scenario("offline", async |site| {
        let wire = Wire::start(&site).await?;
        let cloud = Cloud::start(&site).await?;
        let api = cloud.api().await?;
        let mut node = Node::new(&site, 1, "remote", wire.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&api).await?;
        make_devices(&api, "remote").await?;
        eventually("three devices on the node", PATIENCE, async || {
            Ok((node.names(DEVICES).await?.len() == 3).then_some(()))
        })
        .await?;
        make_rule(&node).await?;
        alarm_comes(&node, 1).await?;
        report(&node, "21.5").await?;
        twin_holds(&node, "21.5").await?;

        wire.set(Mood::Blackhole);
        eventually("the cloud missing the node", PATIENCE, async || {
            let node = api.get("/api/v1/nodes/remote").await?;
            Ok((!condition(&node, "Ready") && !taints(&node).is_empty()).then_some(()))
        })
        .await?;
        alarm_comes(&node, 2).await?;
        node.kill()?;
        node.launch(None)?;
        node.serves().await?;
        anyhow::ensure!(node.names(DEVICES).await?.len() == 3, "devices are forgotten");
        twin_holds(&node, "21.5").await?;
        report(&node, "22.5").await?;
        eventually("the rule running", PATIENCE, async || {
            let (_, status) = node.rules("GET", "/rules/hot/status", &Value::Null).await?;
            Ok((text(&status, "/status") == "running").then_some(()))
        })
        .await?;
        alarm_comes(&node, 3).await?;
        // Meanwhile in the cloud.
        api.delete(&format!("{DEVICES}/sensor-3")).await?;
        api.create(DEVICES, &device("sensor-4", "remote")).await?;

        wire.set(Mood::Pass);
        let healed = Instant::now();
        eventually("the session being back", SESSION_BACK, async || {
            Ok(condition(&api.get("/api/v1/nodes/remote").await?, "Ready").then_some(()))
        })
        .await?;
        let back = healed.elapsed();
        eventually("node and cloud agreeing", PATIENCE, async || {
            let mut names = node.names(DEVICES).await?;
            names.sort();
            let agreed = names == ["sensor-1", "sensor-2", "sensor-4"] && cloud.stored("remote", "alarms")? == 3;
            let device = api.get(&format!("{DEVICES}/sensor-1")).await?.to_string();
            Ok((agreed && device.contains("22.5")).then_some(()))
        })
        .await?;
        let all = healed.elapsed();
        say(format!(
            "session back {:.2} s after the heal, all agreed after {:.2} s",
            back.as_secs_f64(),
            all.as_secs_f64()
        ));
        eventually("the taints going", PATIENCE, async || {
            Ok(taints(&api.get("/api/v1/nodes/remote").await?).is_empty().then_some(()))
        })
        .await
    });
}

/// Name and container of each pod the node itself lists.
async fn local_pods(node: &Node) -> anyhow::Result<BTreeMap<String, String>> {
    let (status, list) = node.get(workload::PODS).await?;
    anyhow::ensure!(status == 200, "{status}: {list}");
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Ok(items.iter().map(|pod| (text(pod, "/metadata/name").to_owned(), workload::container(pod))).collect())
}

#[test]
fn pods_outlive_a_cut_and_a_kill_and_then_follow_the_cloud() {
    scenario("offline-pods", async |site| {
        if !machine::has_containers() {
            say("\n=== NO ROOT OR NO CONTAINERD: pods without the cloud are left out ===\n");
            return Ok(());
        }
        let _alone = alone("containers").await?;
        let cable = Cable::new(&site)?;
        let mut cloud = Cloud::behind(&site, &cable);
        cloud.launch()?;
        cloud.ready().await?;
        let api = cloud.api().await?;
        let mut node = Node::with_pods(&site, "far-away", cable);
        node.flags.push(workload::images_flag(&site)?);
        node.launch(Some(&cloud.token()?))?;
        node.ready(&api).await?;
        workload::deploy(&api, "worker", 2).await?;
        workload::running(&api, &mut node, "worker", 2).await?;
        let before = eventually("the node listing its pods", PATIENCE, async || {
            let pods = local_pods(&node).await?;
            Ok((pods.len() == 2 && pods.values().all(|id| !id.is_empty())).then_some(pods))
        })
        .await?;

        node.cable().map_or(Ok(()), Cable::cut)?;
        eventually("the cloud missing the node", PATIENCE, async || {
            Ok((!condition(&api.get("/api/v1/nodes/far-away").await?, "Ready")).then_some(()))
        })
        .await?;
        node.kill()?;
        node.launch(None)?;
        node.serves().await?;
        let after = eventually("the node listing its pods again", PATIENCE, async || {
            let pods = local_pods(&node).await?;
            Ok((pods.len() == 2).then_some(pods))
        })
        .await?;
        anyhow::ensure!(before == after, "pods were restarted: {before:?} became {after:?}");
        let there = api.list(workload::PODS).await?;
        let evicted = there.iter().any(|pod| !text(pod, "/metadata/deletionTimestamp").is_empty());
        anyhow::ensure!(there.len() == 2 && !evicted, "autonomous pods were evicted: {there:?}");
        // Meanwhile in the cloud: one pod is deleted, and more work comes.
        let victim = before.keys().next().cloned().unwrap_or_default();
        api.delete(&format!("{}/{victim}", workload::PODS)).await?;
        workload::deploy(&api, "late", 1).await?;

        node.cable().map_or(Ok(()), Cable::heal)?;
        let healed = Instant::now();
        node.ready(&api).await?;
        let back = healed.elapsed();
        workload::running(&api, &mut node, "late", 1).await?;
        let workers = workload::running(&api, &mut node, "worker", 2).await?;
        anyhow::ensure!(workers.iter().all(|pod| text(pod, "/metadata/name") != victim), "{victim} is still there");
        let kept = workers.iter().filter(|pod| before.values().any(|id| *id == workload::container(pod))).count();
        anyhow::ensure!(kept == 1, "the pod that nobody touched was restarted");
        say(format!(
            "ready {:.2} s after the heal, pods as wished after {:.2} s",
            back.as_secs_f64(),
            healed.elapsed().as_secs_f64()
        ));
        node.stop().await?;
        cloud.stop().await
    });
}

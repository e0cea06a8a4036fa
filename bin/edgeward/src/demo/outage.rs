//! A site is cut off, its agent is killed, things change meanwhile, and everything comes together again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use super::alarms::{self, MACHINE_ALARMS};
use super::cluster::{apply_text, client, is_ready, is_running};
use super::data::Machine;
use super::rest;
use super::stage::{Progress, eventually};
use super::world::{Factory, NAMESPACE, World};

const LATE: &str = include_str!("../../../../examples/factory/manifests/late.yaml");
/// The factory that is cut off.
const SITE: usize = 1;
/// Rows per second of the replay: the whole file takes a good ten seconds.
const RATE: u32 = 2_000;
const REPLAY: &str = "factory-2-machine";

/// What the stages of the outage hand to each other.
#[derive(Default)]
pub(super) struct Outage {
    /// Container id by pod, before the agent was killed.
    containers: BTreeMap<String, String>,
}

/// Starts the replay of the machine's readings into the factory's broker.
fn start_replay(world: &mut World, machine: &Machine) -> anyhow::Result<()> {
    let broker = world.factories[SITE].mqtt();
    let arguments = [
        "mqtt".to_owned(),
        format!("--broker={broker}"),
        "--devices=edge-system/machine".to_owned(),
        "--topic=factory/machine".to_owned(),
        format!("--csv={}", machine.file.display()),
        format!("--rate={RATE}"),
        "--qos=1".to_owned(),
    ];
    world.simulate(SITE, "machine", &arguments)
}

/// The replay's own account: readings sent, and those of them acknowledged.
async fn finish_replay(world: &mut World) -> anyhow::Result<(u64, u64)> {
    let process = world.simulators.get_mut(REPLAY).context("no replay")?;
    let (success, words) = process.wait(Duration::from_secs(90)).await?;
    ensure!(success, "the replay failed: {words}");
    let totals: Value = serde_json::from_str(&words).with_context(|| format!("the replay said {words:?}"))?;
    let count = |field: &str| totals.get(field).and_then(Value::as_u64).unwrap_or(0);
    Ok((count("sent"), count("acknowledged")))
}

/// Stored readings of the machine, and how many of them differ in sequence.
fn stored(world: &World) -> anyhow::Result<(u64, u64)> {
    let reader = edgeward_ingest::Reader::open(&crate::server::telemetry_file(&world.cloud_dir()))?;
    let readings = reader.last(&world.factories[SITE].name, Some("machine"), 1_000_000)?;
    let sequence = |payload: &[u8]| serde_json::from_slice::<Value>(payload).ok()?.get("seq")?.as_u64();
    let distinct: std::collections::HashSet<_> =
        readings.iter().filter_map(|reading| sequence(&reading.payload)).collect();
    Ok((readings.len() as u64, distinct.len() as u64))
}

/// The pods that a factory's own API lists, with the id of their first container.
async fn local_pods(factory: &Factory) -> anyhow::Result<BTreeMap<String, String>> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let text = rest::call(factory.link.as_ref(), factory.local_api(), "GET", &path, None).await?;
    let list: Value = serde_json::from_str(&text)?;
    let items = list.get("items").and_then(Value::as_array).context("a list of pods")?;
    let field = |pod: &Value, path: &str| pod.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let pod =
        |pod: &Value| Some((field(pod, "/metadata/name")?, field(pod, "/status/containerStatuses/0/containerID")?));
    Ok(items.iter().filter_map(pod).collect())
}

pub(super) async fn cut(
    world: &mut World,
    machine: &Machine,
    outage: &mut Outage,
    progress: Progress,
) -> anyhow::Result<String> {
    start_replay(world, machine)?;
    progress.say("the replay runs");
    eventually("the first readings in the cloud", Duration::from_secs(20), async || {
        Ok((stored(world)?.0 > 1_000).then_some(()))
    })
    .await?;
    let link = world.factories[SITE].link.clone().context("no link")?;
    link.cut()?;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let has_containers = world.has_containers();
    outage.containers = local_pods(&world.factories[SITE]).await?;
    ensure!(!has_containers || !outage.containers.is_empty(), "the factory's own API lists no pods");
    progress.keep(format!("cut off; its own API still lists {} pods", outage.containers.len()));
    let before = alarms::activity(&world.factories[SITE]);
    progress.say("kill -9 of the agent, and a start without the cloud");
    world.factories[SITE].agent.as_mut().context("no agent")?.kill()?;
    world.start_agent(SITE, None)?;
    come_back(world, outage, before, &progress).await?;
    notice(world, &progress).await?;
    Ok(format!(
        "agent killed and back without the cloud, pods untouched, rules on; NotReady in the cloud after {:.0} s",
        begun.elapsed().as_secs_f64()
    ))
}

/// After the kill, still cut off: the same containers, rules running, devices remembered.
async fn come_back(world: &mut World, outage: &Outage, before: usize, progress: &Progress) -> anyhow::Result<()> {
    eventually("the local API after the kill", Duration::from_secs(20), async || {
        world.factories[SITE].agent.as_mut().context("no agent")?.check()?;
        Ok(local_pods(&world.factories[SITE]).await.ok())
    })
    .await?;
    let factory = &world.factories[SITE];
    eventually("the rules going on", Duration::from_secs(20), async || {
        let running = alarms::status(factory, MACHINE_ALARMS).await? == "running";
        Ok((running && alarms::activity(factory) > before).then_some(()))
    })
    .await?;
    let now = local_pods(factory).await?;
    if let Some((pod, _)) = outage.containers.iter().find(|(pod, id)| now.get(*pod) != Some(*id)) {
        bail!("pod {pod} was restarted: {:?} became {:?}", outage.containers.get(pod), now.get(pod));
    }
    let path = format!("/apis/devices.kubeedge.io/v1beta1/namespaces/{NAMESPACE}/devices");
    let text = rest::call(factory.link.as_ref(), factory.local_api(), "GET", &path, None).await?;
    let devices: Value = serde_json::from_str(&text)?;
    let count = devices.get("items").and_then(Value::as_array).map_or(0, Vec::len);
    ensure!(count > 0, "the factory's own API lists no devices");
    progress.keep(format!("agent is back: the same {} containers, rules running, {count} devices", now.len()));
    Ok(())
}

/// What the cloud makes of the silence: the node is lost, its autonomous pods stay.
async fn notice(world: &World, progress: &Progress) -> anyhow::Result<()> {
    let name = &world.factories[SITE].name;
    let client = client(world).await?;
    let nodes: Api<Node> = Api::all(client.clone());
    progress.say("the cloud waits for the node");
    eventually("the node turning NotReady", Duration::from_secs(30), async || {
        Ok((!is_ready(&nodes.get(name).await?)).then_some(()))
    })
    .await?;
    if !world.has_containers() {
        return Ok(());
    }
    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let there =
        pods.list(&ListParams::default().fields(&format!("spec.nodeName={name}")).labels("app=iot-processor")).await?;
    ensure!(!there.items.is_empty(), "the cloud forgot the autonomous pods of {name}");
    ensure!(
        there.iter().all(|pod| pod.metadata.deletion_timestamp.is_none()),
        "an autonomous pod of {name} was evicted"
    );
    Ok(())
}

/// Changes in the cloud that the factory does not hear of yet.
pub(super) async fn meanwhile(world: &mut World, progress: Progress) -> anyhow::Result<String> {
    let kubectl = world.kubectl()?.clone();
    progress.say("a ConfigMap changes, a pod is deleted, a Deployment comes");
    let patch = r#"{"data":{"mode":"night"}}"#;
    kubectl.run(&["patch", "configmap", "processor-settings", "-n", NAMESPACE, "--type=merge", "-p", patch]).await?;
    if world.has_containers() {
        let selector = format!("spec.nodeName={}", world.factories[SITE].name);
        kubectl
            .run(&[
                "delete",
                "pod",
                "-n",
                NAMESPACE,
                "-l",
                "app=data-collector",
                "--field-selector",
                &selector,
                "--wait=false",
            ])
            .await?;
        apply_text(world, "late.yaml", LATE).await?;
    }
    Ok("a ConfigMap changed, a pod deleted, a new Deployment made for the factory".to_owned())
}

pub(super) async fn heal(
    world: &mut World,
    machine: &Machine,
    outage: &mut Outage,
    progress: Progress,
) -> anyhow::Result<String> {
    world.factories[SITE].link.as_ref().context("no link")?.heal()?;
    let begun = Instant::now();
    let client = client(world).await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let name = world.factories[SITE].name.clone();
    eventually("the node being ready again", Duration::from_secs(30), async || {
        Ok(is_ready(&nodes.get(&name).await?).then_some(()))
    })
    .await?;
    let ready = begun.elapsed().as_secs_f64();
    if world.has_containers() {
        converge(world, outage, &progress).await?;
    }
    let converged = begun.elapsed().as_secs_f64();
    let (sent, acknowledged) = finish_replay(world).await?;
    progress.say("the backlog drains");
    let (stored, distinct) = drain(world, sent).await?;
    let drained = begun.elapsed().as_secs_f64();
    ensure!(
        sent == machine.rows && acknowledged == sent,
        "{} rows, {sent} sent, {acknowledged} acknowledged",
        machine.rows
    );
    Ok(format!(
        "ready after {ready:.1} s, converged after {converged:.1} s, drained after {drained:.1} s; sent {sent} = stored {stored}, lost {}, duplicated {}",
        sent - distinct,
        stored - distinct
    ))
}

/// Waits until every reading is in the store, and a little longer for one too many.
async fn drain(world: &World, sent: u64) -> anyhow::Result<(u64, u64)> {
    eventually("all readings in the cloud store", Duration::from_secs(60), async || {
        Ok((stored(world)?.1 >= sent).then_some(()))
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (stored, distinct) = stored(world)?;
    ensure!(stored == sent && distinct == sent, "{sent} sent, {stored} stored, {distinct} of them different");
    Ok((stored, distinct))
}

/// The deleted pod is gone and replaced, the late Deployment runs, the new ConfigMap is in the containers.
async fn converge(world: &World, outage: &Outage, progress: &Progress) -> anyhow::Result<()> {
    let name = &world.factories[SITE].name;
    let pods: Api<Pod> = Api::namespaced(client(world).await?, NAMESPACE);
    progress.say("pods converge");
    eventually("the pods of the factory converging", Duration::from_secs(60), async || {
        let there = pods.list(&ListParams::default().fields(&format!("spec.nodeName={name}"))).await?;
        let app =
            |pod: &Pod| pod.metadata.labels.as_ref().and_then(|labels| labels.get("app").cloned()).unwrap_or_default();
        let running = |wanted: &str| there.iter().any(|pod| app(pod) == wanted && is_running(pod));
        let new_collector = there.iter().any(|pod| {
            app(pod) == "data-collector"
                && is_running(pod)
                && !outage.containers.contains_key(pod.metadata.name.as_deref().unwrap_or_default())
        });
        let all_running = there.iter().all(is_running);
        Ok((running("late-arrival") && new_collector && all_running).then_some(()))
    })
    .await?;
    let kubectl = world.kubectl()?;
    progress.say("the new ConfigMap reaches the containers");
    eventually("the new ConfigMap reaching the containers", Duration::from_secs(30), async || {
        let logs = kubectl.run(&["logs", "-n", NAMESPACE, "-l", "app=iot-processor", "--tail=2"]).await?;
        let on_site = logs.lines().rfind(|line| line.contains(name.as_str())).unwrap_or_default();
        Ok(on_site.contains("mode night").then_some(()))
    })
    .await
}

/// Without links to cut: the replay alone, and every reading stored once.
pub(super) async fn replay_only(world: &mut World, machine: &Machine, progress: Progress) -> anyhow::Result<String> {
    start_replay(world, machine)?;
    progress.say("the replay runs");
    let (sent, acknowledged) = finish_replay(world).await?;
    ensure!(
        sent == machine.rows && acknowledged == sent,
        "{} rows, {sent} sent, {acknowledged} acknowledged",
        machine.rows
    );
    let (stored, _) = drain(world, sent).await?;
    Ok(format!("sent {sent} = stored {stored}"))
}

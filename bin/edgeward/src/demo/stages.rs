//! The stages, in the order of the story.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;

use super::cluster::{apply_text, client, is_ready, is_running};
use super::stage::{Progress, Story, eventually};
use super::world::{FACTORIES, NAMESPACE, World};
use super::{alarms, data, devices, images, outage};

/// The project's own manifests, part of the program so that the demo needs no checkout.
const SITE: &str = include_str!("../../../../examples/factory/manifests/10-site.yaml");
const WORKLOADS: &str = include_str!("../../../../examples/factory/manifests/20-workloads.yaml");
/// The real set and the alarm rule reach this; thresholds alone do not.
const MAX_OUTSIDE: f64 = 0.15;

/// Tells the whole story. Returns whether every stage held; the first that does not ends it.
pub(super) async fn tell(story: &mut Story, world: &mut World) -> bool {
    story.stage("cloud", async |progress| cloud(world, progress).await).await
        && story.stage("join", async |progress| join(world, progress).await).await
        && story.stage("apply", async |progress| apply(world, progress).await).await
        && story.stage("devices", async |progress| devices::report(world, progress).await).await
        && story.stage("rules", async |progress| alarms::set_up(world, progress).await).await
        && story.stage("telemetry", async |progress| telemetry(world, progress).await).await
        && remote_site(story, world).await
}

async fn remote_site(story: &mut Story, world: &mut World) -> bool {
    let machine = match data::find(world.data.as_deref(), &world.dir) {
        Ok(machine) => machine,
        Err(error) => return story.stage("data", async |_| Err(error)).await,
    };
    if !world.has_links() {
        return story.stage("replay", async |progress| outage::replay_only(world, &machine, progress).await).await
            && story.stage("alarms", async |_| judge(world, &machine).await).await;
    }
    let mut outage = outage::Outage::default();
    story.stage("cut off", async |progress| outage::cut(world, &machine, &mut outage, progress).await).await
        && story.stage("meanwhile", async |progress| outage::meanwhile(world, progress).await).await
        && story.stage("heal", async |progress| outage::heal(world, &machine, &mut outage, progress).await).await
        && story.stage("alarms", async |_| judge(world, &machine).await).await
}

async fn cloud(world: &mut World, _: Progress) -> anyhow::Result<String> {
    let begun = Instant::now();
    world.start_server()?;
    let ready = eventually("the API", Duration::from_secs(20), async || {
        world.server.as_mut().context("no server")?.check()?;
        if !world.cloud_dir().join("admin.kubeconfig").exists() {
            return Ok(None);
        }
        let request = http::Request::get("/readyz").body(Vec::new())?;
        Ok(client(world).await?.request_text(request).await.ok())
    });
    ready.await?;
    let milliseconds = begun.elapsed().as_millis();
    let bytes = world.server.as_ref().context("no server")?.resident_bytes()?;
    Ok(format!("ready after {milliseconds} ms, {} MB of memory", bytes / 1_000_000))
}

async fn join(world: &mut World, progress: Progress) -> anyhow::Result<String> {
    progress.say("a wrong, an expired and a foreign token");
    let refusals = refusals(world).await?;
    progress.keep(format!("refused: {}", refusals.join(" · ")));
    if world.has_containers() {
        images::write(&world.dir.join("images"))?;
    }
    progress.say("a node that exists before its agent");
    // Twice now: once the node is ready its taint is gone, and kubectl would say so.
    apply_twice(world, "10-site.yaml", SITE).await?;
    let token = world.token("1h")?;
    let begun = Instant::now();
    for index in 0..FACTORIES {
        world.start_agent(index, Some(&token))?;
    }
    let nodes: Api<Node> = Api::all(client(world).await?);
    progress.say("three factories");
    let ready = eventually("all nodes being ready", Duration::from_secs(40), async || {
        world.check()?;
        let list = nodes.list(&ListParams::default()).await?;
        let ready = list.iter().filter(|node| is_ready(node) && !has_taint(node)).count();
        Ok((ready == FACTORIES).then_some(()))
    });
    ready.await?;
    let seconds = begun.elapsed().as_secs_f64();
    let bytes = world.factories[0].agent.as_ref().context("no agent")?.resident_bytes()?;
    Ok(format!("{FACTORIES} nodes ready after {seconds:.1} s, an agent has {} MB", bytes / 1_000_000))
}

/// Joins that must not succeed, each with the words a person sees.
async fn refusals(world: &World) -> anyhow::Result<Vec<String>> {
    let good = world.token("1h")?;
    let expired = world.token("1ms")?;
    let (hash, jwt) = good.split_once('.').context("a token has parts")?;
    let foreign = format!("{}.{jwt}", "0".repeat(hash.len()));
    let mut broken = good.clone();
    broken.truncate(good.len() - 6);
    broken.push_str("AAAAAA");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut said = Vec::new();
    for (what, token) in [("wrong", broken), ("expired", expired), ("foreign", foreign)] {
        said.push(format!("{what}: {}", refused(world, what, &token).await?));
    }
    Ok(said)
}

async fn refused(world: &World, what: &str, token: &str) -> anyhow::Result<String> {
    let factory = &world.factories[0];
    let dir = world.dir.join(format!("intruder-{what}"));
    let mut command = world.agent_command(factory, &format!("intruder-{what}"), &dir, Some(token));
    command.arg("--disable-pods");
    let log = world.dir.join(format!("intruder-{what}.log"));
    let mut process = super::process::Process::start("intruder", command, &log)?;
    let (success, words) = process.wait(Duration::from_secs(15)).await?;
    ensure!(!success, "an agent joined with a {what} token");
    Ok(words.trim_start_matches("edgeward: ").to_owned())
}

fn has_taint(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).is_some_and(|taints| !taints.is_empty())
}

/// Applies a manifest, and once more to see that nothing changes. Returns how many objects there are.
async fn apply_twice(world: &World, name: &str, text: &str) -> anyhow::Result<usize> {
    apply_text(world, name, text).await?;
    let second = apply_text(world, name, text).await?;
    if let Some(changed) = second.lines().find(|line| !line.ends_with(" unchanged")) {
        bail!("a second apply changed something: {changed}");
    }
    Ok(second.lines().count())
}

async fn apply(world: &mut World, progress: Progress) -> anyhow::Result<String> {
    progress.say("kubectl apply");
    let applied = apply_twice(world, "20-workloads.yaml", WORKLOADS).await?;
    if !world.has_containers() {
        return Ok(format!("{applied} objects, unchanged by a second apply"));
    }
    let begun = Instant::now();
    let pods: Api<Pod> = Api::namespaced(client(world).await?, NAMESPACE);
    // Three processors, three collectors, two syncs and one app.
    let wanted = 3 + FACTORIES + 2 + 1;
    let running = eventually("all pods running", Duration::from_secs(60), async || {
        world.check()?;
        let list = pods.list(&ListParams::default()).await?;
        let running = list.iter().filter(|pod| is_running(pod)).count();
        progress.say(format!("{running} of {wanted} pods"));
        Ok((running == wanted && list.items.len() == wanted).then_some(()))
    });
    running.await?;
    let seconds = begun.elapsed().as_secs_f64();
    show_tables(world, &progress).await?;
    Ok(format!("{applied} objects, unchanged by a second apply; {wanted} pods running after {seconds:.1} s"))
}

async fn show_tables(world: &World, progress: &Progress) -> anyhow::Result<()> {
    let kubectl = world.kubectl()?;
    for arguments in
        [&["get", "nodes,nodepools"][..], &["get", "pods,uniteddeployments,yurtappsets", "-n", NAMESPACE, "-o", "wide"]]
    {
        for line in kubectl.run(arguments).await?.lines() {
            progress.keep(line.trim_end());
        }
    }
    let logs = kubectl.run(&["logs", "-n", NAMESPACE, "-l", "app=iot-processor", "--tail=1"]).await;
    match logs {
        Ok(logs) => progress.keep(format!("kubectl logs -l app=iot-processor: {}", logs.trim().replace('\n', " | "))),
        Err(error) => bail!("kubectl logs: {error:#}"),
    }
    Ok(())
}

async fn telemetry(world: &mut World, _: Progress) -> anyhow::Result<String> {
    let file = crate::server::telemetry_file(&world.cloud_dir());
    let counts = eventually("readings of every factory in the cloud store", Duration::from_secs(30), async || {
        let counts = edgeward_ingest::Reader::open(&file)?.counts()?;
        let nodes = |name: &str| counts.iter().any(|count| count.node == name && count.readings > 0);
        Ok(world.factories.iter().all(|factory| nodes(&factory.name)).then_some(counts))
    });
    let counts = counts.await?;
    let total: u64 = counts.iter().map(|count| count.readings).sum();
    Ok(format!("{total} readings of {} streams in the cloud store", counts.len()))
}

/// Whether the alarms of the replay are where the machine was failing.
async fn judge(world: &mut World, machine: &data::Machine) -> anyhow::Result<String> {
    let alarms = alarms::raised(&world.factories[1].results(alarms::MACHINE_ALARMS))?;
    ensure!(!alarms.is_empty(), "no alarm was raised");
    let inside = |alarm: &i64| machine.windows.iter().any(|(from, to)| (from..=to).contains(&alarm));
    let outside = alarms.iter().filter(|alarm| !inside(alarm)).count();
    let found =
        machine.windows.iter().filter(|(from, to)| alarms.iter().any(|alarm| (from..=to).contains(&alarm))).count();
    let share = outside as f64 / alarms.len() as f64;
    let windows = machine.windows.len();
    ensure!(found == windows, "alarms in {found} of {windows} failures only");
    ensure!(share <= MAX_OUTSIDE, "{:.1} % of the alarms are outside the failures", share * 100.0);
    let kind = if machine.real { "real" } else { "generated" };
    Ok(format!(
        "{} alarms in all {windows} failures of the {kind} machine, {:.1} % outside",
        alarms.len(),
        share * 100.0
    ))
}

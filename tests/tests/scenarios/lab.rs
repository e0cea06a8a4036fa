//! The lab of the course, byte for byte: what people apply there works here, and looks as they know it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeward_tests::api::{condition, taints, text};
use edgeward_tests::site::alone;
use edgeward_tests::{Api, Cable, Cloud, Kubectl, Node, PATIENCE, Site, eventually, images, machine, scenario};
use serde_json::{Value, json};

const NODE: &str = "edge-node-1";
/// The lab's images; no registry has them.
const IMAGES: [&str; 4] = ["iot-processor", "data-collector", "cloud-sync", "edge-app"];

fn lab() -> Option<Vec<PathBuf>> {
    let folder = machine::shared("lab", "the lab")?;
    Some(["edge-app.yaml", "edge-autonomy.yaml"].map(|file| folder.join(file)).to_vec())
}

/// `kubectl apply` of the lab's files: the lines it prints.
fn apply(kubectl: &Kubectl, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in files {
        let printed = kubectl.run(&["apply", "-f", &file.display().to_string()])?;
        lines.extend(printed.lines().map(str::to_owned));
    }
    Ok(lines)
}

fn unchanged(lines: &[String]) -> anyhow::Result<()> {
    let changed: Vec<_> = lines.iter().filter(|line| !line.ends_with(" unchanged")).collect();
    anyhow::ensure!(changed.is_empty(), "a second apply changed something: {changed:?}");
    Ok(())
}

/// Once the node is Ready its taint is gone, and kubectl, which compares with the live object, puts it back: that one line
/// says `configured`, as with any Kubernetes.
fn tainted_at_most(lines: &[String]) -> anyhow::Result<()> {
    let others: Vec<_> = lines.iter().filter(|line| *line != "node/edge-node-1 configured").cloned().collect();
    unchanged(&others)
}

async fn taint_goes(api: &Api) -> anyhow::Result<()> {
    eventually("the taint going", PATIENCE, async || {
        Ok(taints(&api.get("/api/v1/nodes/edge-node-1").await?).is_empty().then_some(()))
    })
    .await
}

#[test]
fn both_kubectls_apply_it_twice_and_print_its_tables() {
    scenario("lab-tables", async |site| {
        let Some(files) = lab() else { return Ok(()) };
        for kubectl in Cloud::new(&site).kubectls() {
            let mut cloud = Cloud::start(&site).await?;
            let lines = apply(&kubectl, &files)?;
            let created = lines.iter().filter(|line| line.ends_with(" created")).count();
            anyhow::ensure!(created == 8, "kubectl {}: {lines:?}", kubectl.version);
            unchanged(&apply(&kubectl, &files)?)?;
            let mut agent = Node::new(&site, 1, NODE, cloud.address());
            agent.launch(Some(&cloud.token()?))?;
            let api = cloud.api().await?;
            agent.ready(&api).await?;
            taint_goes(&api).await?;
            device_gets_its_model(&api).await?;
            tainted_at_most(&apply(&kubectl, &files)?)?;
            taint_goes(&api).await?;
            tables(&kubectl).await?;
            agent.stop().await?;
            cloud.stop().await?;
            std::fs::remove_dir_all(agent.dir())?;
            std::fs::remove_dir_all(cloud.dir())?;
        }
        Ok(())
    });
}

/// The lab's device names a model that is not there yet; it works when the model arrives.
async fn device_gets_its_model(api: &Api) -> anyhow::Result<()> {
    let model = json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "DeviceModel",
        "metadata": {"name": "temperature-sensor-model", "namespace": "edge-system"},
        "spec": {"properties": [{"name": "temperature", "type": "FLOAT", "accessMode": "ReadOnly"}]},
    });
    api.create("/apis/devices.kubeedge.io/v1beta1/namespaces/edge-system/devicemodels", &model).await?;
    Ok(())
}

/// The lab's own commands, and the columns people know.
async fn tables(kubectl: &Kubectl) -> anyhow::Result<()> {
    let cases: [(&[&str], &[&str], &str); 8] = [
        (
            &["get", "nodes", "-l", "openyurt.io/is-edge-worker=true"],
            &["NAME", "STATUS", "ROLES", "AGE", "VERSION"],
            NODE,
        ),
        (&["get", "nodepools"], &["NAME", "TYPE", "READYNODES", "NOTREADYNODES", "AGE"], "factory-1"),
        (&["get", "devices", "-n", "edge-system"], &["NAME", "AGE"], "temperature-sensor-1"),
        (&["get", "uniteddeployments", "-A"], &["NAMESPACE", "NAME", "READY", "WORKLOADTEMPLATE", "AGE"], "cloud-sync"),
        (&["get", "yurtappsets"], &["NAME", "TOTAL", "READY", "AGE"], "edge-apps"),
        (
            &["get", "deployments", "-n", "edge-system"],
            &["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
            "iot-processor",
        ),
        (
            &["get", "daemonsets", "-n", "edge-system"],
            &["NAME", "DESIRED", "CURRENT", "READY", "NODE"],
            "data-collector",
        ),
        (&["get", "services", "-n", "edge-system"], &["NAME", "TYPE", "CLUSTER-IP", "PORT(S)", "AGE"], "iot-processor"),
    ];
    for (command, columns, row) in cases {
        let printed = eventually(&format!("{command:?} showing {row}"), PATIENCE, async || {
            Ok(Some(kubectl.run(command)?).filter(|printed| printed.contains(row)))
        })
        .await?;
        let header: Vec<_> = printed.lines().next().unwrap_or_default().split_whitespace().collect();
        for column in columns {
            anyhow::ensure!(
                header.contains(column),
                "kubectl {} {command:?}: no {column} in\n{printed}",
                kubectl.version
            );
        }
    }
    let texts: [(&[&str], &[&str]); 2] = [
        (
            &["describe", "node", NODE],
            &["Name:", "Labels:", "Taints:", "Conditions:", "Capacity:", "Allocatable:", "Ready"],
        ),
        (
            &["describe", "device", "temperature-sensor-1", "-n", "edge-system"],
            &["Name:", "Spec:", "temperature-sensor-model"],
        ),
    ];
    for (command, words) in texts {
        let printed = kubectl.run(command)?;
        for word in words {
            anyhow::ensure!(printed.contains(word), "kubectl {} {command:?}: no {word} in\n{printed}", kubectl.version);
        }
    }
    Ok(())
}

#[test]
fn its_pods_run_from_images_that_no_registry_has() {
    scenario("lab-pods", async |site| {
        let Some(files) = lab() else { return Ok(()) };
        if !machine::has_containers() {
            edgeward_tests::say("\n=== NO ROOT OR NO CONTAINERD: the lab's pods are left out ===\n");
            return Ok(());
        }
        let _alone = alone("containers").await?;
        let host_paths = ["/var/lib/iot-data", "/var/run/device.sock"].map(Path::new);
        let there_before = host_paths.map(Path::exists);
        let outcome = pods(&site, &files).await;
        for (path, _) in host_paths.iter().zip(there_before).filter(|(_, before)| !before) {
            // An empty folder of our making; anything else stays.
            let _ = std::fs::remove_dir(path);
        }
        outcome
    });
}

async fn pods(site: &Arc<Site>, files: &[PathBuf]) -> anyhow::Result<()> {
    let cable = Cable::new(site)?;
    let mut cloud = Cloud::behind(site, &cable);
    cloud.launch()?;
    cloud.ready().await?;
    let archives = site.dir().join("images");
    images::write(
        &archives,
        &IMAGES.map(|name| format!("ghcr.io/your-org/{name}:latest")).each_ref().map(String::as_str),
    )?;
    let kubectls = cloud.kubectls();
    for kubectl in &kubectls {
        apply(kubectl, files)?;
    }
    let mut agent = Node::with_pods(site, NODE, cable);
    agent.flags.push(format!("--images={}", archives.display()));
    agent.launch(Some(&cloud.token()?))?;
    let api = cloud.api().await?;
    agent.ready(&api).await?;
    let pods = eventually("the lab's four pods being ready", PATIENCE, async || {
        agent.process()?.check()?;
        let pods = api.list("/api/v1/pods").await?;
        let ready = pods.iter().filter(|pod| condition(pod, "Ready")).count();
        let node = api.get("/api/v1/nodes/edge-node-1").await?;
        let lease = api.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/edge-node-1").await?;
        anyhow::ensure!(
            pods.len() == 4 && ready == 4,
            "{ready} of {} pods are ready on {node} with {lease}",
            pods.len()
        );
        Ok(Some(pods))
    })
    .await?;
    anyhow::ensure!(pods.iter().all(|pod| text(pod, "/spec/nodeName") == NODE), "a pod is elsewhere");
    for path in ["/var/lib/iot-data", "/var/run/device.sock"] {
        anyhow::ensure!(Path::new(path).exists(), "hostPath {path} was not created");
    }
    let processor = pods.iter().find(|pod| text(pod, "/metadata/labels/app") == "iot-processor");
    limits_hold(processor.unwrap_or(&Value::Null))?;
    results(&api).await?;
    for kubectl in &kubectls {
        logs(kubectl).await?;
        tainted_at_most(&apply(kubectl, files)?)?;
        taint_goes(&api).await?;
    }
    agent.stop().await?;
    cloud.stop().await
}

/// 200m processor and 256Mi memory, in the container's own cgroup.
fn limits_hold(pod: &Value) -> anyhow::Result<()> {
    let id = text(pod, "/status/containerStatuses/0/containerID").rsplit('/').next().unwrap_or_default();
    anyhow::ensure!(!id.is_empty(), "no container id: {pod}");
    let own: Vec<_> = machine::cgroups(NODE).into_iter().filter(|folder| folder.ends_with(id)).collect();
    let value = |names: [&str; 2]| {
        let files = own.iter().flat_map(|folder| names.map(|name| folder.join(name)));
        files.filter_map(|file| std::fs::read_to_string(file).ok()).next().unwrap_or_default().trim().to_owned()
    };
    let memory = value(["memory.limit_in_bytes", "memory.max"]);
    anyhow::ensure!(memory == "268435456", "memory limit {memory:?} in {own:?}");
    let quota = value(["cpu.cfs_quota_us", "cpu.max"]);
    anyhow::ensure!(quota.split(' ').next() == Some("20000"), "processor quota {quota:?} in {own:?}");
    Ok(())
}

/// What became of the pools' objects and of the Service.
async fn results(api: &Api) -> anyhow::Result<()> {
    let deployments = api.list("/apis/apps/v1/deployments").await?;
    for owner in ["UnitedDeployment", "YurtAppSet"] {
        let owned = |one: &&Value| text(one, "/metadata/ownerReferences/0/kind") == owner;
        let made: Vec<_> = deployments.iter().filter(owned).collect();
        anyhow::ensure!(made.len() == 1, "{owner} made {} deployments", made.len());
        let template = made[0].pointer("/spec/template/spec").unwrap_or(&Value::Null).to_string();
        anyhow::ensure!(
            template.contains("topology.kubernetes.io/zone") && template.contains("factory-1"),
            "{owner} does not bind its pods to the pool: {template}"
        );
    }
    eventually("NodePool counting its node", PATIENCE, async || {
        let pool = api.get("/apis/apps.openyurt.io/v1alpha1/nodepools/factory-1").await?;
        Ok((pool.pointer("/status/readyNodeNum") == Some(&json!(1))).then_some(()))
    })
    .await?;
    let service = api.get("/api/v1/namespaces/edge-system/services/iot-processor").await?;
    anyhow::ensure!(text(&service, "/spec/clusterIP").starts_with("10."), "no ClusterIP: {service}");
    eventually("the Service's endpoints", PATIENCE, async || {
        let path = "/apis/discovery.k8s.io/v1/namespaces/edge-system/endpointslices";
        let slices = api.list(path).await?;
        let listed = |slice: &Value| slice.pointer("/endpoints/0/addresses/0").is_some();
        Ok(slices.iter().any(listed).then_some(()))
    })
    .await?;
    let events = api.list("/api/v1/namespaces/edge-system/events").await?;
    let told = events.iter().any(|event| text(event, "/message").contains("ghcr.io/your-org"));
    anyhow::ensure!(told, "no event says that a present image is used although its registry cannot be reached");
    Ok(())
}

/// `kubectl logs -l` shows what the container was given.
async fn logs(kubectl: &Kubectl) -> anyhow::Result<()> {
    let command = ["logs", "-n", "edge-system", "-l", "app=iot-processor", "--tail=5"];
    eventually("the processor's log", PATIENCE, async || {
        Ok(kubectl.run(&command)?.contains("working on edge-node-1 offline=true").then_some(()))
    })
    .await
}

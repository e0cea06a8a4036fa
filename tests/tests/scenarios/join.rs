//! A node joins with a token, once; whoever must not join is told why and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use edgeward_tests::api::{condition, taints};
use edgeward_tests::{Cloud, Node, PATIENCE, Site, eventually, scenario};
use serde_json::{Value, json};

/// The token's last letters are the end of its signature.
fn broken(token: &str) -> String {
    format!("{}AAAAAA", &token[..token.len() - 6])
}

/// A token that names another CA.
fn foreign(token: &str) -> String {
    let (hash, rest) = token.split_once('.').unwrap_or((token, ""));
    format!("{}.{rest}", "0".repeat(hash.len()))
}

/// Runs an agent that must be refused: exit code 1, and one last line that holds the words.
async fn refused(
    site: &Arc<Site>,
    cloud: &Cloud,
    node: u8,
    name: &str,
    token: Option<&str>,
    words: &[&str],
) -> anyhow::Result<()> {
    let mut node = Node::new(site, node, name, cloud.address());
    node.launch(token)?;
    let (status, line) = node.process()?.wait(PATIENCE).await?;
    anyhow::ensure!(status.code() == Some(1), "{name}: {status}: {line}");
    anyhow::ensure!(line.starts_with("edgeward: "), "{name}: {line}");
    for word in words {
        anyhow::ensure!(line.to_lowercase().contains(word), "{name}: {word:?} is not in {line:?}");
    }
    Ok(())
}

#[test]
fn whoever_has_no_good_token_is_told_why() {
    scenario("join-refusals", async |site| {
        let cloud = Cloud::start(&site).await?;
        let good = cloud.token()?;
        let expired = cloud.token_for("1ms")?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        refused(&site, &cloud, 1, "intruder-1", Some(&broken(&good)), &["token"]).await?;
        refused(&site, &cloud, 1, "intruder-2", Some(&expired), &["token", "expired"]).await?;
        refused(&site, &cloud, 1, "intruder-3", Some(&foreign(&good)), &["token", "ca"]).await?;
        refused(&site, &cloud, 1, "intruder-4", Some("not a token"), &["token"]).await?;
        refused(&site, &cloud, 1, "intruder-5", None, &["token"]).await?;
        refused(&site, &cloud, 1, "No_Node_Name", Some(&good), &["no_node_name"]).await?;
        let nodes = cloud.api().await?.list("/api/v1/nodes").await?;
        anyhow::ensure!(nodes.is_empty(), "an intruder left a node: {nodes:?}");
        Ok(())
    });
}

#[test]
fn a_name_belongs_to_the_key_that_took_it() {
    scenario("join-name", async |site| {
        let cloud = Cloud::start(&site).await?;
        let api = cloud.api().await?;
        let token = cloud.token()?;
        let mut first = Node::new(&site, 1, "oven", cloud.address());
        first.launch(Some(&token))?;
        first.ready(&api).await?;
        // Another machine, with a good token, says that it is the oven.
        let dir = first.dir();
        let taken = dir.with_file_name("first-oven");
        first.stop().await?;
        std::fs::rename(&dir, &taken)?;
        refused(&site, &cloud, 2, "oven", Some(&token), &["oven"]).await?;
        // The operator says that the first one is gone for good.
        let forget = |name: &str| {
            let kubeconfig = cloud.kubeconfig();
            site.command().args(["node", "forget", name, "--kubeconfig"]).arg(kubeconfig).output()
        };
        let output = forget("oven")?;
        anyhow::ensure!(output.status.success(), "forget: {}", String::from_utf8_lossy(&output.stderr));
        let mut second = Node::new(&site, 2, "oven", cloud.address());
        second.launch(Some(&token))?;
        second.ready(&api).await?;
        let output = forget("kettle")?;
        anyhow::ensure!(output.status.code() == Some(1), "a node nobody knows was forgotten");
        Ok(())
    });
}

#[test]
fn a_joined_node_needs_no_token_any_more() {
    scenario("join-again", async |site| {
        let mut cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "press", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        node.stop().await?;
        cloud.stop().await?;
        cloud.launch()?;
        cloud.ready().await?;
        node.launch(None)?;
        node.ready(&cloud.api().await?).await?;
        Ok(())
    });
}

#[test]
fn a_node_that_exists_is_adopted_and_missed() {
    scenario("join-adoption", async |site| {
        let cloud = Cloud::start(&site).await?;
        let api = cloud.api().await?;
        let not_ready = "node.kubernetes.io/not-ready";
        let labels = json!({"openyurt.io/is-edge-worker": "true", "topology.kubernetes.io/zone": "factory-1"});
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "edge-node-1", "labels": labels},
            "spec": {"taints": [{"key": not_ready, "effect": "NoSchedule"}]},
        });
        let made = api.create("/api/v1/nodes", &node).await?;
        let mut agent = Node::new(&site, 1, "edge-node-1", cloud.address());
        agent.launch(Some(&cloud.token()?))?;
        agent.ready(&api).await?;
        let adopted = node_when(&api, "its taints going", |node| taints(node).is_empty()).await?;
        anyhow::ensure!(adopted["metadata"]["uid"] == made["metadata"]["uid"], "it was replaced, not adopted");
        for (key, value) in labels.as_object().into_iter().flatten() {
            anyhow::ensure!(&adopted["metadata"]["labels"][key] == value, "label {key} is lost");
        }
        agent.kill()?;
        node_when(&api, "its loss being noticed", |node| {
            !condition(node, "Ready") && taints(node).contains(&not_ready)
                || taints(node).contains(&"node.kubernetes.io/unreachable")
        })
        .await?;
        agent.launch(None)?;
        agent.ready(&api).await?;
        node_when(&api, "its taints going again", |node| taints(node).is_empty()).await?;
        Ok(())
    });
}

async fn node_when(api: &edgeward_tests::Api, what: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    eventually(what, PATIENCE, async || Ok(Some(api.get("/api/v1/nodes/edge-node-1").await?).filter(&wanted))).await
}

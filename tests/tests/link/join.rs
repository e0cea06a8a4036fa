//! Who is let in and who is not, and in what words.

use std::time::Duration;

use edgeward_agent::link::{LinkState, Options, join};
use edgeward_pki::Authority;

use crate::lab::{Cloud, Node, eventually};

fn options(cloud: &Cloud, node: &str, folder: &std::path::Path, token: Option<String>) -> Options {
    let mut options = cloud.agent_options(node, folder).link;
    options.token = token;
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_is_wrong_and_leave_no_certificate() {
    let cloud = Cloud::start().await;
    let foreign = tempfile::tempdir().unwrap();
    let foreign = Authority::open(foreign.path()).unwrap();
    let good = cloud.token();
    let (hash, _) = good.split_once('.').unwrap();
    let foreign_token = foreign.create_token(Duration::from_secs(60));
    let (_, foreign_bearer) = foreign_token.split_once('.').unwrap();
    let cases = [
        (None, "no join token to get one"),
        (Some(String::new()), "is empty"),
        (Some("nonsense".to_owned()), "malformed"),
        (Some(format!("{hash}.a.b.c")), "malformed"),
        (Some(foreign_token.clone()), "belongs to another cloud"),
        (Some(format!("{hash}.{foreign_bearer}")), "bad signature"),
        (Some(cloud.authority.create_token(Duration::ZERO)), "has expired"),
    ];
    for (token, expect) in cases {
        let folder = tempfile::tempdir().unwrap();
        let error = join(&options(&cloud, "edge-1", folder.path(), token.clone())).await.unwrap_err().to_string();
        assert!(error.contains(expect), "{token:?}: {error}");
        assert!(!error.contains(foreign_bearer), "the token is a secret");
        assert!(!folder.path().join("pki/node.crt").exists());
    }
    let folder = tempfile::tempdir().unwrap();
    let error = join(&options(&cloud, "Not_A_Name", folder.path(), Some(good.clone()))).await.unwrap_err().to_string();
    assert!(error.contains("is no node name"), "{error}");
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_belongs_to_the_key_that_took_it() {
    let cloud = Cloud::start().await;
    let first = tempfile::tempdir().unwrap();
    let credentials = join(&options(&cloud, "edge-1", first.path(), Some(cloud.token()))).await.unwrap();
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(first.path().join("pki/node.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The certificate is on disk: no token is needed any longer.
    let again = join(&options(&cloud, "edge-1", first.path(), None)).await.unwrap();
    assert_eq!(again.identity.chain, credentials.identity.chain);
    // A join that was cut off between key and certificate goes on with its key.
    std::fs::remove_file(first.path().join("pki/node.crt")).unwrap();
    join(&options(&cloud, "edge-1", first.path(), Some(cloud.token()))).await.unwrap();

    let second = tempfile::tempdir().unwrap();
    let node = Node::start(cloud.agent_options("edge-1", second.path())).await;
    let LinkState::Refused(reason) = node.link(|state| matches!(state, LinkState::Refused(_))).await else {
        unreachable!()
    };
    assert!(reason.contains("edge-1") && reason.contains("another"), "{reason}");
    let (status, nodes) = node.get("/api/v1/nodes/edge-1").await;
    assert_eq!((status, nodes["metadata"]["name"].as_str()), (200, Some("edge-1")), "the node works on alone");
    node.stop().await;
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_made_beforehand_is_adopted() {
    let cloud = Cloud::start().await;
    cloud
        .create(serde_json::json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "edge-1", "labels": {"site": "north", "kubernetes.io/arch": "abacus"}},
            "spec": {"taints": [{"key": "mine", "effect": "NoSchedule"}]},
        }))
        .await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = cloud.agent_options("edge-1", folder.path());
    options.node.labels.insert("site".into(), "south".into());
    options.node.labels.insert("line".into(), "4".into());
    let node = Node::start(options).await;
    let seen = cloud
        .when("v1", "Node", None, "edge-1", |node| {
            node["metadata"]["labels"]["line"] == "4" && node["status"]["conditions"][3]["status"] == "True"
        })
        .await;
    let labels = &seen["metadata"]["labels"];
    assert_eq!((labels["site"].as_str(), labels["kubernetes.io/arch"].as_str()), (Some("north"), Some("abacus")));
    assert_eq!(labels["node-role.kubernetes.io/edge"], "");
    assert_eq!(seen["spec"]["taints"][0]["key"], "mine");
    assert_eq!(seen["status"]["capacity"]["pods"], "0", "a node without containers takes no pods");
    let lease = cloud
        .when("coordination.k8s.io/v1", "Lease", Some("kube-node-lease"), "edge-1", |lease| {
            lease["spec"]["holderIdentity"] == "edge-1"
        })
        .await;
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 40);
    // What the cloud knows of the node is known on the node.
    let local = node.when("/api/v1/nodes/edge-1", |_, node| node["metadata"]["labels"]["line"] == "4").await;
    assert_eq!(local["metadata"]["labels"]["site"], "north");
    node.stop().await;
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_in_the_running_process() {
    // So short a life (certificates begin five minutes ago) that the moment to renew is past at once.
    let short = edgeward_hub::Options { node_certificate_lifetime: Duration::from_secs(340), ..Default::default() };
    let cloud = Cloud::start_with(short).await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = cloud.agent_options("edge-1", folder.path());
    // Long enough to be seen.
    options.link.retry = (Duration::from_secs(1), Duration::from_secs(1));
    let node = Node::start(options).await;
    node.online().await;
    let certificate = || std::fs::read(folder.path().join("pki/node.crt")).unwrap();
    let first = certificate();
    eventually("another certificate", async || (certificate() != first).then_some(())).await;
    node.link(|state| *state == LinkState::Offline("certificate renewed".to_owned())).await;
    node.online().await;
    assert_eq!(cloud.hub.sessions().len(), 1);
    node.stop().await;
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_off_for_too_long_joins_again_with_its_key() {
    let expired = edgeward_hub::Options { node_certificate_lifetime: Duration::from_secs(1), ..Default::default() };
    let cloud = Cloud::start_with(expired).await;
    let folder = tempfile::tempdir().unwrap();
    let token = Some(cloud.token());
    let first = join(&options(&cloud, "edge-1", folder.path(), token.clone())).await.unwrap();
    let error = join(&options(&cloud, "edge-1", folder.path(), None)).await.unwrap_err().to_string();
    assert!(error.contains("no valid certificate"), "{error}");
    let second = join(&options(&cloud, "edge-1", folder.path(), token)).await.unwrap();
    assert_ne!(first.identity.chain, second.identity.chain);
    assert_eq!(first.identity.key, second.identity.key);
    cloud.stop().await;
}

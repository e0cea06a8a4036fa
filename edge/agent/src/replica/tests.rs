//! Who may say what about an object: the cloud about all but the status, the node about the status of its own.

use serde_json::json;

use super::kinds::NODE;
use super::*;

fn pod(uid: &str, image: &str, phase: &str) -> Object {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "uid": uid},
        "spec": {"containers": [{"name": "main", "image": image}]}, "status": {"phase": phase},
    });
    Object::from_value(pod).unwrap()
}

async fn replica() -> (tempfile::TempDir, Replica) {
    let folder = tempfile::tempdir().unwrap();
    let replica = Replica::open(&folder.path().join("replica.db")).await.unwrap();
    (folder, replica)
}

async fn phase(replica: &Replica, uid: &str, phase: &str) {
    let change = |object: &mut Object| {
        let new = object.get_str(&["status", "phase"]) != Some(phase);
        object.set(&["status", "phase"], phase);
        new
    };
    replica.report(&POD.key(Some("default"), "p"), uid, change).await.unwrap();
}

/// `image phase version unsent` of the pod, or `none`.
async fn look(replica: &Replica) -> String {
    let Some(Document { object, mark }) = replica.get(&POD.key(Some("default"), "p")).await.unwrap() else {
        return "none".into();
    };
    let image = object.get_list(&["spec", "containers"])[0]["image"].as_str().unwrap();
    let unsent = if mark.unsent.is_some() { "unsent" } else { "sent" };
    format!("{image} {} {} {unsent}", object.get_str(&["status", "phase"]).unwrap_or("-"), mark.version)
}

#[tokio::test]
async fn each_side_keeps_its_say() {
    let (_folder, replica) = replica().await;
    let key = POD.key(Some("default"), "p");
    let number = async || replica.get(&key).await.unwrap().unwrap().mark.unsent.unwrap();
    let apply = async |uid, image, phase, version| replica.apply(POD, pod(uid, image, phase), version).await.unwrap();

    assert_eq!(apply("u1", "a", "Pending", "10").await, Applied::Stored);
    assert_eq!(look(&replica).await, "a Pending 10 sent");
    assert_eq!(apply("u1", "b", "Unknown", "11").await, Applied::Stored);
    assert_eq!(look(&replica).await, "b Unknown 11 sent", "the status is the cloud's as long as the node said nothing");
    phase(&replica, "u1", "Running").await;
    assert_eq!(look(&replica).await, "b Running 11 unsent");
    assert_eq!(apply("u1", "c", "Pending", "12").await, Applied::Stored);
    assert_eq!(look(&replica).await, "c Running 12 unsent");
    assert_eq!(apply("u1", "old", "Pending", "9").await, Applied::Old);
    assert_eq!(look(&replica).await, "c Running 12 unsent");

    // A change that is made while an older one is under way stays unsent when that one is confirmed.
    let first = number().await;
    phase(&replica, "u1", "Succeeded").await;
    replica.confirm(&key, first, "13").await.unwrap();
    assert_eq!(look(&replica).await, "c Succeeded 12 unsent");
    replica.confirm(&key, number().await, "14").await.unwrap();
    assert_eq!(look(&replica).await, "c Succeeded 12 sent");
    phase(&replica, "u1", "Succeeded").await;
    phase(&replica, "other", "Failed").await;
    assert_eq!(look(&replica).await, "c Succeeded 12 sent", "nothing new, or about another pod");

    // Another pod of the same name has nothing of the first one.
    assert_eq!(apply("u2", "d", "Pending", "20").await, Applied::Stored);
    assert_eq!(look(&replica).await, "d Pending 20 sent");
    replica.remove(&key, "u1").await.unwrap();
    assert_eq!(look(&replica).await, "d Pending 20 sent", "a late delete of the first one");
    replica.pod_is_gone(&key, "u1").await.unwrap();
    replica.pod_is_gone(&key, "u2").await.unwrap();
    assert_eq!(look(&replica).await, "d Pending 20 unsent");
    replica.confirm(&key, number().await, "").await.unwrap();
    assert_eq!(look(&replica).await, "none");
    apply("u3", "e", "Pending", "30").await;
    replica.remove(&key, "").await.unwrap();
    assert_eq!(look(&replica).await, "none");
}

#[tokio::test]
async fn marks_survive_a_restart_and_make_the_inventory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    let open = async || Replica::open(&path).await.unwrap();
    let replica = open().await;
    replica.apply(POD, pod("u1", "a", "Pending"), "10").await.unwrap();
    phase(&replica, "u1", "Running").await;
    let node = Object::new(&NODE.gvk(), None, "edge-1");
    replica.put_own(&NODE.key(None, "edge-1"), node, false).await.unwrap();
    drop(replica);
    // The store closes behind its last handle.
    let replica = loop {
        match Replica::open(&path).await {
            Err(Error::Store(StoreError::Locked(_))) => tokio::task::yield_now().await,
            opened => break opened.unwrap(),
        }
    };
    assert_eq!(look(&replica).await, "a Running 10 unsent");
    let have = replica.have().await.unwrap();
    let have: Vec<_> = have.iter().map(|entry| (entry.resource.as_str(), entry.resource_version.as_str())).collect();
    assert_eq!(have, [("default/pod/p", "10")], "what the cloud never sent is not in it");
    let unsent = replica.unsent().await.unwrap();
    let key = unsent.next().await;
    assert_eq!(key, POD.key(Some("default"), "p"));
    // While its message is under way, a further change of the same object waits.
    phase(&replica, "u1", "Failed").await;
    assert_eq!(futures::FutureExt::now_or_never(unsent.next()), None);
    unsent.done(&key);
    assert_eq!(unsent.next().await, key);
}

#[tokio::test]
async fn the_first_document_from_the_cloud_takes_the_nodes_own_over() {
    let (_folder, replica) = replica().await;
    let key = NODE.key(None, "edge-1");
    replica.put_own(&key, Object::new(&NODE.gvk(), None, "edge-1"), false).await.unwrap();
    let status = json!({"phase": "mine"});
    replica
        .report(&key, "", |node| {
            node.set(&["status"], status.clone());
            true
        })
        .await
        .unwrap();
    let theirs = json!({
        "metadata": {"name": "edge-1", "uid": "n1", "labels": {"site": "north"}}, "status": {"phase": "theirs"},
    });
    replica.apply(NODE, Object::from_value(theirs).unwrap(), "5").await.unwrap();
    let node = replica.get(&key).await.unwrap().unwrap();
    assert_eq!((node.object.kind(), node.object.uid(), node.object.label("site")), ("Node", "n1", Some("north")));
    assert_eq!(node.object.get(&["status"]), Some(&status));
    assert!(node.mark.unsent.is_some() && node.mark.version == "5");
}

#[tokio::test]
async fn changes_side_by_side_are_all_made() {
    let (_folder, replica) = replica().await;
    replica.apply(POD, pod("u1", "a", "Pending"), "1").await.unwrap();
    let key = POD.key(Some("default"), "p");
    let changes = (0..16).map(|number| {
        let (replica, key) = (replica.clone(), key.clone());
        async move {
            let field = format!("f{number}");
            let change = |object: &mut Object| {
                object.set(&["status", &field], number);
                true
            };
            replica.report(&key, "u1", change).await.unwrap();
        }
    });
    futures::future::join_all(changes).await;
    let pod = replica.get(&key).await.unwrap().unwrap();
    assert_eq!(pod.object.get_map(&["status"]).unwrap().len(), 17);
}

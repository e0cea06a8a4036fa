//! Sessions: what a node is sent, what it may do, and what happens when the line breaks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap in a test is a failed test")]

mod common;

use std::time::Duration;

use common::{Cloud, Node, outcome};
use edgeward_hub::{LogsError, Options, SessionEvent};
use edgeward_wire::{
    Envelope, Frame, Have, HaveEntry, Limits, LogRequest, Record, StreamFailure, StreamPart, StreamRequest,
    TelemetryBuilder, content,
};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

fn pod(name: &str, node: &str, config: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "c", "image": "busybox"}],
            "volumes": [{"name": "v", "configMap": {"name": config}}],
        },
    })
}

fn config(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"key": value}})
}

fn device(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device", "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "deviceModelRef": {"name": "model"}, "protocol": {"protocolName": "x"}},
    })
}

async fn have(node: &mut Node, entries: &[(&str, &str)]) {
    let entries = entries.iter();
    let entries = entries
        .map(|(resource, version)| HaveEntry { resource: (*resource).into(), resource_version: (*version).into() });
    node.send_frame(&Frame::Have(Have { complete: true, entries: entries.collect() })).await;
}

/// Waits until the session of this node is gone.
async fn gone(cloud: &Cloud, node: Node, events: &mut tokio::sync::broadcast::Receiver<SessionEvent>) {
    drop(node);
    while !matches!(events.recv().await.unwrap(), SessionEvent::Disconnected { .. }) {}
    assert!(cloud.handle.sessions().is_empty());
}

#[tokio::test]
async fn a_kubeedge_edge_gets_its_objects_one_by_one_and_only_differences_after_a_break() {
    let cloud = Cloud::start().await;
    let mut events = cloud.handle.events();
    let identity = cloud.join("edge1").await;
    for object in [config("mine", "1"), config("other", "1"), pod("a", "edge1", "mine"), pod("b", "edge2", "other")] {
        cloud.create(object).await;
    }
    let mut edge = cloud.edge("edge1", &identity).await;
    let first = edge.next().await.unwrap();
    assert_eq!((first.route.operation.as_str(), first.route.resource.as_str()), ("insert", "default/configmap/mine"));
    let body: Value = first.read().unwrap();
    assert_eq!(
        (&body["kind"], &body["apiVersion"], &body["data"]["key"]),
        (&json!("ConfigMap"), &json!("v1"), &json!("1"))
    );
    assert_eq!(body["metadata"]["resourceVersion"], first.header.resource_version.as_str());
    assert!(body["metadata"].get("managedFields").is_none());
    edge.send(&first.ack(1)).await;
    assert_eq!(edge.delivery().await, "insert default/pod/a");
    cloud.merge(&config("mine", ""), json!({"data": {"key": "2"}})).await;
    assert_eq!(edge.delivery().await, "update default/configmap/mine");

    // The record for a Go cloudcore: one per object, with the version the edge acknowledged.
    cloud.create(pod("c", "edge1", "mine")).await;
    assert_eq!(edge.delivery().await, "insert default/pod/c");
    let syncs = cloud.api("reliablesyncs.kubeedge.io/v1alpha1", "ObjectSync", "objectsyncs", Some("default"));
    let list = syncs.list(&Default::default()).await.unwrap();
    let sync = list.items.iter().find(|sync| sync.data["spec"]["objectName"] == "a").unwrap();
    assert_eq!(sync.data["spec"]["objectKind"], "Pod");
    assert!(sync.metadata.name.as_deref().unwrap().starts_with("edge1."));

    gone(&cloud, edge, &mut events).await;
    cloud.delete(&pod("a", "edge1", "mine")).await;
    cloud.create(pod("d", "edge1", "mine")).await;
    let mut edge = cloud.edge("edge1", &identity).await;
    let mut seen = edge.deliveries(2).await;
    // The last acknowledgement may have been lost with the line; a repeat is allowed then.
    if seen.contains(&"update default/pod/c".to_owned()) {
        seen = [seen, edge.deliveries(1).await].concat();
        seen.retain(|delivery| delivery != "update default/pod/c");
        seen.sort();
    }
    assert_eq!(seen, ["delete default/pod/a", "insert default/pod/d"]);
    cloud.stop().await;
}

#[tokio::test]
async fn an_agent_that_says_what_it_has_gets_only_the_rest() {
    let cloud = Cloud::start().await;
    let identity = cloud.join("edge1").await;
    cloud.create(config("mine", "1")).await;
    let same = cloud.create(pod("same", "edge1", "mine")).await.metadata.resource_version.unwrap();
    let changed = cloud.create(pod("changed", "edge1", "mine")).await.metadata.resource_version.unwrap();
    cloud.merge(&pod("changed", "", ""), json!({"metadata": {"labels": {"a": "b"}}})).await;
    let mut agent = cloud.agent("edge1", &identity).await;
    let entries = [
        ("default/pod/same", same.as_str()),
        ("default/pod/changed", changed.as_str()),
        ("default/pod/gone", "3"),
        ("not a resource", "3"),
    ];
    have(&mut agent, &entries).await;
    let seen = agent.deliveries(3).await;
    assert_eq!(seen, ["delete default/pod/gone", "insert default/configmap/mine", "update default/pod/changed"]);
    // Status alone is not echoed; the next real change is.
    let patch = json!({"status": {"phase": "Running"}}).to_string();
    let answer = agent.request("patch", "default/podpatch/same", json!(patch)).await;
    assert_eq!(outcome(&answer), "object");
    assert!(!answer.header.resource_version.is_empty());
    cloud.merge(&pod("same", "", ""), json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(agent.delivery().await, "update default/pod/same");
    cloud.stop().await;
}

#[tokio::test]
async fn an_unacknowledged_delivery_is_repeated_and_a_window_lets_others_pass() {
    let cloud = Cloud::start_with(Options { resend: Duration::from_millis(200), ..Options::default() }).await;
    let identity = cloud.join("edge1").await;
    cloud.create(pod("a", "edge1", "none")).await;
    cloud.create(pod("b", "edge1", "none")).await;
    let mut edge = cloud.edge("edge1", &identity).await;
    let first = edge.next().await.unwrap();
    let again = edge.next().await.unwrap();
    assert_eq!(first, again, "the same message with the same id");
    edge.send(&first.ack(1)).await;
    while edge.next().await.unwrap().header.id == first.header.id {}

    let mut agent = cloud.agent("edge1", &identity).await;
    have(&mut agent, &[]).await;
    let (one, two) = (agent.next().await.unwrap(), agent.next().await.unwrap());
    assert_eq!((one.route.resource.as_str(), two.route.resource.as_str()), ("default/pod/a", "default/pod/b"));
    // A refusal is no acknowledgement.
    agent.send(&one.refuse(1, "meta", "resource", "disk full")).await;
    while agent.next().await.unwrap().header.id != one.header.id {}
    cloud.stop().await;
}

#[tokio::test]
async fn a_node_registers_lives_and_reports() {
    let cloud = Cloud::start().await;
    let identity = cloud.join("edge1").await;
    let mut edge = cloud.edge("edge1", &identity).await;
    let mut check = async |operation: &str, resource: &str, body: Value, expected: &str| {
        let answer = edge.request(operation, resource, body).await;
        assert_eq!(outcome(&answer), expected, "{operation} {resource}: {:?}", answer.content);
        assert_eq!(answer.route.resource, resource);
        answer
    };
    let lease = "kube-node-lease/lease/edge1";
    check("query", lease, Value::Null, "err 404").await;
    let node = json!({"metadata": {"name": "edge1", "labels": {"a": "b"}, "creationTimestamp": null}, "spec": {}, "status": {}});
    check("insert", "null/node/edge1", node.clone(), "object").await;
    check("insert", "null/node/edge1", node, "err 409").await;
    check("update", "null/node/edge1", json!({"metadata": {"name": "edge1", "labels": {"c": "d"}}}), "OK").await;
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}).to_string();
    let patched = check("patch", "null/nodepatch/edge1", json!(status), "object").await;
    assert!(!patched.header.resource_version.is_empty());
    let read: Value = check("query", "null/node/edge1", Value::Null, "object").await.read().unwrap();
    assert_eq!(read["Object"]["metadata"]["labels"], json!({"a": "b", "c": "d"}));
    assert_eq!(read["Object"]["status"]["conditions"][0]["status"], "True");

    let body =
        json!({"metadata": {"name": "edge1", "namespace": "kube-node-lease"}, "spec": {"holderIdentity": "edge1"}});
    let created: Value = check("insert", lease, body, "object").await.read().unwrap();
    let mut renewed = created["Object"].clone();
    renewed["spec"]["renewTime"] = json!("2026-11-21T09:00:00.000000Z");
    check("update", lease, renewed, "object").await;
    let pem: Value =
        check("query", "k8s/ca.crt", Value::Null, &cloud.authority.certificate_pem()).await.read().unwrap();
    assert!(pem.as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    cloud.stop().await;
}

#[tokio::test]
async fn a_node_touches_only_what_is_its_own() {
    let cloud = Cloud::start().await;
    let identity = cloud.join("edge1").await;
    let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}, "data": {}});
    for object in [
        pod("mine", "edge1", "seen"),
        pod("other", "edge2", "unseen"),
        config("seen", "1"),
        config("unseen", "1"),
        secret("s"),
    ] {
        cloud.create(object).await;
    }
    let mut agent = cloud.agent("edge1", &identity).await;
    have(&mut agent, &[]).await;
    assert_eq!(agent.deliveries(2).await, ["insert default/configmap/seen", "insert default/pod/mine"]);
    let status = json!(json!({"status": {"phase": "Running"}}).to_string());
    let named = |name: &str| json!({"metadata": {"name": name}});
    let token = json!({"spec": {"audiences": [], "boundObjectRef": {"kind": "Pod", "name": "other", "uid": "x"}}});
    let cases = [
        ("insert", "null/node/edge2", named("edge2"), "err 403"),
        ("insert", "null/node/edge1", named("edge2"), "err 403"),
        ("patch", "null/nodepatch/edge2", status.clone(), "err 403"),
        ("update", "kube-node-lease/lease/edge2", named("edge2"), "err 403"),
        ("query", "default/lease/edge1", Value::Null, "err 403"),
        ("patch", "default/podpatch/other", status.clone(), "err 403"),
        ("patch", "default/podpatch/nosuch", status.clone(), "err 404"),
        ("patch", "default/podpatch/mine", status, "object"),
        ("delete", "default/pod/other", json!({"gracePeriodSeconds": 0}), "failure 403"),
        ("delete", "default/pod/nosuch", json!({"gracePeriodSeconds": 0}), "OK"),
        ("insert", "default/pod/x", json!({"metadata": {"name": "x"}, "spec": {"nodeName": "edge2"}}), "err 403"),
        ("query", "default/configmap/seen", Value::Null, "plain"),
        ("query", "default/configmap/unseen", Value::Null, "failure 403"),
        ("query", "default/secret/s", Value::Null, "failure 403"),
        ("query", "default/serviceaccounttoken/default", token, "failure 403"),
        ("insert", "default/event/e", json!({"metadata": {"name": "e"}, "source": {"host": "edge2"}}), "failure 403"),
        ("insert", "default/event/e", json!("no event"), "failure 400"),
        ("insert", "default/event/e", json!({"metadata": {"name": "e"}, "source": 5}), "failure 400"),
        ("insert", "null/node/edge1", json!("text"), "err 400"),
        ("insert", "default/certificatesigningrequest/c", json!({"spec": {"signerName": "x"}}), "err 403"),
        (
            "update",
            "device/default/d/twin/edge_updated",
            json!({}),
            "error: device default/d is not assigned to node edge1",
        ),
    ];
    for (operation, resource, body, expected) in cases {
        let answer = agent.request(operation, resource, body).await;
        assert_eq!(outcome(&answer), expected, "{operation} {resource}");
    }
    let event = json!({
        "metadata": {"name": "e", "namespace": "default"}, "reason": "Started",
        "involvedObject": {"kind": "Pod", "name": "mine", "namespace": "default"},
    });
    assert_eq!(outcome(&agent.request("insert", "default/event/e", event).await), "OK");
    let events = cloud.api("v1", "Event", "events", Some("default"));
    assert_eq!(events.get("e").await.unwrap().data["source"]["host"], "edge1");
    cloud.stop().await;
}

#[tokio::test]
async fn devices_and_telemetry_go_to_their_handlers_and_a_slow_one_holds_up_no_other() {
    let cloud = Cloud::start().await;
    let identity = cloud.join("edge1").await;
    for name in ["slow", "fast"] {
        cloud.create(device(name, "edge1")).await;
    }
    let mut agent = cloud.agent("edge1", &identity).await;
    have(&mut agent, &[]).await;
    let joined = agent.deliveries(4).await;
    assert_eq!(
        joined,
        ["insert default/device/fast", "insert default/device/slow", "update membership", "update membership"]
    );
    let report = |name: &str, value: u32| {
        let resource = format!("device/default/{name}/twin/edge_updated");
        Envelope::new(1, "twin", "resource", "update", resource, content(&json!({"event_id": value})).unwrap())
    };
    let held = report("slow", 0);
    agent.send(&held).await;
    for value in 0..1_000 {
        agent.send(&report("fast", value)).await;
    }
    for _ in 0..1_000 {
        let confirmation = agent.next().await.unwrap();
        assert_eq!((confirmation.route.group.as_str(), confirmation.route.resource.as_str()), ("twin", "twin"));
        assert_ne!(confirmation.header.parent_id, held.header.id);
    }
    let expected: Vec<String> =
        (0..1_000).map(|value| format!("edge1 default/fast twin {{\"event_id\":{value}}}")).collect();
    assert_eq!(*cloud.reports.devices.lock(), expected, "in order");
    cloud.reports.gate.add_permits(1);
    assert_eq!(agent.next().await.unwrap().header.parent_id, held.header.id);
    let state = agent.request("update", "device/default/fast/state/update", json!("{\"state\":\"online\"}")).await;
    assert_eq!(outcome(&state), "OK");
    assert_eq!(cloud.reports.devices.lock().last().unwrap(), "edge1 default/fast state {\"state\":\"online\"}");
    let refused = agent.request("update", "device/default/fast/twin/edge_updated", json!({"refuse": 1})).await;
    assert_eq!(outcome(&refused), "error: refused on purpose");

    let mut batch = TelemetryBuilder::new(7, Limits::default());
    for id in ["a", "b"] {
        assert!(batch.push(Record { id, timestamp_ms: 1, payload: b"{}", ..Record::default() }));
    }
    agent.send_frame(&Frame::Telemetry(batch.build())).await;
    let Some(Message::Binary(bytes)) = agent.raw().await else { panic!("no acknowledgement") };
    assert_eq!(Frame::decode(&bytes, &Limits::default()).unwrap(), Frame::TelemetryAck { through_seq: 8 });
    assert_eq!(*cloud.reports.readings.lock(), [(7, "a".to_owned()), (8, "b".to_owned())]);
    cloud.stop().await;
}

#[tokio::test]
async fn a_hub_that_starts_again_goes_on_where_the_last_one_stopped() {
    let first = Cloud::start().await;
    let identity = first.join("edge1").await;
    first.create(config("mine", "1")).await;
    first.create(pod("a", "edge1", "mine")).await;
    let mut agent = first.agent("edge1", &identity).await;
    have(&mut agent, &[]).await;
    let mut disk = Vec::new();
    for _ in 0..2 {
        let message = agent.next().await.unwrap();
        agent.send(&message.ack(1)).await;
        disk.push((message.route.resource, message.header.resource_version));
    }
    let second = first.again().await;
    assert!(agent.next().await.is_none());
    second.delete(&pod("a", "", "")).await;
    second.create(pod("b", "edge1", "mine")).await;
    let mut agent = second.agent("edge1", &identity).await;
    let entries: Vec<_> = disk.iter().map(|(resource, version)| (resource.as_str(), version.as_str())).collect();
    have(&mut agent, &entries).await;
    assert_eq!(agent.deliveries(2).await, ["delete default/pod/a", "insert default/pod/b"]);
    second.stop().await;
}

/// What the hub sends next of a stream, pings and deliveries apart.
async fn stream_part(agent: &mut Node) -> (u64, StreamPart) {
    loop {
        if let Some(Message::Binary(bytes)) = agent.raw().await
            && let Frame::Stream { id, part } = Frame::decode(&bytes, &Limits::default()).unwrap()
        {
            return (id, part);
        }
    }
}

#[tokio::test]
async fn logs_are_streamed_within_their_window_and_end_with_their_reader() {
    let cloud = Cloud::start().await;
    let identity = cloud.join("edge1").await;
    let request =
        LogRequest { namespace: "default".into(), pod: "a".into(), container: "c".into(), ..LogRequest::default() };
    let offline = cloud.handle.logs("edge1", request.clone()).await.err().unwrap();
    assert!(offline.to_string().contains("not connected"), "{offline}");
    let mut agent = cloud.agent("edge1", &identity).await;
    have(&mut agent, &[]).await;
    let open = async |agent: &mut Node, answer: StreamPart| {
        let node = async {
            let (id, part) = stream_part(agent).await;
            let StreamPart::Open { window, request: StreamRequest::Logs(asked) } = part else { panic!("{part:?}") };
            assert_eq!(asked, request);
            agent.send_frame(&Frame::Stream { id, part: answer }).await;
            (id, window as usize)
        };
        tokio::join!(cloud.handle.logs("edge1", request.clone()), node)
    };
    let data = |bytes: &[u8]| StreamPart::Data(bytes.to_vec().into());
    let missing = StreamFailure { code: 404, message: "no such container".into() };
    let (refused, _) = open(&mut agent, StreamPart::End(Some(missing.clone()))).await;
    assert!(matches!(refused, Err(LogsError::Node(failure)) if failure == missing));

    let (stream, (id, _)) = open(&mut agent, data(b"")).await;
    let mut stream = stream.unwrap();
    agent.send_frame(&Frame::Stream { id, part: data(b"one\n") }).await;
    assert_eq!(stream.next().await.unwrap().unwrap(), "one\n");
    assert_eq!(stream_part(&mut agent).await, (id, StreamPart::Widen(4)));
    agent.send_frame(&Frame::Stream { id, part: data(b"two\n") }).await;
    agent.send_frame(&Frame::Stream { id, part: StreamPart::End(None) }).await;
    assert_eq!(stream.next().await.unwrap().unwrap(), "two\n");
    assert!(stream.next().await.is_none());
    assert_eq!(stream_part(&mut agent).await, (id, StreamPart::Widen(4)));

    let (stream, (id, window)) = open(&mut agent, data(b"")).await;
    let mut greedy = stream.unwrap();
    agent.send_frame(&Frame::Stream { id, part: data(&vec![b'x'; window]) }).await;
    agent.send_frame(&Frame::Stream { id, part: data(b"y") }).await;
    let mut taken = 0;
    let failure = loop {
        match greedy.next().await.unwrap() {
            Ok(bytes) => taken += bytes.len(),
            Err(failure) => break failure,
        }
    };
    assert!(taken == window && failure.message.contains("more than was granted"), "{taken} {failure}");
    assert_eq!(stream_part(&mut agent).await, (id, StreamPart::Widen(window as u32)));

    let (stream, (id, _)) = open(&mut agent, data(b"")).await;
    drop(stream);
    assert_eq!(stream_part(&mut agent).await, (id, StreamPart::Cancel));
    let (stream, _) = open(&mut agent, data(b"")).await;
    drop(agent);
    assert!(stream.unwrap().next().await.unwrap().unwrap_err().message.contains("session ended"));
    cloud.stop().await;
}

#[tokio::test]
async fn silent_sessions_end_and_talking_ones_do_not() {
    let options = Options {
        keepalive: Duration::from_millis(300),
        own_silence: Duration::from_millis(300),
        ..Options::default()
    };
    let cloud = Cloud::start_with(options).await;
    let identity = cloud.join("edge1").await;
    // A client that reads answers the hub's pings by itself.
    let mut agent = cloud.agent("edge1", &identity).await;
    have(&mut agent, &[]).await;
    let mut pings = 0;
    while pings < 8 {
        if matches!(agent.raw().await.unwrap(), Message::Ping(_)) {
            pings += 1;
        }
    }
    agent.send_raw(Message::Ping(b"you"[..].into())).await;
    while !matches!(agent.raw().await.unwrap(), Message::Pong(payload) if payload == b"you"[..]) {}

    let mut edge = cloud.edge("edge1", &identity).await;
    let keepalive = Envelope::new(1, "websocket", "resource", "keepalive", "node".into(), content("ping").unwrap());
    for _ in 0..5 {
        edge.send(&keepalive).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(cloud.handle.sessions().len(), 1);
    assert!(edge.next().await.is_none(), "an edge that sends no keepalive is dropped");
    cloud.stop().await;
}

#[tokio::test]
async fn what_is_not_understood_harms_nothing() {
    let cloud = Cloud::start().await;
    let identity = cloud.join("edge1").await;
    let mut agent = cloud.agent("edge1", &identity).await;
    have(&mut agent, &[]).await;
    for text in [
        "",
        "{",
        "[]",
        "null",
        r#"{"header":{"msg_id":"1"}}"#,
        r#"{"header":{"msg_id":"1"},"route":{"operation":"x","resource":"a/b/c"}}"#,
    ] {
        agent.send_raw(Message::text(text)).await;
    }
    for bytes in [&b""[..], b"\x01", b"\xff\xff\xff", b"\x01\x00abc", b"\x03\x01abc", b"\x02\x0012345678"] {
        agent.send_raw(Message::Binary(bytes.to_vec().into())).await;
    }
    let answer = agent.request("query", "kube-node-lease/lease/edge1", Value::Null).await;
    assert_eq!(outcome(&answer), "err 404", "the session goes on");
    cloud.stop().await;
}

#[tokio::test]
async fn after_any_number_of_breaks_a_node_has_what_the_cloud_has() {
    let cloud = Cloud::start().await;
    let identity = cloud.join("edge1").await;
    let mut disk = std::collections::BTreeMap::new();
    for round in 0..8 {
        for number in 0..4 {
            let name = format!("p{}", (round * 3 + number) % 7);
            if cloud.api_of(&pod(&name, "", "")).get_opt(&name).await.unwrap().is_some() {
                cloud.delete(&pod(&name, "", "")).await;
            } else {
                cloud.create(pod(&name, "edge1", "none")).await;
            }
        }
        let mut agent = cloud.agent("edge1", &identity).await;
        let entries: Vec<(&str, &str)> =
            disk.iter().map(|(k, v): (&String, &String)| (k.as_str(), v.as_str())).collect();
        have(&mut agent, &entries).await;
        // Breaks off somewhere in the middle, except for the last round.
        let mut budget = if round == 7 { usize::MAX } else { round % 4 };
        let wanted = cloud.api("v1", "Pod", "pods", Some("default")).list(&Default::default()).await.unwrap();
        let wanted: std::collections::BTreeMap<String, String> = wanted
            .items
            .iter()
            .map(|pod| {
                (
                    format!("default/pod/{}", pod.metadata.name.as_ref().unwrap()),
                    pod.metadata.resource_version.clone().unwrap(),
                )
            })
            .collect();
        while disk != wanted && budget > 0 {
            budget -= 1;
            let message = agent.next().await.unwrap();
            match message.route.operation.as_str() {
                "delete" => drop(disk.remove(&message.route.resource)),
                _ => drop(disk.insert(message.route.resource.clone(), message.header.resource_version.clone())),
            }
            if round % 2 == 0 {
                agent.send(&message.ack(1)).await;
            }
        }
        assert!(round < 7 || disk == wanted);
    }
    cloud.stop().await;
}

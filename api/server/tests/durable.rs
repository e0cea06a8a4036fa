//! What must hold over time: history that is gone, restarts, many writers, events of both groups.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod common;

use std::sync::Arc;

use common::Api;
use edgeward_server::Options;
use edgeward_store::SqliteStore;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::api::{Api as KubeApi, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::{Value, json};

async fn config_map(api: &Api, name: &str) -> Value {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    api.ask("POST /api/v1/namespaces/default/configmaps", map).await.body
}

#[tokio::test]
async fn history_that_is_gone_is_said_to_be_gone() {
    let limits =
        edgeward_store::Options { history_revisions: 5, recent_bytes: 0, ..edgeward_store::Options::default() };
    let store = Arc::new(SqliteStore::in_memory_with(limits).unwrap());
    let api = Api::over(Options::default(), store.clone()).await;
    let page = loop {
        for index in 0..20 {
            config_map(&api, &format!("m{index}-{}", edgeward_store::Store::revision(&*store))).await;
        }
        let page = api.ask("GET /api/v1/namespaces/default/configmaps?limit=2", Value::Null).await.body;
        if edgeward_store::Store::compacted(&*store) > 2 {
            break page;
        }
    };
    let watch = api.ask("GET /api/v1/configmaps?watch=1&resourceVersion=2&timeoutSeconds=1", Value::Null).await;
    let event: Value = serde_json::from_str(watch.text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (watch.code, &event["type"], &event["object"]["code"], &event["object"]["reason"]),
        (200, &json!("ERROR"), &json!(410), &json!("Expired"))
    );
    assert!(event["object"]["message"].as_str().unwrap().starts_with("too old resource version: 2 ("), "{event}");
    let exact = api.ask("GET /api/v1/configmaps?resourceVersion=2&resourceVersionMatch=Exact", Value::Null).await;
    assert_eq!(exact.code, 410);
    let token = page["metadata"]["continue"].as_str().unwrap();
    let before = edgeward_store::Store::revision(&*store);
    while edgeward_store::Store::compacted(&*store) <= before {
        config_map(&api, &format!("n{}", edgeward_store::Store::revision(&*store))).await;
    }
    let late =
        api.ask(&format!("GET /api/v1/namespaces/default/configmaps?limit=2&continue={token}"), Value::Null).await;
    assert!(late.code == 410 && late.message().contains("continue parameter is too old"), "{late:?}");
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let options = || Options { token_key: Some(folder.path().join("tokens.key")), ..Options::default() };
    let service = |name: &str, ip: &str| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": [{"port": 1}]}});
    let (revision, uid) = {
        let store = Arc::new(SqliteStore::open(&file, edgeward_store::Options::default()).unwrap());
        let api = Api::over(options(), store.clone()).await;
        assert_eq!(api.ask("POST /api/v1/namespaces/default/services", service("a", "10.43.5.5")).await.code, 201);
        let namespace = api.ask("GET /api/v1/namespaces/kube-system", Value::Null).await.body;
        assert!(api.tasks.shutdown(std::time::Duration::from_secs(10)).await);
        (edgeward_store::Store::revision(&*store), namespace["metadata"]["uid"].clone())
    };
    let store = Arc::new(SqliteStore::open(&file, edgeward_store::Options::default()).unwrap());
    let api = Api::over(options(), store.clone()).await;
    assert_eq!(edgeward_store::Store::revision(&*store), revision, "a start over a complete store writes nothing");
    assert_eq!(api.ask("GET /api/v1/namespaces/kube-system", Value::Null).await.body["metadata"]["uid"], uid);
    let taken = api.ask("POST /api/v1/namespaces/default/services", service("b", "10.43.5.5")).await;
    assert!(taken.message().contains("already allocated"), "{taken:?}");
    assert_eq!(api.ask("GET /apis/apps.openyurt.io/v1beta2/nodepools", Value::Null).await.code, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_of_one_object_lose_nothing() {
    let api = Api::start().await;
    config_map(&api, "shared").await;
    let maps: KubeApi<ConfigMap> = KubeApi::default_namespaced(api.client());
    let writers = (0..20).map(|index| {
        let maps = maps.clone();
        async move {
            let patch = Patch::Merge(json!({"data": {format!("k{index}"): "v"}}));
            maps.patch("shared", &PatchParams::default(), &patch).await.map(|_| ())
        }
    });
    let results: Vec<_> = futures::stream::iter(writers).buffer_unordered(20).collect().await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(maps.get("shared").await.unwrap().data.unwrap().len(), 20);
}

#[tokio::test]
async fn events_of_the_new_group_are_seen_in_the_old() {
    let api = Api::start().await;
    let about = ObjectReference {
        kind: Some("Node".into()),
        name: Some("n1".into()),
        namespace: None,
        api_version: Some("v1".into()),
        uid: Some("u".into()),
        ..ObjectReference::default()
    };
    let recorder = Recorder::new(api.client(), Reporter { controller: "lifecycle".into(), instance: None });
    let event = Event {
        type_: EventType::Warning,
        reason: "Gone".into(),
        note: Some("node went away".into()),
        action: "Watching".into(),
        secondary: None,
    };
    recorder.publish(&event, &about).await.unwrap();
    recorder.publish(&event, &about).await.unwrap();
    let query = "involvedObject.kind%3DNode%2CinvolvedObject.name%3Dn1%2CinvolvedObject.uid%3Du";
    let listed = api.ask(&format!("GET /api/v1/events?fieldSelector={query}&limit=500"), Value::Null).await.body;
    let found = &listed["items"][0];
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(
        (&found["message"], &found["source"]["component"], &found["type"]),
        (&json!("node went away"), &json!("lifecycle"), &json!("Warning"))
    );
    let new = api.ask("GET /apis/events.k8s.io/v1/events", Value::Null).await.body;
    assert_eq!(
        (&new["items"][0]["note"], &new["items"][0]["regarding"]["name"]),
        (&json!("node went away"), &json!("n1"))
    );
}

/// Many filtered watches of the same changes, as 500 nodes have on pods.
#[allow(clippy::print_stderr, reason = "a measurement prints its figures")]
async fn fan_out(api: &Api, maps: &KubeApi<ConfigMap>) {
    const WATCHES: usize = 500;
    const CHANGES: usize = 200;
    let start = maps.list(&kube::api::ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let begun = std::time::Instant::now();
    let mut watches = Vec::new();
    for _ in 0..WATCHES {
        let params = kube::api::WatchParams::default().labels("!none").timeout(250);
        watches.push(maps.watch(&params, &start).await.unwrap().boxed().take(CHANGES).count());
    }
    let writes = async {
        for index in 0..CHANGES {
            let patch = json!({"data": {"f": index.to_string()}});
            let answer = api.ask(&format!("PATCH /api/v1/namespaces/default/configmaps/m{}", index % 50), patch).await;
            assert_eq!(answer.code, 200);
        }
    };
    futures::join!(futures::future::join_all(watches), writes);
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("fan-out: {} events in {seconds:.2} s, {:.0}/s", WATCHES * CHANGES, (WATCHES * CHANGES) as f64 / seconds);
}

/// Not a timed assertion: prints what this machine does. `cargo test --release -- --ignored --nocapture throughput`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
#[allow(clippy::print_stderr, reason = "a measurement prints its figures")]
async fn throughput() {
    const OBJECTS: usize = 50;
    const PATCHES: usize = 5_000;
    let start = std::time::Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("db"), edgeward_store::Options::default()).unwrap());
    let api = Api::over(Options::default(), store).await;
    eprintln!("start: {:?}", start.elapsed());
    let maps: KubeApi<ConfigMap> = KubeApi::default_namespaced(api.client());
    for index in 0..OBJECTS {
        let map: ConfigMap = serde_json::from_value(
            json!({"metadata": {"name": format!("m{index}")}, "data": {"text": "x".repeat(1_000)}}),
        )
        .unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let begun = std::time::Instant::now();
    let patches = (0..PATCHES).map(|index| {
        let maps = maps.clone();
        async move {
            let patch = Patch::Merge(json!({"data": {"n": index.to_string()}}));
            maps.patch(&format!("m{}", index % OBJECTS), &PatchParams::default(), &patch).await.unwrap();
        }
    });
    futures::stream::iter(patches).buffer_unordered(64).collect::<Vec<_>>().await;
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("patches: {PATCHES} in {seconds:.2} s, {:.0}/s", PATCHES as f64 / seconds);
    fan_out(&api, &maps).await;
}

#[tokio::test]
#[ignore = "a measurement"]
#[allow(clippy::print_stderr, reason = "a measurement prints its figures")]
async fn sizes() {
    let api = Api::start().await;
    let index = api.ask("GET /openapi/v3", Value::Null).await.body;
    let mut total = 0;
    for path in index["paths"].as_object().unwrap().keys() {
        let size = api.ask(&format!("GET /openapi/v3/{path}"), Value::Null).await.text.len();
        total += size;
        if size > 30_000 {
            eprintln!("{path} {size}");
        }
    }
    eprintln!("openapi {total} bytes");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    eprintln!("{}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap());
}

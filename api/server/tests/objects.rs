//! Objects through `kube::Client`, in-process: the way the platform's own controllers use the server.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod common;

use std::time::Duration;

use common::Api;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::api::{Api as KubeApi, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::json;

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"app": name}}, "data": {"k": value}})).unwrap()
}

#[tokio::test]
async fn an_object_lives_and_dies() {
    let api = Api::start().await;
    let maps: KubeApi<ConfigMap> = KubeApi::default_namespaced(api.client());
    let made = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let again = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap_err().to_string();
    assert!(again.contains("configmaps \"a\" already exists"), "{again}");

    let mut changed = made.clone();
    changed.data = Some([("k".to_owned(), "2".to_owned())].into());
    let stored = maps.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_ne!(stored.metadata.resource_version, made.metadata.resource_version);
    let stale = maps.replace("a", &PostParams::default(), &made).await.unwrap_err().to_string();
    assert!(stale.contains("the object has been modified"), "{stale}");

    let patch = Patch::Merge(json!({"data": {"k": null, "x": "y"}}));
    let patched = maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data, Some([("x".to_owned(), "y".to_owned())].into()));
    let same = maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(same.metadata.resource_version, patched.metadata.resource_version, "nothing changed, nothing written");

    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn lists_come_in_pages_of_one_moment() {
    let api = Api::start().await;
    let maps: KubeApi<ConfigMap> = KubeApi::default_namespaced(api.client());
    for index in 0..7 {
        maps.create(&PostParams::default(), &config_map(&format!("m{index}"), "1")).await.unwrap();
    }
    let first = maps.list(&ListParams::default().limit(3)).await.unwrap();
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (3, Some(4)));
    maps.create(&PostParams::default(), &config_map("m99", "late")).await.unwrap();
    let mut params = ListParams::default().limit(3);
    let (mut names, mut page) = (Vec::new(), first);
    loop {
        names.extend(page.items.iter().filter_map(|item| item.metadata.name.clone()));
        let Some(next) = page.metadata.continue_.clone().filter(|next| !next.is_empty()) else { break };
        params.continue_token = Some(next);
        page = maps.list(&params).await.unwrap();
    }
    assert_eq!(names, ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
    let one = maps.list(&ListParams::default().labels("app in (m3,none)")).await.unwrap();
    assert_eq!(one.items.len(), 1);
    let by_name = maps.list(&ListParams::default().fields("metadata.name=m4")).await.unwrap();
    assert_eq!(by_name.items.len(), 1);
    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("app!=m3")).await.unwrap();
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_watch_sees_what_its_selector_lets_through() {
    let api = Api::start().await;
    let maps: KubeApi<ConfigMap> = KubeApi::default_namespaced(api.client());
    let start = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let watch = maps.watch(&WatchParams::default().labels("app=a").timeout(60), &start).await.unwrap();
    let mut watch = watch.boxed();
    let label = |value: &str| Patch::Merge(json!({"metadata": {"labels": {"app": value}}}));
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    maps.create(&PostParams::default(), &config_map("other", "1")).await.unwrap();
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "2"}}))).await.unwrap();
    maps.patch("a", &PatchParams::default(), &label("gone")).await.unwrap();
    maps.patch("a", &PatchParams::default(), &label("a")).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(match watch.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(map) => format!("added {}", map.data.unwrap()["k"]),
            WatchEvent::Modified(map) => format!("modified {}", map.data.unwrap()["k"]),
            WatchEvent::Deleted(map) => format!("deleted {}", map.data.unwrap()["k"]),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(seen, ["added 1", "modified 2", "deleted 2", "added 2", "deleted 2"]);
}

#[tokio::test]
async fn kube_watchers_start_by_list_and_by_stream() {
    let api = Api::start().await;
    let maps: KubeApi<ConfigMap> = KubeApi::default_namespaced(api.client());
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let mut events = watcher(maps.clone(), config).applied_objects().boxed();
        let first = tokio::time::timeout(Duration::from_secs(20), events.try_next()).await.unwrap().unwrap().unwrap();
        assert_eq!(first.metadata.name.as_deref(), Some("a"));
        maps.patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"data": {"n": format!("{:?}", std::time::Instant::now())}})),
        )
        .await
        .unwrap();
        let second = tokio::time::timeout(Duration::from_secs(20), events.try_next()).await.unwrap().unwrap().unwrap();
        assert!(second.data.unwrap().contains_key("n"));
    }
}

#[tokio::test]
async fn pods_on_a_node_die_gracefully() {
    let api = Api::start().await;
    let pods: KubeApi<Pod> = KubeApi::default_namespaced(api.client());
    let pod: Pod = serde_json::from_value(common::pod("p")).unwrap();
    let made = pods.create(&PostParams::default(), &pod).await.unwrap();
    assert_eq!(made.status.unwrap().phase.as_deref(), Some("Pending"));
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    assert_eq!(api.ask("POST /api/v1/namespaces/default/pods/p/binding", binding.clone()).await.code, 201);
    assert_eq!(api.ask("POST /api/v1/namespaces/default/pods/p/binding", binding).await.code, 409);
    let marked = pods.delete("p", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(marked.metadata.deletion_grace_period_seconds, Some(30));
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete("p", &now).await.unwrap();
    assert!(pods.get_opt("p").await.unwrap().is_none());
    pods.create(&PostParams::default(), &pod).await.unwrap();
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    assert!(pods.get_opt("p").await.unwrap().is_none(), "a pod without a node goes at once");
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let api = Api::start().await;
    let maps: KubeApi<ConfigMap> = KubeApi::default_namespaced(api.client());
    let mut map = config_map("a", "1");
    map.metadata.finalizers = Some(vec!["x.io/hold".to_owned()]);
    maps.create(&PostParams::default(), &map).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let held = maps.get("a").await.unwrap();
    assert!(held.metadata.deletion_timestamp.is_some());
    let more = Patch::Merge(json!({"metadata": {"finalizers": ["x.io/hold", "x.io/new"]}}));
    assert!(maps.patch("a", &PatchParams::default(), &more).await.is_err());
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn dependents_first_or_kept() {
    let api = Api::start().await;
    let maps: KubeApi<ConfigMap> = KubeApi::default_namespaced(api.client());
    for (policy, expected) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
        let path = "DELETE /api/v1/namespaces/default/configmaps/a";
        for _ in 0..2 {
            let waiting = api.ask(path, json!({"propagationPolicy": policy})).await.body;
            assert_eq!(waiting["metadata"]["finalizers"], json!([expected]), "{waiting}");
            assert!(waiting["metadata"]["deletionTimestamp"].is_string());
        }
        let gone = api.ask(path, json!({"propagationPolicy": "Background"})).await.body;
        assert_eq!((gone["kind"].as_str(), gone["status"].as_str()), (Some("Status"), Some("Success")));
    }
}

#[tokio::test]
async fn namespaces_open_and_close() {
    let api = Api::start().await;
    let namespaces: KubeApi<Namespace> = KubeApi::all(api.client());
    let names: Vec<_> = namespaces
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .into_iter()
        .filter_map(|n| n.metadata.name)
        .collect();
    assert_eq!(names, ["default", "edge-system", "kube-node-lease", "kube-public", "kube-system"]);
    let missing = api.ask("POST /api/v1/namespaces/none/pods", common::pod("p")).await;
    assert_eq!((missing.code, missing.message()), (404, "namespaces \"none\" not found"));
    let protected = api.ask("DELETE /api/v1/namespaces/default", json!(null)).await;
    assert_eq!(
        (protected.code, protected.message()),
        (403, "namespaces \"default\" is forbidden: this namespace may not be deleted")
    );
    api.ask("POST /api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}))
        .await;
    let ending = api.ask("DELETE /api/v1/namespaces/x", json!(null)).await;
    assert_eq!(ending.body["status"]["phase"], "Terminating");
    let refused = api.ask("POST /api/v1/namespaces/x/pods", common::pod("p")).await;
    assert!(refused.code == 403 && refused.message().contains("because it is being terminated"), "{refused:?}");
    let mut open = api.ask("GET /api/v1/namespaces/x", json!(null)).await.body;
    open["spec"]["finalizers"] = json!([]);
    assert_eq!(api.ask("PUT /api/v1/namespaces/x/finalize", open).await.code, 200);
    assert_eq!(api.ask("GET /api/v1/namespaces/x", json!(null)).await.code, 404);
}

#[tokio::test]
async fn services_get_addresses() {
    let api = Api::start().await;
    let services: KubeApi<Service> = KubeApi::default_namespaced(api.client());
    let service = |name: &str, ip: serde_json::Value| -> Service {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}}))
            .unwrap()
    };
    let address = |service: &Service| service.spec.clone().unwrap().cluster_ip.unwrap();
    assert_eq!(address(&services.get("kubernetes").await.unwrap()), "10.43.0.1");
    let any = services.create(&PostParams::default(), &service("any", json!(null))).await.unwrap();
    assert!(address(&any).starts_with("10.43."));
    let none = services.create(&PostParams::default(), &service("none", json!("None"))).await.unwrap();
    assert_eq!(address(&none), "None");
    services.create(&PostParams::default(), &service("mine", json!("10.43.7.7"))).await.unwrap();
    let taken =
        services.create(&PostParams::default(), &service("taken", json!("10.43.7.7"))).await.unwrap_err().to_string();
    assert!(taken.contains("already allocated"), "{taken}");
    let outside =
        services.create(&PostParams::default(), &service("outside", json!("1.2.3.4"))).await.unwrap_err().to_string();
    assert!(outside.contains("not in the valid range"), "{outside}");
    let moved = services
        .patch("mine", &PatchParams::default(), &Patch::Merge(json!({"spec": {"clusterIP": "10.43.7.8"}})))
        .await;
    assert!(moved.unwrap_err().to_string().contains("may not change once set"));
    services.delete("mine", &DeleteParams::default()).await.unwrap();
    services.create(&PostParams::default(), &service("again", json!("10.43.7.7"))).await.unwrap();
}

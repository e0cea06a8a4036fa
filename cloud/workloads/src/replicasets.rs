//! ReplicaSet: as many pods as asked for, no more and no fewer.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Resource as _};
use serde_json::json;

use crate::controllers::Context;
use crate::placement::selects;
use crate::pods;
use edgeward_control::Level;
use edgeward_control::{Error, Key, controller_of};

/// Pods created or deleted in one go; the next reconcile does the rest.
const BURST: usize = 500;

pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Result<Option<Duration>, Error> {
    let Some(set) = context.replica_sets.get(&key) else { return Ok(None) };
    if !context.pods.is_listed() {
        return Ok(Some(Duration::from_millis(50)));
    }
    let mut owned = owned_pods(&context, &set);
    if set.metadata.deletion_timestamp.is_none() {
        adopt_orphans(&context, &set).await?;
        owned = owned_pods(&context, &set);
        scale(&context, &set, &owned).await?;
        owned = owned_pods(&context, &set);
    }
    update_status(&context, &set, &owned).await
}

fn owned_pods(context: &Context, set: &ReplicaSet) -> Vec<Arc<Pod>> {
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    context.pods.find(uid).into_iter().filter(|pod| !pods::is_finished(pod)).collect()
}

/// Takes over matching pods that nobody controls, as when a set was deleted with `--cascade=orphan` and made anew.
async fn adopt_orphans(context: &Context, set: &ReplicaSet) -> Result<(), Error> {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    for pod in context.pods.in_namespace(namespace) {
        if controller_of(&*pod).is_some()
            || !pods::is_active(&pod)
            || !selects(Some(&set.spec.selector), pods::labels(&*pod))
        {
            continue;
        }
        let owner = set.controller_owner_ref(&()).ok_or_else(|| unnamed("ReplicaSet"))?;
        let patch = json!({"metadata": {"uid": pod.metadata.uid, "ownerReferences": [owner]}});
        let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        context.pods.put(api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await?);
    }
    Ok(())
}

/// An object read from the API without a name or uid: cannot happen with a real API server, and is not acted upon.
pub(crate) fn unnamed(kind: &str) -> Error {
    Error::Object(format!("a {kind} without name and uid cannot own anything"))
}

async fn scale(context: &Context, set: &ReplicaSet, owned: &[Arc<Pod>]) -> Result<(), Error> {
    let wanted = usize::try_from(set.spec.replicas.unwrap_or(1)).unwrap_or(0);
    let mut active: Vec<_> = owned.iter().filter(|pod| pods::is_active(pod)).collect();
    if active.len() < wanted {
        return create(context, set, (wanted - active.len()).min(BURST)).await;
    }
    active.sort_by_key(|pod| pods::deletion_rank(pod));
    let surplus = (active.len() - wanted).min(BURST);
    let outcomes = join_all(active[..surplus].iter().map(|pod| delete_pod(context, pod))).await;
    for (pod, outcome) in active.iter().zip(outcomes) {
        outcome?;
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        context.events.record(set, Level::Normal, "SuccessfulDelete", format!("Deleted pod: {name}")).await;
    }
    Ok(())
}

/// Creates pods in batches that double (1, 2, 4, …), so that a template the API refuses costs one request, not 500.
async fn create(context: &Context, set: &ReplicaSet, missing: usize) -> Result<(), Error> {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let template = set.spec.template.clone().unwrap_or_default();
    let owner = set.controller_owner_ref(&()).ok_or_else(|| unnamed("ReplicaSet"))?;
    let pod = pods::from_template(&template, namespace, owner);
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let (mut left, mut batch) = (missing, 1);
    while left > 0 {
        let size = batch.min(left);
        let params = PostParams::default();
        for outcome in join_all((0..size).map(|_| api.create(&params, &pod))).await {
            match outcome {
                Ok(created) => {
                    let name = created.metadata.name.clone().unwrap_or_default();
                    context.pods.put(created);
                    context.events.record(set, Level::Normal, "SuccessfulCreate", format!("Created pod: {name}")).await;
                }
                Err(error) => {
                    let message = format!("Error creating: {error}");
                    context.events.record(set, Level::Warning, "FailedCreate", message).await;
                    return Err(error.into());
                }
            }
        }
        left -= size;
        batch *= 2;
    }
    Ok(())
}

/// Deletes this very pod (not a successor of the same name) and takes the answer into the cache.
pub(crate) async fn delete_pod(context: &Context, pod: &Pod) -> Result<(), Error> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match api.delete(pod.metadata.name.as_deref().unwrap_or_default(), &params).await {
        // Still there with a deletionTimestamp while its node ends it, or gone at once.
        Ok(answer) => match answer.left().filter(|left| pods::node_name(left).is_some()) {
            Some(left) => drop(context.pods.put(left)),
            None => context.pods.remove(pod),
        },
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => context.pods.remove(pod),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn update_status(context: &Context, set: &ReplicaSet, owned: &[Arc<Pod>]) -> Result<Option<Duration>, Error> {
    let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
    let template_labels = set
        .spec
        .template
        .as_ref()
        .and_then(|t| t.metadata.as_ref())
        .and_then(|meta| meta.labels.clone())
        .unwrap_or_default();
    let (now, mut wait) = (Timestamp::now(), None::<u64>);
    let mut status = ReplicaSetStatus { observed_generation: set.metadata.generation, ..ReplicaSetStatus::default() };
    let (mut fully_labeled, mut ready, mut available) = (0, 0, 0);
    for pod in owned.iter().filter(|pod| pods::is_active(pod)) {
        status.replicas += 1;
        let labels = pods::labels(&**pod);
        fully_labeled += i32::from(template_labels.iter().all(|(name, value)| labels.get(name) == Some(value)));
        ready += i32::from(pods::is_ready(pod));
        match pods::is_available(pod, min_ready, now) {
            Ok(is_available) => available += i32::from(is_available),
            Err(seconds) => wait = Some(wait.map_or(seconds, |wait| wait.min(seconds))),
        }
    }
    status.fully_labeled_replicas = some_if_positive(fully_labeled);
    status.ready_replicas = some_if_positive(ready);
    status.available_replicas = some_if_positive(available);
    if set.status.as_ref() != Some(&status) {
        let patch = json!({"status": {
            "replicas": status.replicas, "fullyLabeledReplicas": status.fully_labeled_replicas,
            "readyReplicas": status.ready_replicas, "availableReplicas": status.available_replicas,
            "observedGeneration": status.observed_generation,
        }});
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), namespace);
        let name = set.metadata.name.as_deref().unwrap_or_default();
        context.replica_sets.put(api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await?);
    }
    Ok(wait.map(Duration::from_secs))
}

/// Kubernetes leaves zero counts out of a status.
pub(crate) fn some_if_positive(count: i32) -> Option<i32> {
    (count > 0).then_some(count)
}

//! Deployment: one ReplicaSet per template, rolled from the old to the new.

mod rollout;
mod status;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Resource as _};
use serde_json::json;

use crate::controllers::Context;
use crate::replicasets::unnamed;
use crate::{pods, template};
use edgeward_control::Level;
use edgeward_control::{Error, Key, controller_of};
use rollout::{Strategy, steps, strategy};

pub(crate) use rollout::absolute;

const HASH_LABEL: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Not handed down to ReplicaSets: it describes the Deployment itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Result<Option<Duration>, Error> {
    let Some(deployment) = context.deployments.get(&key) else { return Ok(None) };
    if !context.replica_sets.is_listed() {
        return Ok(Some(Duration::from_millis(50)));
    }
    if deployment.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let spec = deployment.spec.clone();
    let mut sets = owned_sets(&context, &deployment);
    let paused = spec.paused == Some(true);
    let mut current = find_current(&spec.template, &sets);
    if current.is_none() && !paused {
        current = Some(create_set(&context, &deployment, &spec, &sets).await?);
        sets = owned_sets(&context, &deployment);
    }
    if let Some(current) = &current {
        let old: Vec<_> = sets.iter().filter(|set| set.metadata.uid != current.metadata.uid).cloned().collect();
        keep_revision(&context, &deployment, current, &old).await?;
        if !paused {
            roll(&context, &deployment, &spec, current, &old).await?;
            clean_up(&context, &spec, &old).await?;
        }
    }
    let sets = owned_sets(&context, &deployment);
    let current = find_current(&spec.template, &sets);
    status::update(&context, &deployment, &spec, current.as_deref(), &sets).await?;
    Ok(None)
}

fn owned_sets(context: &Context, deployment: &Deployment) -> Vec<Arc<ReplicaSet>> {
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
    let mut sets = context.replica_sets.in_namespace(namespace);
    sets.retain(|set| controller_of(&**set).is_some_and(|owner| owner.uid == uid));
    sets.sort_by_key(|set| revision(set));
    sets
}

/// The set that was made from this very template.
fn find_current(template: &PodTemplateSpec, sets: &[Arc<ReplicaSet>]) -> Option<Arc<ReplicaSet>> {
    sets.iter().find(|set| without_hash(set.spec.template.as_ref()) == *template).cloned()
}

fn without_hash(template: Option<&PodTemplateSpec>) -> PodTemplateSpec {
    let mut template = template.cloned().unwrap_or_default();
    if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
        labels.remove(HASH_LABEL);
    }
    template
}

fn revision(set: &ReplicaSet) -> i64 {
    pods::annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(0)
}

fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

async fn create_set(
    context: &Context,
    deployment: &Deployment,
    spec: &DeploymentSpec,
    sets: &[Arc<ReplicaSet>],
) -> Result<Arc<ReplicaSet>, Error> {
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let hash = template::hash(&spec.template, collisions)?;
    let desired = spec.replicas.unwrap_or(1);
    let old_total: i32 = sets.iter().map(|set| replicas(set)).sum();
    let first = match strategy(spec) {
        Strategy::Recreate => {
            if old_total == 0 {
                desired
            } else {
                0
            }
        }
        Strategy::Rolling { surge, .. } => desired.min((desired + surge - old_total).max(0)),
    };
    let set = new_set(deployment, spec, &hash, first)?;
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), namespace);
    let created = match api.create(&PostParams::default(), &set).await {
        Ok(created) => created,
        // Another template has this hash: count the collision, and the next reconcile hashes differently.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let deployments: Api<Deployment> = Api::namespaced(context.client.clone(), namespace);
            let patch = json!({"status": {"collisionCount": collisions + 1}});
            let name = deployment.metadata.name.as_deref().unwrap_or_default();
            deployments.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            return Err(Error::Object(format!("hash {hash} of Deployment {namespace}/{name} is taken")));
        }
        Err(error) => return Err(error.into()),
    };
    let name = created.metadata.name.clone().unwrap_or_default();
    let message = format!("Scaled up replica set {name} from 0 to {first}");
    context.events.record(deployment, Level::Normal, "ScalingReplicaSet", message).await;
    context.replica_sets.put(created.clone());
    Ok(Arc::new(created))
}

fn new_set(deployment: &Deployment, spec: &DeploymentSpec, hash: &str, first: i32) -> Result<ReplicaSet, Error> {
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let mut template = spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash.to_owned());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.to_owned());
    Ok(ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{hash}")),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(handed_down(deployment, spec)),
            owner_references: Some(vec![deployment.controller_owner_ref(&()).ok_or_else(|| unnamed("Deployment"))?]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            min_ready_seconds: spec.min_ready_seconds,
            replicas: Some(first),
            selector,
            template: Some(template),
        },
        status: None,
    })
}

/// The Deployment's own annotations (autonomy among them) and the two by which kubectl follows a rollout.
fn handed_down(deployment: &Deployment, spec: &DeploymentSpec) -> BTreeMap<String, String> {
    let mut annotations = deployment.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    annotations.remove(REVISION);
    let desired = spec.replicas.unwrap_or(1);
    let surge = if let Strategy::Rolling { surge, .. } = strategy(spec) { surge } else { 0 };
    annotations.insert(DESIRED.to_owned(), desired.to_string());
    annotations.insert(MAX_REPLICAS.to_owned(), (desired + surge).to_string());
    annotations
}

/// The current set has the highest revision, and the Deployment shows it.
async fn keep_revision(
    context: &Context,
    deployment: &Deployment,
    current: &ReplicaSet,
    old: &[Arc<ReplicaSet>],
) -> Result<(), Error> {
    let highest_old = old.iter().map(|set| revision(set)).max().unwrap_or(0);
    let wanted = revision(current).max(highest_old + 1);
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let patch = json!({"metadata": {"annotations": {REVISION: wanted.to_string()}}});
    if revision(current) != wanted {
        let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), namespace);
        let name = current.metadata.name.as_deref().unwrap_or_default();
        context.replica_sets.put(api.patch(name, &PatchParams::default(), &Patch::Merge(patch.clone())).await?);
    }
    if pods::annotation(deployment, REVISION) != Some(wanted.to_string().as_str()) {
        let api: Api<Deployment> = Api::namespaced(context.client.clone(), namespace);
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        context.deployments.put(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?);
    }
    Ok(())
}

async fn roll(
    context: &Context,
    deployment: &Deployment,
    spec: &DeploymentSpec,
    current: &ReplicaSet,
    old: &[Arc<ReplicaSet>],
) -> Result<(), Error> {
    let desired = spec.replicas.unwrap_or(1);
    for (set, size) in steps(desired, strategy(spec), current, old, |set| still_has_pods(context, set)) {
        resize(context, deployment, spec, set, size).await?;
    }
    Ok(())
}

fn still_has_pods(context: &Context, set: &ReplicaSet) -> bool {
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    context.pods.find(uid).iter().any(|pod| !pods::is_finished(pod))
}

async fn resize(
    context: &Context,
    deployment: &Deployment,
    spec: &DeploymentSpec,
    set: &ReplicaSet,
    size: i32,
) -> Result<(), Error> {
    let before = replicas(set);
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), namespace);
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let patch = json!({
        "metadata": {"annotations": handed_down(deployment, spec), "resourceVersion": set.metadata.resource_version},
        "spec": {"replicas": size},
    });
    context.replica_sets.put(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?);
    let direction = if size > before { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {name} from {before} to {size}");
    context.events.record(deployment, Level::Normal, "ScalingReplicaSet", message).await;
    Ok(())
}

/// Deletes empty old sets beyond `revisionHistoryLimit`, oldest first.
async fn clean_up(context: &Context, spec: &DeploymentSpec, old: &[Arc<ReplicaSet>]) -> Result<(), Error> {
    let limit = usize::try_from(spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
    let mut empty: Vec<_> = old.iter().filter(|set| replicas(set) == 0 && !still_has_pods(context, set)).collect();
    empty.sort_by_key(|set| Reverse(revision(set)));
    for set in empty.into_iter().skip(limit) {
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), namespace);
        api.delete(set.metadata.name.as_deref().unwrap_or_default(), &DeleteParams::default()).await?;
        context.replica_sets.remove(set);
    }
    Ok(())
}

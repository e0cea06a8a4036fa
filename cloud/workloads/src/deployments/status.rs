//! What a Deployment shows of itself; `kubectl rollout status` reads it.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentSpec, ReplicaSet, ReplicaSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;

use super::rollout::{Strategy, strategy};
use crate::controllers::Context;
use crate::replicasets::some_if_positive as positive;
use edgeward_control::{Error, Key};

pub(super) async fn update(
    context: &Context,
    deployment: &Deployment,
    spec: &DeploymentSpec,
    current: Option<&ReplicaSet>,
    sets: &[Arc<ReplicaSet>],
) -> Result<(), Error> {
    let count =
        |get: fn(&ReplicaSetStatus) -> i32| -> i32 { sets.iter().filter_map(|set| set.status.as_ref()).map(get).sum() };
    let total = count(|status| status.replicas);
    let ready = count(|status| status.ready_replicas.unwrap_or(0));
    let available = count(|status| status.available_replicas.unwrap_or(0));
    let updated = current.and_then(|set| set.status.as_ref()).map_or(0, |status| status.replicas);
    let desired = spec.replicas.unwrap_or(1);
    let mut status = deployment.status.clone().unwrap_or_default();
    status.observed_generation = deployment.metadata.generation;
    status.replicas = positive(total);
    status.updated_replicas = positive(updated);
    status.ready_replicas = positive(ready);
    status.available_replicas = positive(available);
    status.unavailable_replicas = positive((desired.max(total) - available).max(0));
    let conditions = status.conditions.get_or_insert_default();
    let unavailable = if let Strategy::Rolling { unavailable, .. } = strategy(spec) { unavailable } else { 0 };
    set_condition(conditions, "Available", available >= desired - unavailable);
    set_condition(conditions, "Progressing", true);
    let done = updated == desired && total == desired && available == desired;
    note_progress(conditions, current, deployment, done);
    if deployment.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), namespace);
    let mut changed = deployment.clone();
    changed.status = Some(status);
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    // A replace, not a patch: counts that became zero must disappear, and a stale cache must lose.
    changed.metadata.resource_version =
        context.deployments.get(&Key::of(deployment)).and_then(|held| held.metadata.resource_version.clone());
    context.deployments.put(api.replace_status(name, &PostParams::default(), &changed).await?);
    Ok(())
}

fn set_condition(conditions: &mut Vec<DeploymentCondition>, kind: &str, holds: bool) {
    let status = if holds { "True" } else { "False" };
    let (reason, message) = match (kind, holds) {
        ("Available", true) => ("MinimumReplicasAvailable", "Deployment has minimum availability."),
        ("Available", false) => ("MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
        _ => ("ReplicaSetUpdated", "ReplicaSet is progressing."),
    };
    let now = Time(Timestamp::now());
    match conditions.iter_mut().find(|condition| condition.type_.as_deref() == Some(kind)) {
        Some(condition) if condition.status.as_deref() == Some(status) => {}
        Some(condition) => {
            condition.status = Some(status.to_owned());
            condition.reason = Some(reason.to_owned());
            condition.message = Some(message.to_owned());
            condition.last_transition_time = Some(now.clone());
            condition.last_update_time = Some(now);
        }
        None => conditions.push(DeploymentCondition {
            type_: Some(kind.to_owned()),
            status: Some(status.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_transition_time: Some(now.clone()),
            last_update_time: Some(now),
        }),
    }
}

/// `kubectl rollout status` reads the reason of Progressing.
fn note_progress(
    conditions: &mut [DeploymentCondition],
    current: Option<&ReplicaSet>,
    deployment: &Deployment,
    done: bool,
) {
    let name = match current.and_then(|set| set.metadata.name.as_deref()) {
        Some(name) => format!("ReplicaSet \"{name}\""),
        None => format!("Deployment \"{}\"", deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    let (reason, message) = if done {
        ("NewReplicaSetAvailable", format!("{name} has successfully progressed."))
    } else {
        ("ReplicaSetUpdated", format!("{name} is progressing."))
    };
    if let Some(condition) = conditions.iter_mut().find(|condition| condition.type_.as_deref() == Some("Progressing"))
        && (condition.reason.as_deref() != Some(reason) || condition.message.as_deref() != Some(&message))
    {
        condition.reason = Some(reason.to_owned());
        condition.message = Some(message);
        condition.last_update_time = Some(Time(Timestamp::now()));
    }
}

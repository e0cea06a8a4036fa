//! UnitedDeployment and YurtAppSet: one child per pool, kept as planned.

use std::sync::Arc;

use edgeward_control::{Error, Key, Level, Recorder};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Map, Value, json};

use crate::Context;
use crate::child::{Parent, build};
use crate::kinds::{APPLIED, AUTONOMY, Kind, POOL_NAME};
use crate::plan::{self, Plan};

pub(crate) async fn reconcile(context: &Context, kind: Kind, key: &Key) -> Result<(), Error> {
    let Some(set) = kind.cache(context).get(key) else { return Ok(()) };
    if set.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let node_pools: Vec<(String, Value)> = context
        .pools
        .all()
        .iter()
        .map(|pool| (pool.metadata.name.clone().unwrap_or_default(), json!(pool.metadata.labels)))
        .collect();
    let none = json!({});
    let plan = match plan::read(set.data.get("spec").unwrap_or(&none), &node_pools) {
        Ok(plan) => plan,
        Err(error) => {
            warn(&context.events, &set, kind, error.to_string()).await;
            return Ok(());
        }
    };
    if plan.kind != "Deployment" {
        let message =
            "statefulSetTemplate needs the StatefulSet controller, which this release does not have".to_owned();
        warn(&context.events, &set, kind, message).await;
        return Ok(());
    }
    keep_children(context, kind, &set, key, &plan).await?;
    show(context, kind, &set, key, &plan).await
}

async fn warn(events: &Recorder, set: &DynamicObject, kind: Kind, message: String) {
    events.record_reference(reference(set, kind), Level::Warning, "Failed", message).await;
}

fn reference(set: &DynamicObject, kind: Kind) -> ObjectReference {
    ObjectReference {
        api_version: set.types.as_ref().map(|types| types.api_version.clone()),
        kind: Some(kind.name().to_owned()),
        name: set.metadata.name.clone(),
        namespace: set.metadata.namespace.clone(),
        uid: set.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

fn children(context: &Context, set: &DynamicObject) -> Vec<Arc<Deployment>> {
    let mut children = context.deployments.find(set.metadata.uid.as_deref().unwrap_or_default());
    children.sort_by(|a, b| a.metadata.creation_timestamp.cmp(&b.metadata.creation_timestamp));
    children
}

fn pool_of(child: &Deployment) -> &str {
    child.metadata.labels.as_ref().and_then(|labels| labels.get(POOL_NAME)).map_or("", String::as_str)
}

async fn keep_children(
    context: &Context,
    kind: Kind,
    set: &DynamicObject,
    key: &Key,
    plan: &Plan,
) -> Result<(), Error> {
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), &key.namespace);
    let mut held = children(context, set);
    let annotations = set.metadata.annotations.as_ref();
    let parent = Parent {
        name: &key.name,
        namespace: &key.namespace,
        owner: json!({
            "apiVersion": set.types.as_ref().map(|types| &types.api_version),
            "kind": kind.name(), "name": key.name, "uid": set.metadata.uid,
            "controller": true, "blockOwnerDeletion": true,
        }),
        autonomy: annotations.and_then(|annotations| annotations.get(AUTONOMY)).map(String::as_str),
    };
    for pool in &plan.pools {
        let wanted: Deployment = serde_json::from_value(build(&parent, plan, pool)?)?;
        match held.iter().position(|child| pool_of(child) == pool.name) {
            Some(at) => update(context, &api, &held.remove(at), wanted).await?,
            None => {
                let created = api.create(&PostParams::default(), &wanted).await?;
                let name = created.metadata.name.clone().unwrap_or_default();
                context.deployments.put(created);
                let message = format!("Created Deployment {name} for pool {}", pool.name);
                context.events.record_reference(reference(set, kind), Level::Normal, "SuccessfulCreate", message).await;
            }
        }
    }
    // Children of pools that are no longer asked for, and duplicates.
    for child in held {
        let name = child.metadata.name.as_deref().unwrap_or_default();
        match api.delete(name, &DeleteParams::background()).await {
            Err(error) if !Error::from_api(&error, 404) => return Err(error.into()),
            _ => context.deployments.remove(&child),
        }
    }
    Ok(())
}

/// Rewrites a child that was made from something else, or that somebody resized behind the set's back.
async fn update(context: &Context, api: &Api<Deployment>, held: &Deployment, wanted: Deployment) -> Result<(), Error> {
    let applied = |child: &Deployment| child.metadata.annotations.as_ref().and_then(|a| a.get(APPLIED).cloned());
    if applied(held) == applied(&wanted) && held.spec.replicas == wanted.spec.replicas {
        return Ok(());
    }
    let mut changed = held.clone();
    changed.spec = wanted.spec;
    changed.metadata.labels.get_or_insert_default().extend(wanted.metadata.labels.unwrap_or_default());
    changed.metadata.annotations.get_or_insert_default().extend(wanted.metadata.annotations.unwrap_or_default());
    let name = held.metadata.name.as_deref().unwrap_or_default();
    context.deployments.put(api.replace(name, &PostParams::default(), &changed).await?);
    Ok(())
}

async fn show(context: &Context, kind: Kind, set: &DynamicObject, key: &Key, plan: &Plan) -> Result<(), Error> {
    let status = status(set, plan, &children(context, set));
    let held = set.data.get("status");
    let differs = |(name, value): (&String, &Value)| held.and_then(|held| held.get(name)) != Some(value);
    if !status.iter().any(differs) {
        return Ok(());
    }
    let patch = Patch::Merge(json!({"status": status}));
    let api = kind.namespaced(&context.client, &key.namespace);
    kind.cache(context).put(api.patch_status(&key.name, &PatchParams::default(), &patch).await?);
    Ok(())
}

/// The fields of all versions together: each version's readers find theirs.
fn status(set: &DynamicObject, plan: &Plan, children: &[Arc<Deployment>]) -> Map<String, Value> {
    let ready = |child: &Deployment| child.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let wanted = |child: &Deployment| child.spec.replicas.unwrap_or(1);
    let updated = |child: &Deployment| child.status.as_ref().and_then(|status| status.updated_replicas).unwrap_or(0);
    let pool_replicas: Map<String, Value> =
        children.iter().map(|child| (pool_of(child).to_owned(), wanted(child).into())).collect();
    let ready_workloads = children.iter().filter(|child| wanted(child) > 0 && ready(child) == wanted(child)).count();
    let updated_workloads = children.iter().filter(|child| updated(child) == wanted(child)).count();
    let mut status = Map::new();
    let mut set_field = |name: &str, value: Value| drop(status.insert(name.to_owned(), value));
    set_field("observedGeneration", json!(set.metadata.generation));
    set_field("replicas", children.iter().map(|child| wanted(child)).sum::<i32>().into());
    set_field("readyReplicas", children.iter().map(|child| ready(child)).sum::<i32>().into());
    set_field("poolReplicas", pool_replicas.into());
    set_field("templateType", plan.kind.into());
    set_field("totalWorkloads", children.len().into());
    set_field("readyWorkloads", ready_workloads.into());
    set_field("updatedWorkloads", updated_workloads.into());
    status
}

//! `binding` and `eviction` of pods.

use edgeward_objects::{ApiError, Object};
use edgeward_service::clock;
use http::StatusCode;
use serde_json::json;

use crate::call::Call;
use crate::http::reply::Reply;
use crate::render;
use crate::verbs::{delete, store};

/// Binds a pod to a node, once.
pub(super) async fn bind(call: &Call) -> Result<Reply, ApiError> {
    let binding = call.body_object()?;
    let node = binding.get_str(&["target", "name"]).unwrap_or_default();
    if node.is_empty() {
        return Err(ApiError::bad_request("target.name: Required value: a binding names the node"));
    }
    loop {
        let old = call.stored().await?;
        let mut pod = render::object(&old, &call.served)?;
        let refuse = |why: &str| Err(ApiError::conflict(&call.served.resource, call.name(), why));
        if pod.is_deleting() {
            return refuse(&format!("pod {} is being deleted, cannot be assigned to a host", call.name()));
        }
        if let Some(bound) = pod.get_str(&["spec", "nodeName"]).filter(|bound| !bound.is_empty()) {
            return refuse(&format!("pod {} is already assigned to node {bound:?}", call.name()));
        }
        let wanted = binding.uid();
        if !wanted.is_empty() && wanted != pod.uid() {
            return refuse(&format!(
                "Precondition failed: UID in precondition: {wanted}, UID in object meta: {}",
                pod.uid()
            ));
        }
        pod.set(&["spec", "nodeName"], node);
        for (key, value) in binding.annotations() {
            pod.set(&["metadata", "annotations", key], value);
        }
        set_scheduled(&mut pod);
        if call.query.dry_run()? {
            break;
        }
        match store::replace(call, &old, &pod).await {
            Ok(_) => break,
            Err(error) if error.code == 409 => {}
            Err(error) => return Err(error),
        }
    }
    let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(Reply::with_status(StatusCode::CREATED, done.to_string()))
}

fn set_scheduled(pod: &mut Object) {
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": clock::now_rfc3339()});
    let mut conditions = pod.get_list(&["status", "conditions"]).to_vec();
    conditions.retain(|known| known.get("type") != Some(&json!("PodScheduled")));
    conditions.push(condition);
    pod.set(&["status", "conditions"], conditions);
}

/// Deletes a pod for somebody who asks politely. Disruption budgets are not enforced yet, so every eviction is granted.
pub(super) async fn evict(call: &Call) -> Result<Reply, ApiError> {
    let eviction = call.body_object()?;
    let options = eviction.get(&["deleteOptions"]).cloned().unwrap_or_else(|| json!({}));
    delete::delete_with(call, &options).await?;
    let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(Reply::with_status(StatusCode::CREATED, done.to_string()))
}

//! Emptying a namespace that is being deleted.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};

use crate::controllers::Context;
use edgeward_control::{Error, Key};

/// While pods of the namespace still end on their nodes there is nothing to do but look again.
const RECHECK: Duration = Duration::from_secs(2);

pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Result<Option<Duration>, Error> {
    let Some(namespace) = context.namespaces.get(&key) else { return Ok(None) };
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
    if namespace.metadata.deletion_timestamp.is_none() || finalizers.is_empty() {
        return Ok(None);
    }
    if delete_contents(&context, &key.name).await? > 0 {
        return Ok(Some(RECHECK));
    }
    finalize(&context, &namespace).await?;
    Ok(None)
}

/// Deletes everything in the namespace; returns how much is still there.
async fn delete_contents(context: &Context, namespace: &str) -> Result<usize, Error> {
    let mut left = 0;
    for resource in namespaced_kinds(context).await? {
        let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), namespace, &resource);
        let found = api.list_metadata(&ListParams::default()).await?.items;
        if found.is_empty() {
            continue;
        }
        // Pods whose node is gone or cut off would hold the namespace for ever; they end when the node returns.
        let going = found.iter().filter(|object| object.metadata.deletion_timestamp.is_none());
        for object in going {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            match api.delete(name, &DeleteParams::background()).await {
                Err(error) if !Error::from_api(&error, 404) => return Err(error.into()),
                _ => {}
            }
        }
        left += api.list_metadata(&ListParams::default()).await?.items.len();
    }
    Ok(left)
}

/// Kinds that can be listed and deleted inside a namespace, from discovery, so that custom resources are among them.
async fn namespaced_kinds(context: &Context) -> Result<Vec<ApiResource>, Error> {
    let discovery = Discovery::new(context.client.clone()).run_aggregated().await?;
    let kinds = discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
    let wanted = kinds.filter(|(_, capabilities)| {
        capabilities.scope == Scope::Namespaced
            && capabilities.supports_operation(verbs::LIST)
            && capabilities.supports_operation(verbs::DELETE)
    });
    Ok(wanted.map(|(resource, _)| resource).collect())
}

async fn finalize(context: &Context, namespace: &Namespace) -> Result<(), Error> {
    let mut done = namespace.clone();
    done.spec.get_or_insert_default().finalizers = None;
    let name = namespace.metadata.name.as_deref().unwrap_or_default();
    let request = http_put(&format!("/api/v1/namespaces/{name}/finalize"), &done)?;
    match context.client.request::<serde_json::Value>(request).await {
        Err(error) if !Error::from_api(&error, 404) => Err(error.into()),
        _ => Ok(()),
    }
}

fn http_put<T: serde::Serialize>(path: &str, body: &T) -> Result<http::Request<Vec<u8>>, Error> {
    let request = http::Request::put(path).header("content-type", "application/json");
    request.body(serde_json::to_vec(body)?).map_err(|error| Error::Object(format!("request {path}: {error}")))
}

/// The namespace of a pod that went: it may be the last thing a terminating namespace waited for.
pub(crate) fn of_pod(pod: &Pod) -> Key {
    Key::new("", pod.metadata.namespace.clone().unwrap_or_default())
}

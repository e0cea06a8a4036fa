//! DeviceStatus objects: one for each Device, of the same name, owned by it.

use std::sync::Arc;

use edgeward_control::{Error, Key};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::{Context, kinds};

/// The DeviceStatus of a device, made if missing.
pub(crate) async fn ensure(context: &Context, key: &Key, device: &DynamicObject) -> Result<Arc<DynamicObject>, Error> {
    let api = kinds::statuses_in(&context.client, &key.namespace);
    let held = match context.statuses.get(key) {
        Some(status) => Some(status),
        None => api.get_opt(&key.name).await?.map(Arc::new),
    };
    match held {
        Some(held) if is_of(&held, device) => Ok(held),
        // A device of this name was here before: its values are not this one's.
        Some(held) => {
            let forget = json!({"twins": null, "state": null, "lastOnlineTime": null});
            let adopt = json!({"metadata": {"ownerReferences": [owner(device)]}, "status": forget});
            patch(context, key, &held, adopt).await
        }
        None => {
            let mut made = DynamicObject::new(&key.name, &kinds::status_resource());
            made.metadata.namespace = Some(key.namespace.clone());
            made.metadata.owner_references = Some(vec![owner(device)]);
            made.data = json!({"spec": {}});
            let made = api.create(&PostParams::default(), &made).await?;
            context.statuses.put(made.clone());
            Ok(Arc::new(made))
        }
    }
}

/// Patches it and takes in the answer.
pub(crate) async fn patch(
    context: &Context,
    key: &Key,
    held: &DynamicObject,
    patch: Value,
) -> Result<Arc<DynamicObject>, Error> {
    let api = kinds::statuses_in(&context.client, &key.namespace);
    match api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(patched) => {
            context.statuses.put(patched.clone());
            Ok(Arc::new(patched))
        }
        Err(error) => {
            if Error::from_api(&error, 404) {
                context.statuses.remove(held);
            }
            Err(error.into())
        }
    }
}

/// Whether it belongs to this very device.
pub(crate) fn is_of(status: &DynamicObject, device: &DynamicObject) -> bool {
    let owners = status.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().any(|owner| Some(&owner.uid) == device.metadata.uid.as_ref())
}

fn owner(device: &DynamicObject) -> OwnerReference {
    OwnerReference {
        api_version: "devices.kubeedge.io/v1beta1".to_owned(),
        kind: "Device".to_owned(),
        name: device.metadata.name.clone().unwrap_or_default(),
        uid: device.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

//! KubeEdge's device kinds as this room addresses them. One version is enough: all versions of a kind share a schema
//! and none is converted.

use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, Client};

pub(crate) fn devices(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource("Device", "devices"))
}

pub(crate) fn models(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource("DeviceModel", "devicemodels"))
}

pub(crate) fn statuses(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &status_resource())
}

pub(crate) fn devices_in(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource("Device", "devices"))
}

pub(crate) fn statuses_in(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &status_resource())
}

pub(crate) fn status_resource() -> ApiResource {
    resource("DeviceStatus", "devicestatuses")
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("devices.kubeedge.io", "v1beta1", kind), plural)
}

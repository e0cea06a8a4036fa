//! EndpointSlices and Endpoints: where a Service's traffic goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort as CorePort, EndpointSubset, Endpoints, ObjectReference, Pod, Service, ServicePort,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Resource as _};
use serde_json::json;

use crate::controllers::Context;
use crate::{eviction, nodes, pods};
use edgeward_control::{Error, Key};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Endpoints of one slice, as Kubernetes bounds them.
const SLICE_SIZE: usize = 100;

pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Result<Option<Duration>, Error> {
    let service = context.services.get(&key).filter(|service| service.metadata.deletion_timestamp.is_none());
    // Without a selector somebody else keeps the endpoints; of a deleted Service the garbage collector takes them.
    let Some(service) = service else { return delete_endpoints(&context, &key).await };
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
    if selector.is_empty() {
        return Ok(None);
    }
    if !context.pods.is_listed() || !context.nodes.is_listed() {
        return Ok(Some(Duration::from_millis(50)));
    }
    let targets = targets(&context, &service, &selector);
    keep_slices(&context, &service, &targets).await?;
    keep_endpoints(&context, &service, &targets).await?;
    Ok(None)
}

/// One pod behind the Service.
struct Target {
    pod: Arc<Pod>,
    address: String,
    ready: bool,
    serving: bool,
    terminating: bool,
}

fn targets(context: &Context, service: &Service, selector: &BTreeMap<String, String>) -> Vec<Target> {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let publish_all = service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true);
    let mut targets: Vec<_> = context
        .pods
        .in_namespace(namespace)
        .into_iter()
        .filter(|pod| !pods::is_finished(pod) && pods::node_name(pod).is_some())
        .filter(|pod| selector.iter().all(|(name, value)| pods::labels(&**pod).get(name) == Some(value)))
        .filter_map(|pod| {
            let address = pod.status.as_ref()?.pod_ip.clone().filter(|ip| !ip.is_empty())?;
            let terminating = pod.metadata.deletion_timestamp.is_some();
            let serving = pods::is_ready(&pod) || keeps_serving(context, service, &pod);
            let ready = publish_all || serving && !terminating;
            Some(Target { pod, address, ready, serving, terminating })
        })
        .collect();
    targets.sort_by(|a, b| (&a.address, &a.pod.metadata.name).cmp(&(&b.address, &b.pod.metadata.name)));
    targets
}

/// A pod whose node is cut off is out of our sight, not out of order: where the Service or the pod asks for autonomy its
/// address stays, as it was when last seen.
fn keeps_serving(context: &Context, service: &Service, pod: &Pod) -> bool {
    let Some(node) = pods::node_name(pod).and_then(|name| context.nodes.get(&Key::new("", name))) else { return false };
    let cut_off = nodes::ready_status(&node) == Some("Unknown");
    let wanted = pods::wants_autonomy(service) || eviction::is_autonomous(context, pod, &node);
    let was_running = pods::phase(pod) == "Running"
        && pods::condition(pod, "ContainersReady").is_none_or(|condition| condition.status == "True");
    cut_off && wanted && was_running
}

/// A Service port as it applies to one pod: named target ports differ from pod to pod.
fn target_port(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match port.target_port.as_ref() {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let containers = &pod.spec.as_ref()?.containers;
            let ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            ports
                .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == protocol)
                .find(|port| port.name.as_deref() == Some(name))
                .map(|port| port.container_port)
        }
    }
}

/// Targets in groups that share the same resolved ports; each group has slices of its own.
fn by_ports<'a>(service: &Service, targets: &'a [Target]) -> BTreeMap<Vec<(String, i32, String)>, Vec<&'a Target>> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for target in targets {
        let resolved: Vec<_> = ports
            .iter()
            .filter_map(|port| {
                let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
                Some((port.name.clone().unwrap_or_default(), target_port(port, &target.pod)?, protocol))
            })
            .collect();
        groups.entry(resolved).or_default().push(target);
    }
    groups
}

fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

fn owner(service: &Service) -> Option<Vec<OwnerReference>> {
    service.controller_owner_ref(&()).map(|owner| vec![owner])
}

fn wanted_slices(context: &Context, service: &Service, targets: &[Target]) -> Vec<EndpointSlice> {
    let name = service.metadata.name.clone().unwrap_or_default();
    let labels = BTreeMap::from([(SERVICE_NAME.to_owned(), name.clone()), (MANAGED_BY.to_owned(), MANAGER.to_owned())]);
    let mut groups: Vec<(Vec<_>, Vec<_>)> = by_ports(service, targets).into_iter().collect();
    if groups.is_empty() {
        groups.push((Vec::new(), Vec::new()));
    }
    let mut slices = Vec::new();
    for (ports, members) in groups {
        let chunks: Vec<&[&Target]> = if members.is_empty() { vec![&[]] } else { members.chunks(SLICE_SIZE).collect() };
        for chunk in chunks {
            slices.push(EndpointSlice {
                metadata: ObjectMeta {
                    generate_name: Some(format!("{name}-")),
                    namespace: service.metadata.namespace.clone(),
                    labels: Some(labels.clone()),
                    owner_references: owner(service),
                    ..ObjectMeta::default()
                },
                address_type: "IPv4".to_owned(),
                endpoints: Some(chunk.iter().map(|target| endpoint(context, target)).collect()),
                ports: Some(ports.iter().map(slice_port).collect()),
            });
        }
    }
    slices
}

fn slice_port((name, port, protocol): &(String, i32, String)) -> EndpointPort {
    EndpointPort { name: Some(name.clone()), port: Some(*port), protocol: Some(protocol.clone()), app_protocol: None }
}

fn endpoint(context: &Context, target: &Target) -> Endpoint {
    let node_name = pods::node_name(&target.pod).map(str::to_owned);
    let node = node_name.as_ref().and_then(|name| context.nodes.get(&Key::new("", name)));
    let zone = node.and_then(|node| pods::labels(&*node).get("topology.kubernetes.io/zone").cloned());
    Endpoint {
        addresses: vec![target.address.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(target.ready),
            serving: Some(target.serving),
            terminating: Some(target.terminating),
        }),
        node_name,
        zone,
        target_ref: Some(reference(&target.pod)),
        ..Endpoint::default()
    }
}

/// Reuses the slices that exist, in order, creates what is missing and deletes what is left over.
async fn keep_slices(context: &Context, service: &Service, targets: &[Target]) -> Result<(), Error> {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let api: Api<EndpointSlice> = Api::namespaced(context.client.clone(), namespace);
    let mut held: Vec<_> = context
        .slices
        .in_namespace(namespace)
        .into_iter()
        .filter(|slice| pods::labels(&**slice).get(MANAGED_BY).is_some_and(|by| by == MANAGER))
        .filter(|slice| pods::labels(&**slice).get(SERVICE_NAME).is_some_and(|of| of == name))
        .collect();
    held.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let mut held = held.into_iter();
    for wanted in wanted_slices(context, service, targets) {
        let Some(slice) = held.next() else {
            context.slices.put(api.create(&PostParams::default(), &wanted).await?);
            continue;
        };
        if slice.endpoints != wanted.endpoints || slice.ports != wanted.ports {
            let mut changed = (*slice).clone();
            (changed.endpoints, changed.ports) = (wanted.endpoints, wanted.ports);
            let slice_name = slice.metadata.name.as_deref().unwrap_or_default();
            context.slices.put(api.replace(slice_name, &PostParams::default(), &changed).await?);
        }
    }
    for slice in held {
        api.delete(slice.metadata.name.as_deref().unwrap_or_default(), &DeleteParams::default()).await?;
        context.slices.remove(&slice);
    }
    Ok(())
}

/// The older form of the same, which `kubectl get endpoints` and many dashboards still read.
async fn keep_endpoints(context: &Context, service: &Service, targets: &[Target]) -> Result<(), Error> {
    let subsets: Vec<EndpointSubset> = by_ports(service, targets)
        .into_iter()
        .map(|(ports, members)| {
            let addresses = |ready: bool| {
                let list: Vec<_> = members.iter().filter(|t| t.ready == ready).map(|t| core_address(t)).collect();
                (!list.is_empty()).then_some(list)
            };
            EndpointSubset {
                addresses: addresses(true),
                not_ready_addresses: addresses(false),
                ports: (!ports.is_empty()).then(|| ports.iter().map(core_port).collect()),
            }
        })
        .collect();
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let api: Api<Endpoints> = Api::namespaced(context.client.clone(), namespace);
    let Some(held) = api.get_opt(name).await? else {
        let metadata = ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            labels: service.metadata.labels.clone(),
            owner_references: owner(service),
            ..ObjectMeta::default()
        };
        api.create(&PostParams::default(), &Endpoints { metadata, subsets: Some(subsets) }).await?;
        return Ok(());
    };
    if held.subsets.unwrap_or_default() != subsets {
        api.patch(name, &PatchParams::default(), &Patch::Merge(json!({"subsets": subsets}))).await?;
    }
    Ok(())
}

async fn delete_endpoints(context: &Context, key: &Key) -> Result<Option<Duration>, Error> {
    let api: Api<Endpoints> = Api::namespaced(context.client.clone(), &key.namespace);
    match api.delete(&key.name, &DeleteParams::default()).await {
        Err(error) if !Error::from_api(&error, 404) => Err(error.into()),
        _ => Ok(None),
    }
}

fn core_address(target: &Target) -> EndpointAddress {
    EndpointAddress {
        ip: target.address.clone(),
        node_name: pods::node_name(&target.pod).map(str::to_owned),
        target_ref: Some(reference(&target.pod)),
        hostname: None,
    }
}

fn core_port((name, port, protocol): &(String, i32, String)) -> CorePort {
    let name = (!name.is_empty()).then(|| name.clone());
    CorePort { name, port: *port, protocol: Some(protocol.clone()), app_protocol: None }
}

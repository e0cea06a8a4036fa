//! What is seen of a pod → `PodStatus`, as the kubelet fills it in. Pure.

mod conditions;
mod containers;
mod phase;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(crate) use containers::Waiting;

use crate::worker::View;
use crate::{pod, resources};

/// Everything a status is made from.
pub(crate) struct Seen<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) view: &'a View,
    /// The last status, whose times go on where nothing changed.
    pub(crate) before: &'a PodStatus,
    /// Why containers do not run yet.
    pub(crate) waiting: &'a BTreeMap<String, Waiting>,
    /// What probes say, by container id.
    pub(crate) probed: &'a BTreeMap<String, Probed>,
    /// Last words of ended containers, by container id.
    pub(crate) messages: &'a BTreeMap<String, String>,
    pub(crate) pod_ips: &'a [String],
    pub(crate) host_ips: &'a [String],
    /// The pod is over for a reason of its own: `Evicted`, `DeadlineExceeded`, not admitted.
    pub(crate) failure: Option<&'a Failure>,
}

/// What probes say of a running container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probed {
    /// The start-up probe succeeded, or there is none.
    pub(crate) started: bool,
    /// The readiness probe succeeds, or there is none.
    pub(crate) ready: bool,
}

/// A pod that is over as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// Builds the whole status.
pub(crate) fn build(seen: &Seen<'_>) -> PodStatus {
    let container_statuses = containers::statuses(seen, pod::containers(seen.pod), containers::default_reason(seen));
    let init_statuses = containers::statuses(seen, pod::init_containers(seen.pod), "PodInitializing");
    let phase = match seen.failure {
        Some(_) => "Failed",
        None => phase::phase(seen, &init_statuses, &container_statuses),
    };
    let has_inits = !pod::init_containers(seen.pod).is_empty();
    let mut status = PodStatus {
        phase: Some(phase.to_owned()),
        reason: seen.failure.map(|failure| failure.reason.clone()),
        message: seen.failure.map(|failure| failure.message.clone()),
        host_ip: seen.host_ips.first().cloned(),
        host_ips: Some(seen.host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect()),
        pod_ip: seen.pod_ips.first().cloned(),
        pod_ips: (!seen.pod_ips.is_empty()).then(|| seen.pod_ips.iter().map(|ip| PodIP { ip: ip.clone() }).collect()),
        qos_class: Some(resources::qos(seen.pod).as_str().to_owned()),
        start_time: seen.before.start_time.clone().or_else(|| Some(Time(pod::now()))),
        init_container_statuses: has_inits.then_some(init_statuses),
        container_statuses: Some(container_statuses),
        ..seen.before.clone()
    };
    if seen.view.is_empty() && seen.failure.is_some() {
        // Never started: the kubelet names no containers then.
        (status.container_statuses, status.init_container_statuses) = (None, None);
    }
    status.conditions = Some(conditions::conditions(seen, phase, &status));
    status
}

#[cfg(test)]
mod tests;

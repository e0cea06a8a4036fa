//! `conditions`, in the kubelet's order and words.

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Seen, phase};
use crate::pod;

/// The kubelet's own five, then whatever others wrote.
pub(super) fn conditions(seen: &Seen<'_>, phase: &str, status: &PodStatus) -> Vec<PodCondition> {
    let inits = status.init_container_statuses.as_deref().unwrap_or_default();
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let has_network = seen.view.ready_sandbox().is_some() && (!seen.pod_ips.is_empty() || pod::host_network(seen.pod));
    let containers_ready = containers_ready(seen, phase, containers);
    let mut list = vec![
        condition(seen, "PodReadyToStartContainers", has_network, None),
        initialized(seen, phase, inits, containers),
        ready(seen, &containers_ready),
        containers_ready,
        condition(seen, "PodScheduled", true, None),
    ];
    let own: Vec<String> = list.iter().map(|condition| condition.type_.clone()).collect();
    let others = seen.before.conditions.iter().flatten().filter(|condition| !own.contains(&condition.type_));
    list.extend(others.cloned());
    list
}

fn initialized(
    seen: &Seen<'_>,
    phase: &str,
    inits: &[ContainerStatus],
    containers: &[ContainerStatus],
) -> PodCondition {
    if phase == "Succeeded" {
        return condition(seen, "Initialized", true, Some(("PodCompleted", String::new())));
    }
    let past = containers.iter().any(|status| status.started == Some(true) || status.container_id.is_some());
    if past || phase::initialized(seen, inits) {
        return condition(seen, "Initialized", true, None);
    }
    let incomplete: Vec<&str> =
        inits.iter().filter(|status| !status.ready).map(|status| status.name.as_str()).collect();
    let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
    condition(seen, "Initialized", false, Some(("ContainersNotInitialized", message)))
}

fn containers_ready(seen: &Seen<'_>, phase: &str, containers: &[ContainerStatus]) -> PodCondition {
    match phase {
        "Succeeded" => return condition(seen, "ContainersReady", false, Some(("PodCompleted", String::new()))),
        "Failed" => return condition(seen, "ContainersReady", false, Some(("PodFailed", String::new()))),
        _ => {}
    }
    let unready: Vec<&str> =
        containers.iter().filter(|status| !status.ready).map(|status| status.name.as_str()).collect();
    if unready.is_empty() && !containers.is_empty() {
        return condition(seen, "ContainersReady", true, None);
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    condition(seen, "ContainersReady", false, Some(("ContainersNotReady", message)))
}

/// Containers and the pod's readiness gates.
fn ready(seen: &Seen<'_>, containers: &PodCondition) -> PodCondition {
    if containers.status != "True" {
        let why = containers.reason.as_deref().unwrap_or_default().to_owned();
        let message = containers.message.clone().unwrap_or_default();
        let mut ready = condition(seen, "Ready", false, None);
        (ready.reason, ready.message) = (Some(why), (!message.is_empty()).then_some(message));
        return ready;
    }
    let holds = |gate: &str| {
        let conditions = seen.pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == gate && condition.status == "True")
    };
    let gates = pod::spec(seen.pod).readiness_gates.iter().flatten();
    match gates.map(|gate| gate.condition_type.as_str()).find(|gate| !holds(gate)) {
        None => condition(seen, "Ready", true, None),
        Some(gate) => {
            let message = format!("corresponding condition of pod readiness gate \"{gate}\" does not exist.");
            condition(seen, "Ready", false, Some(("ReadinessGatesNotReady", message)))
        }
    }
}

/// A condition whose time of change goes on while its status does.
fn condition(seen: &Seen<'_>, kind: &str, holds: bool, why: Option<(&str, String)>) -> PodCondition {
    let status = if holds { "True" } else { "False" };
    let before = seen.before.conditions.iter().flatten().find(|condition| condition.type_ == kind);
    let unchanged = before.filter(|condition| condition.status == status);
    let since = unchanged.and_then(|condition| condition.last_transition_time.clone());
    let (reason, message) = why
        .map_or((None, None), |(reason, message)| (Some(reason.to_owned()), (!message.is_empty()).then_some(message)));
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason,
        message,
        last_transition_time: since.or_else(|| Some(Time(pod::now()))),
        last_probe_time: None,
        observed_generation: seen
            .pod
            .metadata
            .generation
            .filter(|_| before.is_some_and(|b| b.observed_generation.is_some())),
    }
}

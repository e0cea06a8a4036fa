//! `containerStatuses` and `initContainerStatuses`.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Seen;
use crate::cri::v1;
use crate::pod;
use crate::worker::ContainerView;

/// Why a container does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// `ContainerCreating`, `ErrImagePull`, `CrashLoopBackOff`, …
    pub(crate) reason: String,
    /// For people; may be empty.
    pub(crate) message: String,
}

/// What an ordinary container waits for when nothing else is known.
pub(super) fn default_reason(seen: &Seen<'_>) -> &'static str {
    if pod::init_containers(seen.pod).is_empty() { "ContainerCreating" } else { "PodInitializing" }
}

pub(super) fn statuses(seen: &Seen<'_>, list: &[Container], default_reason: &str) -> Vec<ContainerStatus> {
    let mut statuses: Vec<_> = list.iter().map(|container| one(seen, container, default_reason)).collect();
    statuses.sort_by(|a, b| a.name.cmp(&b.name));
    if list.len() == pod::init_containers(seen.pod).len() && default_reason == "PodInitializing" {
        // Init containers keep the order in which they run.
        statuses = list.iter().filter_map(|c| statuses.iter().find(|status| status.name == c.name).cloned()).collect();
    }
    statuses
}

fn one(seen: &Seen<'_>, container: &Container, default_reason: &str) -> ContainerStatus {
    let name = &container.name;
    let instances = seen.view.containers.get(name).map(Vec::as_slice).unwrap_or_default();
    let before = before(seen, name);
    let waiting = seen.waiting.get(name);
    let mut status = ContainerStatus {
        name: name.clone(),
        image: container.image.clone().unwrap_or_default(),
        restart_count: before.map_or(0, |before| before.restart_count),
        started: Some(false),
        ..ContainerStatus::default()
    };
    let Some(latest) = instances.first() else {
        let creating = Waiting { reason: default_reason.to_owned(), message: String::new() };
        status.state = Some(waiting_state(waiting.unwrap_or(&creating)));
        status.last_state = Some(before.and_then(|before| before.last_state.clone()).unwrap_or_default());
        return status;
    };
    describe(seen, &mut status, latest);
    let previous =
        instances.get(1).filter(|previous| previous.has_exited()).map(|previous| terminated_state(seen, previous));
    status.last_state = Some(previous.or_else(|| before.and_then(|b| b.last_state.clone())).unwrap_or_default());
    if let Some(waiting) = waiting.filter(|_| !latest.is_running()) {
        // Waiting to be started again: what it ended with becomes the last state.
        if latest.has_exited() {
            status.last_state = status.state.take();
        }
        status.state = Some(waiting_state(waiting));
    }
    status
}

/// Fills in what the newest instance tells.
fn describe(seen: &Seen<'_>, status: &mut ContainerStatus, latest: &ContainerView) {
    let raw = &latest.status;
    status.container_id = Some(format!("containerd://{}", raw.id));
    status.image_id = raw.image_ref.clone();
    status.restart_count = i32::try_from(latest.restart_count()).unwrap_or(i32::MAX).max(status.restart_count);
    status.state = Some(match raw.state() {
        v1::ContainerState::ContainerRunning => ContainerState {
            running: Some(ContainerStateRunning { started_at: time(raw.started_at) }),
            ..ContainerState::default()
        },
        v1::ContainerState::ContainerExited => terminated_state(seen, latest),
        v1::ContainerState::ContainerCreated => {
            waiting_state(&Waiting { reason: "ContainerCreating".to_owned(), message: String::new() })
        }
        v1::ContainerState::ContainerUnknown => waiting_state(&Waiting {
            reason: "ContainerStatusUnknown".to_owned(),
            message: "the container runtime does not know its state".to_owned(),
        }),
    });
    let probed = seen.probed.get(&raw.id);
    if latest.is_running() {
        status.started = Some(probed.is_none_or(|probed| probed.started));
        status.ready = probed.is_none_or(|probed| probed.started && probed.ready);
    } else {
        let init = pod::init_containers(seen.pod).iter().any(|init| init.name == status.name && !pod::is_sidecar(init));
        status.ready = init && latest.has_exited() && raw.exit_code == 0;
    }
}

fn terminated_state(seen: &Seen<'_>, instance: &ContainerView) -> ContainerState {
    let raw = &instance.status;
    let default_reason = if raw.exit_code == 0 { "Completed" } else { "Error" };
    let reason = if raw.reason.is_empty() { default_reason } else { &raw.reason };
    let message = seen.messages.get(&raw.id).filter(|text| !text.is_empty()).cloned();
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: raw.exit_code,
            reason: Some(reason.to_owned()),
            message: message.or_else(|| (!raw.message.is_empty()).then(|| raw.message.clone())),
            started_at: time(raw.started_at),
            finished_at: time(raw.finished_at),
            container_id: Some(format!("containerd://{}", raw.id)),
            signal: None,
        }),
        ..ContainerState::default()
    }
}

fn waiting_state(waiting: &Waiting) -> ContainerState {
    let message = (!waiting.message.is_empty()).then(|| waiting.message.clone());
    let waiting = ContainerStateWaiting { reason: Some(waiting.reason.clone()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn before<'a>(seen: &Seen<'a>, name: &str) -> Option<&'a ContainerStatus> {
    let lists = [&seen.before.container_statuses, &seen.before.init_container_statuses];
    lists.into_iter().flatten().flatten().find(|status| status.name == name)
}

fn time(nanos: i64) -> Option<Time> {
    (nanos > 0).then(|| Time(pod::from_nanos(nanos)))
}

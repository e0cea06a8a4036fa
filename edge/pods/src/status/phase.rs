//! `phase`, by the kubelet's rules.

use k8s_openapi::api::core::v1::ContainerStatus;

use super::Seen;
use crate::pod;

pub(super) fn phase(seen: &Seen<'_>, inits: &[ContainerStatus], containers: &[ContainerStatus]) -> &'static str {
    match seen.before.phase.as_deref() {
        Some("Succeeded") => return "Succeeded",
        Some("Failed") => return "Failed",
        _ => {}
    }
    let policy = pod::restart_policy(seen.pod);
    if inits_failed(seen, inits) {
        return "Failed";
    }
    if !containers.iter().any(has_run) && !initialized(seen, inits) {
        return "Pending";
    }
    let (mut waiting, mut running, mut stopped, mut succeeded) = (0, 0, 0, 0);
    for status in containers {
        match state(status) {
            State::Running => running += 1,
            State::Ended(code) => {
                stopped += 1;
                succeeded += usize::from(code == 0);
            }
            State::Waiting => waiting += 1,
        }
    }
    match () {
        () if waiting > 0 => "Pending",
        () if running > 0 => "Running",
        () if stopped == 0 => "Pending",
        () if policy == "Always" => "Running",
        () if stopped == succeeded => "Succeeded",
        () if policy == "Never" => "Failed",
        () => "Running",
    }
}

/// All init containers did their work, or side cars among them started.
pub(super) fn initialized(seen: &Seen<'_>, inits: &[ContainerStatus]) -> bool {
    let list = pod::init_containers(seen.pod).iter();
    list.zip(inits).all(
        |(container, status)| {
            if pod::is_sidecar(container) { status.started == Some(true) } else { status.ready }
        },
    )
}

fn inits_failed(seen: &Seen<'_>, inits: &[ContainerStatus]) -> bool {
    let list = pod::init_containers(seen.pod).iter().zip(inits);
    pod::restart_policy(seen.pod) == "Never"
        && list.into_iter().any(|(container, status)| {
            !pod::is_sidecar(container) && matches!(state(status), State::Ended(code) if code != 0)
        })
}

enum State {
    Waiting,
    Running,
    Ended(i32),
}

/// A container that waits to be started again counts as ended.
fn state(status: &ContainerStatus) -> State {
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.clone().unwrap_or_default();
    match (state.running, state.terminated, last.terminated) {
        (Some(_), ..) => State::Running,
        (_, Some(ended), _) | (_, _, Some(ended)) => State::Ended(ended.exit_code),
        _ => State::Waiting,
    }
}

fn has_run(status: &ContainerStatus) -> bool {
    !matches!(state(status), State::Waiting)
}

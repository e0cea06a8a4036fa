//! Reading a pod document: what is absent, empty or defaulted.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};

use crate::PodKey;

/// Now, in whole seconds: the resolution of `metav1.Time`.
pub(crate) fn now() -> Timestamp {
    from_seconds(edgeward_service::clock::now_ms() / 1000)
}

/// A time from the runtime (nanoseconds), cut to seconds.
pub(crate) fn from_nanos(nanos: i64) -> Timestamp {
    from_seconds(nanos.div_euclid(1_000_000_000))
}

fn from_seconds(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(crate) fn key(pod: &Pod) -> PodKey {
    PodKey {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
    }
}

pub(crate) fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

pub(crate) fn containers(pod: &Pod) -> &[Container] {
    &spec(pod).containers
}

pub(crate) fn init_containers(pod: &Pod) -> &[Container] {
    spec(pod).init_containers.as_deref().unwrap_or_default()
}

/// Init containers, then the others.
pub(crate) fn all_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    init_containers(pod).iter().chain(containers(pod))
}

pub(crate) fn volumes(pod: &Pod) -> &[Volume] {
    spec(pod).volumes.as_deref().unwrap_or_default()
}

/// An init container that goes on beside the others (`restartPolicy: Always`).
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

pub(crate) fn host_network(pod: &Pod) -> bool {
    spec(pod).host_network == Some(true)
}

/// `Always`, `OnFailure` or `Never`.
pub(crate) fn restart_policy(pod: &Pod) -> &str {
    spec(pod).restart_policy.as_deref().unwrap_or("Always")
}

/// Whether the object asks for the end of the pod.
pub(crate) fn is_deleted(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// How long containers may take to end: the deletion's own period, else the spec's, else 30 s.
pub(crate) fn grace_period(pod: &Pod) -> Duration {
    let seconds = match pod.metadata.deletion_grace_period_seconds {
        Some(seconds) if is_deleted(pod) => seconds,
        _ => spec(pod).termination_grace_period_seconds.unwrap_or(30),
    };
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(24 * 3600))
}

/// `status.phase` says that the pod is over.
pub(crate) fn is_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

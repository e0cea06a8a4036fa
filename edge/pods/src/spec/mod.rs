//! From a pod document to what the runtime is told: pure functions of the document, what it refers to, and the pod's
//! addresses.

mod container;
mod env;
mod fields;
mod mounts;
mod sandbox;
mod security;

pub(crate) use container::{ContainerInput, container_config, spec_hash, termination_path};
pub(crate) use fields::{Facts, field, resource_field};
pub(crate) use mounts::{HostFiles, MadeMount};
pub(crate) use sandbox::{hostname, sandbox_config};

/// Labels and annotations by which pods and containers are found again, also by other tools: the kubelet's names.
pub(crate) mod labels {
    pub(crate) const POD_NAME: &str = "io.kubernetes.pod.name";
    pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
    pub(crate) const CONTAINER_NAME: &str = "io.kubernetes.container.name";
    pub(crate) const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
    pub(crate) const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
    pub(crate) const TERMINATION_PATH: &str = "io.kubernetes.container.terminationMessagePath";
    pub(crate) const TERMINATION_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
    pub(crate) const GRACE_PERIOD: &str = "io.kubernetes.pod.terminationGracePeriod";
    /// Ours: which node's agent made it, so that several agents can share one containerd.
    pub(crate) const NODE: &str = "edgeward.io/node";
}

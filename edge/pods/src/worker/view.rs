//! What the runtime has of one pod.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::cri::{Cri, Labels, v1};
use crate::spec::labels;
use crate::{Error, Options};

/// One pod in the runtime, newest first everywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) sandboxes: Vec<v1::PodSandbox>,
    pub(crate) containers: BTreeMap<String, Vec<ContainerView>>,
}

/// One instance of a container.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContainerView {
    pub(crate) sandbox_id: String,
    pub(crate) status: v1::ContainerStatus,
}

impl View {
    /// Reads the pod. `ended` names containers known to have ended: CRI learns that a moment later, so it is asked
    /// again until it agrees.
    pub(crate) async fn read(cri: &Cri, options: &Options, uid: &str, ended: &HashSet<String>) -> Result<Self, Error> {
        let selector = pod_selector(options, uid);
        let (sandboxes, containers) =
            futures::try_join!(cri.list_sandboxes(selector.clone()), cri.list_containers(selector))?;
        let mut view = Self { sandboxes, containers: BTreeMap::new() };
        view.sandboxes.sort_by_key(|sandbox| std::cmp::Reverse(sandbox.created_at));
        let statuses = containers.into_iter().map(|container| async {
            let status = settled_status(cri, &container.id, ended).await?;
            Ok::<_, Error>((container, status))
        });
        for result in futures::future::join_all(statuses).await {
            match result {
                Ok((container, status)) => view.add(container, status),
                // Removed between the two calls.
                Err(error) if error.is_runtime_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        for instances in view.containers.values_mut() {
            instances.sort_by_key(|instance| std::cmp::Reverse(instance.status.created_at));
        }
        Ok(view)
    }

    fn add(&mut self, container: v1::Container, status: v1::ContainerStatus) {
        let name = container.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default();
        self.containers.entry(name).or_default().push(ContainerView { sandbox_id: container.pod_sandbox_id, status });
    }

    /// The newest sandbox, if it is ready.
    pub(crate) fn ready_sandbox(&self) -> Option<&v1::PodSandbox> {
        self.sandboxes.first().filter(|sandbox| sandbox.state() == v1::PodSandboxState::SandboxReady)
    }

    /// The newest instance of a container.
    pub(crate) fn latest(&self, name: &str) -> Option<&ContainerView> {
        self.containers.get(name).and_then(|instances| instances.first())
    }

    /// The newest instance that belongs to this sandbox.
    pub(crate) fn latest_in(&self, name: &str, sandbox_id: &str) -> Option<&ContainerView> {
        self.latest(name).filter(|instance| instance.sandbox_id == sandbox_id)
    }

    /// Every instance of every container.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &ContainerView)> {
        self.containers.iter().flat_map(|(name, instances)| instances.iter().map(move |instance| (name, instance)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sandboxes.is_empty() && self.containers.is_empty()
    }

    /// Ids whose events concern this pod.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        let containers = self.all().map(|(_, instance)| instance.status.id.as_str());
        self.sandboxes.iter().map(|sandbox| sandbox.id.as_str()).chain(containers)
    }
}

impl ContainerView {
    pub(crate) fn is_running(&self) -> bool {
        self.status.state() == v1::ContainerState::ContainerRunning
    }

    pub(crate) fn has_exited(&self) -> bool {
        self.status.state() == v1::ContainerState::ContainerExited
    }

    /// The time its pod's document gave it to end.
    pub(crate) fn grace_period(&self) -> Duration {
        let noted = self.status.annotations.get(labels::GRACE_PERIOD).and_then(|seconds| seconds.parse().ok());
        Duration::from_secs(noted.unwrap_or(30))
    }

    /// Restarts before this instance.
    pub(crate) fn restart_count(&self) -> u32 {
        let noted = self.status.annotations.get(labels::RESTART_COUNT).and_then(|count| count.parse().ok());
        noted.unwrap_or_else(|| self.status.metadata.as_ref().map_or(0, |metadata| metadata.attempt))
    }
}

/// Selects everything of one pod of this node.
pub(crate) fn pod_selector(options: &Options, uid: &str) -> Labels {
    let pairs = [(labels::NODE, options.node_name.as_str()), (labels::POD_UID, uid)];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Longest wait for CRI to agree that a container ended; after that its word is taken.
const SETTLE: Duration = Duration::from_secs(1);

async fn settled_status(cri: &Cri, id: &str, ended: &HashSet<String>) -> Result<v1::ContainerStatus, Error> {
    let (mut pause, mut waited) = (Duration::from_millis(2), Duration::ZERO);
    loop {
        let status = cri.container_status(id).await?;
        let behind = ended.contains(id) && status.state() == v1::ContainerState::ContainerRunning;
        if !behind || waited >= SETTLE {
            return Ok(status);
        }
        tokio::time::sleep(pause).await;
        waited += pause;
        pause *= 2;
    }
}

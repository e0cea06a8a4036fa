//! The scheduler and the built-in controllers that a cluster needs when the embedded API is its control plane.
//!
//! Every controller is an ordinary Kubernetes program on [`kube::Client`], built from `edgeward-control`: it watches,
//! keeps a cache and reconciles keys from a queue. All of them are level-triggered: a lost event or a crash costs time,
//! never correctness. One watch per kind feeds all controllers.
//!
//! This room knows nothing of the link, of devices or of the store; with `--kubeconfig` it does not run at all, because
//! the cluster then has its own.

mod accounts;
mod controllers;
mod daemonsets;
mod deployments;
mod endpoints;
mod eviction;
mod garbage;
mod namespaces;
mod nodes;
mod placement;
mod pods;
mod replicasets;
mod scheduler;
mod template;

use std::time::Duration;

pub use controllers::Handle;
use edgeward_service::Tasks;

/// What the controllers may be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a node may leave its Lease unrenewed before it counts as lost (`--node-monitor-grace-period`).
    pub node_grace: Duration,
    /// How long a pod without a toleration of its own stays on a node that is lost or not ready.
    pub default_toleration: Duration,
    /// PEM bundle published as ConfigMap `kube-root-ca.crt` in every namespace; none is published when empty.
    pub root_ca_pem: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node_grace: Duration::from_secs(40),
            default_toleration: Duration::from_secs(300),
            root_ca_pem: String::new(),
        }
    }
}

/// Starts the scheduler and all controllers under `tasks`; they run until it is cancelled.
pub fn start(client: kube::Client, options: Options, tasks: &Tasks) -> Handle {
    controllers::start(client, options, &tasks.child("workloads"))
}

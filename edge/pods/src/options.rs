//! What the room can be told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Options of [`crate::Pods`]. Every path, socket, cgroup, bridge and CNI name is derived from these, so that several
/// agents live side by side on one machine when `node_name` and the three folders differ.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of this node; part of cgroup and CNI names.
    pub node_name: String,
    /// `status.hostIP(s)`; the first is the main one. Empty: the address of the default route's interface is used.
    pub host_ips: Vec<IpAddr>,
    /// Volumes, CNI address state, containerd's images. Survives reboots.
    pub data_dir: PathBuf,
    /// Sockets and containerd's state. On a tmpfs, gone after a reboot. Keep it short: socket paths end at 107 bytes.
    pub run_dir: PathBuf,
    /// Container logs: `<log_dir>/<namespace>_<pod>_<uid>/<container>/<n>.log`.
    pub log_dir: PathBuf,
    /// Image archives (`docker save` or OCI layout, `*.tar`) imported at start. `None`: none.
    pub images_dir: Option<PathBuf>,
    /// The container runtime.
    pub containerd: ContainerdOptions,
    /// Pod network.
    pub network: NetworkOptions,
    /// cgroup below which all pods live, absolute. Default `/edgeward/<node_name>`.
    pub cgroup_root: String,
    /// Environment given to every container before its own (`KUBERNETES_SERVICE_HOST`, …).
    pub default_env: BTreeMap<String, String>,
    /// Most pods on this node. Default 110.
    pub max_pods: usize,
    /// A log file is rotated at this size, bytes. Default 10 MiB.
    pub log_max_bytes: u64,
    /// Log files kept for one container, the current one included. Default 5.
    pub log_max_files: usize,
    /// Back-off of crashing containers and failing image pulls: first delay. Default 10 s.
    pub backoff_initial: Duration,
    /// Same: greatest delay. Default 300 s.
    pub backoff_max: Duration,
    /// How long a registry may take to accept a connection before a present image is used in its stead. Default 1 s.
    pub registry_connect_timeout: Duration,
    /// All containers are listed and compared this often, in case an event was lost. Default 60 s.
    pub relist_interval: Duration,
    /// Remove every pod, network, mount, cgroup and packet filter rule of ours at shutdown. Default: leave pods running.
    /// The shutdown then takes up to about 20 s: give `Tasks::shutdown` as much.
    pub stop_pods: bool,
}

/// How containerd is reached or started.
#[derive(Clone, Debug)]
pub struct ContainerdOptions {
    /// Socket of a containerd that is managed by others. `None`: one is started by us, with its own root and state.
    pub socket: Option<PathBuf>,
    /// Program to start. Default `containerd`, from `PATH`.
    pub program: PathBuf,
    /// containerd's client, for importing images. Default `ctr`, from `PATH`.
    pub ctr: PathBuf,
    /// `overlayfs` (default) or `native`, where overlayfs does not work.
    pub snapshotter: String,
    /// How long it may take to answer after a start. Default 20 s.
    pub start_timeout: Duration,
}

/// The network of pods that do not use the host's.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Addresses of this node's pods. Default `10.244.0.0/24`.
    pub pod_cidr: String,
    /// Bridge device, 15 bytes at most. Default derived from `data_dir`.
    pub bridge: String,
    /// Folders with the CNI plugins; the first that has `bridge` is used. Default `/usr/lib/cni`, `/opt/cni/bin`.
    pub cni_bin_dirs: Vec<PathBuf>,
    /// Name servers of pods with `dnsPolicy: ClusterFirst`. Empty: they get the host's.
    pub cluster_dns: Vec<IpAddr>,
    /// DNS domain of the cluster. Default `cluster.local`.
    pub cluster_domain: String,
}

impl Options {
    /// Defaults for one node whose files live under `data_dir`, with `run_dir` for sockets.
    pub fn new(node_name: &str, data_dir: &Path, run_dir: &Path) -> Self {
        Self {
            node_name: node_name.to_owned(),
            host_ips: Vec::new(),
            data_dir: data_dir.to_owned(),
            run_dir: run_dir.to_owned(),
            log_dir: PathBuf::from("/var/log/pods"),
            images_dir: None,
            containerd: ContainerdOptions::default(),
            network: NetworkOptions::new(data_dir),
            cgroup_root: format!("/edgeward/{node_name}"),
            default_env: BTreeMap::new(),
            max_pods: 110,
            log_max_bytes: 10 * 1024 * 1024,
            log_max_files: 5,
            backoff_initial: Duration::from_secs(10),
            backoff_max: Duration::from_secs(300),
            registry_connect_timeout: Duration::from_secs(1),
            relist_interval: Duration::from_secs(60),
            stop_pods: false,
        }
    }
}

impl Default for ContainerdOptions {
    fn default() -> Self {
        Self {
            socket: None,
            program: PathBuf::from("containerd"),
            ctr: PathBuf::from("ctr"),
            snapshotter: "overlayfs".to_owned(),
            start_timeout: Duration::from_secs(20),
        }
    }
}

impl NetworkOptions {
    fn new(data_dir: &Path) -> Self {
        Self {
            pod_cidr: "10.244.0.0/24".to_owned(),
            bridge: format!("ew-{}", crate::short_hash(data_dir.as_os_str().as_encoded_bytes())),
            cni_bin_dirs: vec![PathBuf::from("/usr/lib/cni"), PathBuf::from("/opt/cni/bin")],
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
        }
    }
}

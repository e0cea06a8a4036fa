//! A node for tests: real containerd, images assembled here, and a `NodeApi` that keeps everything in memory.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test support; each test uses part of it"
)]

mod api;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use api::MemoryApi;
use edgeward_pods::images::{ImageEntry, ImageSpec, assemble};
use edgeward_pods::{Handle, LogOptions, Options, Pods};
use edgeward_service::Tasks;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use serde_json::{Value, json};

/// Name of the busybox image every test node has.
pub const BUSYBOX: &str = "registry.invalid/test/busybox:latest";

/// Longest wait for something that should happen; only reached when a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// One node with its own folders, containerd and network names.
pub struct TestNode {
    pub api: Arc<MemoryApi>,
    pub options: Options,
    pub handle: Handle,
    pub tasks: Tasks,
    folder: tempfile::TempDir,
}

/// Whether real containers can be run here; says loudly what is left out if not.
#[allow(clippy::print_stderr, reason = "people must see what a test run leaves out")]
pub fn can_run_containers() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let found =
        |name: &str| ["/usr/bin", "/usr/sbin", "/bin"].iter().any(|folder| Path::new(folder).join(name).exists());
    let missing: Vec<&str> = ["containerd", "ctr", "runc", "busybox"].into_iter().filter(|name| !found(name)).collect();
    let cni = Path::new("/usr/lib/cni/bridge").exists();
    if root && missing.is_empty() && cni {
        return true;
    }
    eprintln!(
        "LEFT OUT: tests with real containers (root: {root}, missing programs: {missing:?}, CNI plugins: {cni}). Run as root \
         after `apt-get install --no-install-recommends containerd runc containernetworking-plugins iptables busybox-static`"
    );
    false
}

impl TestNode {
    /// Starts a node named `name`, with host addresses `10.88.<number>.0/24` for its pods.
    pub async fn start(name: &str, number: u8) -> Self {
        Self::start_with(name, number, |_| {}).await
    }

    /// The same with options changed.
    pub async fn start_with(name: &str, number: u8, change: impl FnOnce(&mut Options)) -> Self {
        // Short: socket paths end at 107 bytes.
        let folder = tempfile::Builder::new().prefix("ewp").tempdir_in("/tmp").unwrap();
        let mut options = Options::new(name, &folder.path().join("d"), &folder.path().join("r"));
        options.log_dir = folder.path().join("log");
        options.images_dir = Some(folder.path().join("images"));
        options.network.pod_cidr = format!("10.88.{number}.0/24");
        options.host_ips = vec!["127.0.0.1".parse().unwrap()];
        options.registry_connect_timeout = Duration::from_millis(300);
        options.backoff_initial = Duration::from_secs(1);
        change(&mut options);
        std::fs::create_dir_all(folder.path().join("images")).unwrap();
        std::fs::write(folder.path().join("images/busybox.tar"), busybox_image(BUSYBOX)).unwrap();
        let api = MemoryApi::new();
        let tasks = Tasks::root("test");
        let handle = Pods::start(options.clone(), api.clone(), &tasks).await.unwrap();
        Self { api, options, handle, tasks, folder }
    }

    /// Ends the service and starts it again with the same folders; the API keeps what it has.
    pub async fn restart(&mut self) {
        assert!(self.tasks.shutdown(Duration::from_secs(30)).await);
        self.start_again().await;
    }

    /// Drops the service as a killed process would, without its clean-up, and starts a new one.
    pub async fn start_again(&mut self) {
        self.tasks = Tasks::root("test");
        self.api.forget_watchers();
        self.handle = Pods::start(self.options.clone(), self.api.clone(), &self.tasks).await.unwrap();
    }

    /// Removes everything this node made and checks that nothing is left.
    pub async fn finish(self) {
        self.handle.stop_pods().await.unwrap();
        assert!(self.tasks.shutdown(Duration::from_secs(30)).await);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let path = self.folder.path().to_str().unwrap();
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(path)).collect();
        assert!(left.is_empty(), "mounts left: {left:?}");
        let cgroup = self.options.cgroup_root.trim_start_matches('/');
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            assert!(!hierarchy.path().join(cgroup).exists(), "cgroup left in {:?}", hierarchy.path());
        }
        assert!(!Path::new("/sys/class/net").join(&self.options.network.bridge).exists(), "bridge left");
        let links = std::fs::read_dir("/proc").unwrap().flatten();
        let ours = links.filter(|entry| {
            std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(path))
        });
        let left: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "processes left: {left:?}");
    }

    /// Waits until the pod's status satisfies `holds`.
    pub async fn wait_for(&self, name: &str, what: &str, holds: impl Fn(&PodStatus) -> bool) -> PodStatus {
        let found = self.api.wait_for_status(name, holds);
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(status) => status,
            Err(_) => panic!(
                "pod {name} did not become {what}: {:#?}\nevents: {:#?}",
                self.api.status(name),
                self.api.event_texts(name)
            ),
        }
    }

    /// Waits until the pod is Ready.
    pub async fn wait_ready(&self, name: &str) -> PodStatus {
        self.wait_for(name, "ready", is_ready).await
    }

    /// Waits until the pod's deletion is confirmed.
    pub async fn wait_deleted(&self, name: &str) {
        let deleted = tokio::time::timeout(PATIENCE, self.api.wait_deleted(name)).await;
        assert!(deleted.is_ok(), "pod {name} was not deleted: {:#?}", self.api.event_texts(name));
    }

    /// Waits for an event with this reason and returns its text.
    pub async fn wait_event(&self, name: &str, reason: &str) -> String {
        match tokio::time::timeout(PATIENCE, self.api.wait_event(name, reason)).await {
            Ok(text) => text,
            Err(_) => panic!("no event {reason} of pod {name}: {:#?}", self.api.event_texts(name)),
        }
    }

    /// The whole log of a container.
    pub async fn log(&self, pod: &str, options: LogOptions) -> String {
        let mut stream = self.handle.logs("default", pod, "", options).await.unwrap();
        let mut text = Vec::new();
        while let Some(piece) = stream.next().await {
            text.extend_from_slice(&piece.unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    /// The lines of a container's log in order of their text, once there are `lines` of them: a container is Ready before
    /// it has written anything, and its two outputs are not ordered among each other.
    pub async fn log_lines(&self, pod: &str, container: &str, lines: usize) -> Vec<String> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let log = self.handle.logs("default", pod, container, LogOptions::default()).await;
            let pieces: Vec<_> = log.unwrap().map(|piece| piece.unwrap()).collect().await;
            let text = String::from_utf8(pieces.concat()).unwrap();
            let mut found: Vec<String> = text.lines().map(str::to_owned).collect();
            found.sort();
            if found.len() >= lines || tokio::time::Instant::now() > deadline {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Brings one more image, which is busybox under another name, into the node's containerd.
    pub async fn import(&self, name: &str) {
        let archive = self.path().join("import.tar");
        std::fs::write(&archive, busybox_image(name)).unwrap();
        let socket = self.options.run_dir.join("containerd.sock");
        let mut ctr = tokio::process::Command::new("ctr");
        ctr.arg("-a").arg(socket).args(["-n", "k8s.io", "images", "import"]).arg(archive);
        assert!(ctr.output().await.unwrap().status.success());
    }

    /// Folder of this node's files.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// After a failed test: ends what the test left, so that the next one starts on a clean machine.
impl Drop for TestNode {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let path = self.folder.path().to_str().unwrap().to_owned();
        let kill = |pid: &str| {
            let _ = std::process::Command::new("kill").args(["-9", pid]).status();
        };
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&path) {
                kill(entry.file_name().to_str().unwrap());
            }
        }
        let _ = std::process::Command::new("ip").args(["link", "delete", &self.options.network.bridge]).status();
        let cgroup = Path::new("/sys/fs/cgroup/pids").join(self.options.cgroup_root.trim_start_matches('/'));
        let found = std::process::Command::new("find").arg(cgroup).args(["-name", "cgroup.procs"]).output().unwrap();
        for file in String::from_utf8_lossy(&found.stdout).lines() {
            std::fs::read_to_string(file).unwrap_or_default().lines().for_each(kill);
        }
    }
}

/// Whether the Ready condition holds.
pub fn is_ready(status: &PodStatus) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The status of the only or first container.
pub fn container(status: &PodStatus) -> ContainerStatus {
    status.container_statuses.as_ref().and_then(|list| list.first()).cloned().unwrap_or_default()
}

/// A pod in namespace `default` whose uid is derived from its name.
pub fn pod(name: &str, spec: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "default", "uid": format!("uid-{name}"), "labels": { "app": name } },
        "spec": spec,
    }))
    .unwrap()
}

/// A pod with one busybox container that runs a shell script.
pub fn script(name: &str, text: &str) -> Pod {
    pod(
        name,
        json!({
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "main", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["/bin/sh", "-c", text] }],
        }),
    )
}

/// Mounts a host path without a type into the pod's first container.
pub fn mount_host_path(pod: &mut Pod, at: &str, path: &Path) {
    let spec = pod.spec.as_mut().unwrap();
    let volume = json!({ "name": "host", "hostPath": { "path": path } });
    spec.volumes.get_or_insert_default().push(serde_json::from_value(volume).unwrap());
    let mount = json!({ "name": "host", "mountPath": at });
    spec.containers[0].volume_mounts.get_or_insert_default().push(serde_json::from_value(mount).unwrap());
}

/// An image with busybox and its usual names.
pub fn busybox_image(name: &str) -> Vec<u8> {
    let busybox = std::fs::read("/usr/bin/busybox").or_else(|_| std::fs::read("/bin/busybox")).unwrap();
    let mut entries = vec![ImageEntry::program("/bin/busybox", busybox)];
    for applet in [
        "sh", "sleep", "cat", "echo", "ls", "id", "httpd", "nc", "touch", "rm", "env", "mkdir", "hostname", "grep",
        "wget", "dd", "true", "seq",
    ] {
        entries.push(ImageEntry::Symlink { path: format!("/bin/{applet}"), target: "busybox".into() });
    }
    entries.push(ImageEntry::Directory { path: "/tmp".into(), mode: 0o1777 });
    assemble(&ImageSpec {
        name: name.into(),
        entries,
        entrypoint: vec!["/bin/sh".into()],
        env: vec!["PATH=/bin".into()],
        ..ImageSpec::default()
    })
    .unwrap()
}

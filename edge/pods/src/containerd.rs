//! Reaching containerd: the one whose socket is given, or one of our own with its own root, state and socket.
//!
//! A containerd of our own runs in its own process group with its output in a file, so it and its containers outlive a
//! kill -9 of the agent; the next agent finds it on the socket and goes on. It is stopped by a clean shutdown, which
//! containers survive too (their shims do not depend on it).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use edgeward_service::Counter;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::cri::Cri;
use crate::{Error, Options, files};

static STARTED: Counter = Counter::new("edgeward_pods_containerd_started_total", "times containerd was started");

/// containerd as one agent uses it.
#[derive(Clone, Debug)]
pub(crate) struct Containerd {
    options: Options,
    /// Started and stopped by us.
    owned: bool,
}

/// How long containerd may take to end after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Where programs are looked for besides `PATH`: runc and iptables live in folders that `PATH` may leave out.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Containerd {
    pub(crate) fn new(options: &Options) -> Self {
        Self { options: options.clone(), owned: options.containerd.socket.is_none() }
    }

    /// The socket to speak to.
    pub(crate) fn socket(&self) -> PathBuf {
        self.options.containerd.socket.clone().unwrap_or_else(|| self.run_path("containerd.sock"))
    }

    /// Makes sure containerd answers: adopts a running one, else starts one.
    pub(crate) async fn ensure(&self, cri: &Cri) -> Result<(), Error> {
        if !self.owned {
            return self.wait_until_ready(cri, Duration::from_secs(3), || false).await;
        }
        let timeout = self.options.containerd.start_timeout;
        let config = self.config()?;
        let unchanged = std::fs::read_to_string(self.config_path()).is_ok_and(|present| present == config);
        if self.pid().is_some() {
            if unchanged && self.wait_until_ready(cri, timeout, || self.pid().is_none()).await.is_ok() {
                return Ok(());
            }
            self.stop().await;
        }
        files::write_atomic(&self.config_path(), config.as_bytes(), 0o600)?;
        let mut child = self.spawn()?;
        // Dropping the child leaves it running; the runtime reaps it when it ends.
        self.wait_until_ready(cri, timeout, || !matches!(child.try_wait(), Ok(None))).await
    }

    /// Ends a containerd of our own; containers go on under their shims.
    pub(crate) async fn stop(&self) {
        let Some(pid) = self.pid().filter(|_| self.owned) else { return };
        tracing::info!(pid = pid.as_raw(), "stopping containerd");
        let _ = kill(pid, Signal::SIGTERM);
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.pid().is_some() {
            if Instant::now() > deadline {
                let _ = kill(pid, Signal::SIGKILL);
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        let _ = std::fs::remove_file(self.run_path("containerd.pid"));
    }

    /// Imports an image archive under the names it carries.
    pub(crate) async fn import(&self, archive: &Path) -> Result<(), Error> {
        let mut command = Command::new(&self.options.containerd.ctr);
        command.arg("--address").arg(self.socket()).args([
            "--namespace",
            "k8s.io",
            "images",
            "import",
            "--snapshotter",
        ]);
        command.arg(&self.options.containerd.snapshotter).arg(archive);
        crate::command::run(command).await.map(drop)
    }

    fn spawn(&self) -> Result<Child, Error> {
        let program = &self.options.containerd.program;
        require_program("runc")?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path());
        let log = log.map_err(Error::file("open", &self.log_path()))?;
        let errors = log.try_clone().map_err(Error::file("open", &self.log_path()))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(self.config_path()).env("PATH", search_path());
        command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0).kill_on_drop(false);
        let child = command.spawn().map_err(|error| crate::command::spawn_error(program, &error))?;
        STARTED.inc();
        let pid = child.id().unwrap_or_default();
        tracing::info!(pid, socket = %self.socket().display(), "started containerd");
        files::write_atomic(&self.run_path("containerd.pid"), pid.to_string().as_bytes(), 0o644)?;
        Ok(child)
    }

    /// Start-up only: there is nothing to wait on before the socket exists. Given up early when `ended` says so.
    async fn wait_until_ready(
        &self,
        cri: &Cri,
        timeout: Duration,
        mut ended: impl FnMut() -> bool,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        loop {
            let reason = match cri.version().await {
                Ok(version) => {
                    tracing::info!(version, "container runtime answers");
                    return Ok(());
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline || ended() {
                return Err(Error::NotAnswering { socket: self.socket(), reason, log: self.log_path() });
            }
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// The containerd we started, if it still runs (it may have been started by an agent before us).
    fn pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.run_path("containerd.pid")).ok()?;
        let pid: i32 = text.trim().parse().ok().filter(|pid| *pid > 1)?;
        let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let config = self.config_path();
        let ours = command_line.split(|byte| *byte == 0).any(|word| word == config.as_os_str().as_encoded_bytes());
        ours.then(|| Pid::from_raw(pid))
    }

    /// Configuration version 2: containerd 1.6 and 1.7 read it, 2.x converts it.
    fn config(&self) -> Result<String, Error> {
        let (data, run) = (&self.options.data_dir, &self.options.run_dir);
        let root = toml_string(&data.join("containerd"))?;
        let opt = toml_string(&data.join("containerd/opt"))?;
        let state = toml_string(&run.join("containerd"))?;
        let socket = toml_string(&self.socket())?;
        let runc_root = toml_string(&run.join("runc"))?;
        let cni_conf = toml_string(&crate::network::conf_dir(&self.options))?;
        let cni_bin = toml_string(&crate::network::bin_dir(&self.options)?)?;
        let snapshotter = toml_string(Path::new(&self.options.containerd.snapshotter))?;
        let pause = crate::images::PAUSE_IMAGE;
        let restrict_oom_score_adj = !has_sys_resource();
        Ok(format!(
            r#"# Written by edgeward at every start; changes here are lost.
version = 2
root = {root}
state = {state}

[grpc]
address = {socket}

[plugins."io.containerd.internal.v1.opt"]
path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Without CAP_SYS_RESOURCE no score may be lowered, and runc would fail on trying.
restrict_oom_score_adj = {restrict_oom_score_adj}
netns_mounts_under_state_dir = true
stats_collect_period = 60

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {cni_bin}
conf_dir = {cni_conf}

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = {snapshotter}
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = {runc_root}
"#
        ))
    }

    fn config_path(&self) -> PathBuf {
        self.run_path("containerd.toml")
    }

    fn log_path(&self) -> PathBuf {
        self.options.data_dir.join("containerd.log")
    }

    fn run_path(&self, name: &str) -> PathBuf {
        self.options.run_dir.join(name)
    }
}

/// `PATH` with the system's folders added.
pub(crate) fn search_path() -> String {
    match std::env::var("PATH") {
        Ok(path) => format!("{path}:{SYSTEM_PATH}"),
        Err(_) => SYSTEM_PATH.to_owned(),
    }
}

fn require_program(name: &str) -> Result<(), Error> {
    let found = search_path().split(':').any(|folder| Path::new(folder).join(name).is_file());
    if found { Ok(()) } else { Err(Error::NotInstalled { program: name.to_owned() }) }
}

/// Bit 24 of the effective capabilities: CAP_SYS_RESOURCE.
fn has_sys_resource() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits & (1 << 24) != 0)
}

/// A path as a TOML basic string; refuses what would need escapes.
fn toml_string(path: &Path) -> Result<String, Error> {
    let text = path.to_str().filter(|text| !text.contains(['"', '\\']) && !text.contains(char::is_control));
    text.map(|text| format!("\"{text}\""))
        .ok_or_else(|| Error::Config(format!("path {path:?} holds quotes or control characters: choose another")))
}

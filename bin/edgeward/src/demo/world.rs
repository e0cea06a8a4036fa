//! The demo's world: folders, networks, the programs that run in it, and its end.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::kubectl::{Kubectl, which};
use super::net::Link;
use super::process::Process;
use crate::cli::DemoOptions;
use crate::output;

pub(super) const FACTORIES: usize = 3;
/// The namespace of everything in the factory.
pub(super) const NAMESPACE: &str = "edge-system";
const GRACE: Duration = Duration::from_secs(35);
/// Ports of the demo's cloud, away from those of a real one.
const API_PORT: u16 = 16443;

/// One factory: an edge node and what belongs to it.
pub(super) struct Factory {
    /// `factory-1`, …
    pub name: String,
    /// Its network; `None` without root: then it is on the machine's own loopback.
    pub link: Option<Link>,
    /// Its folder.
    pub dir: PathBuf,
    /// Its agent.
    pub agent: Option<Process>,
    number: u16,
}

impl Factory {
    /// A local address of the factory. Without namespaces the ports of the factories are kept apart.
    fn local(&self, port: u16) -> SocketAddr {
        let port = if self.link.is_some() { port } else { port + 100 * self.number };
        (Ipv4Addr::LOCALHOST, port).into()
    }

    pub(super) fn mqtt(&self) -> SocketAddr {
        self.local(1883)
    }

    pub(super) fn rest(&self) -> SocketAddr {
        self.local(9081)
    }

    pub(super) fn local_api(&self) -> SocketAddr {
        self.local(10550)
    }

    pub(super) fn modbus(&self) -> SocketAddr {
        self.local(1502)
    }

    /// A command line that runs `program` in this factory.
    pub(super) fn command(&self, program: &Path) -> Command {
        self.link.as_ref().map_or_else(|| Command::new(program), |link| link.command(program))
    }

    /// Where this factory's agent reaches the cloud.
    fn cloud(&self) -> Ipv4Addr {
        self.link.as_ref().map_or(Ipv4Addr::LOCALHOST, |link| link.cloud)
    }

    /// Where a rule of this factory writes its results.
    pub(super) fn results(&self, rule: &str) -> PathBuf {
        self.dir.join(format!("{rule}.jsonl"))
    }
}

/// Everything that runs.
pub(super) struct World {
    pub dir: PathBuf,
    pub factories: Vec<Factory>,
    pub server: Option<Process>,
    /// Simulators, by what they stand for.
    pub simulators: BTreeMap<String, Process>,
    pub kubectl: Option<Kubectl>,
    pub data: Option<PathBuf>,
    program: PathBuf,
    root: bool,
    containers: bool,
}

impl World {
    pub(super) fn prepare(options: &DemoOptions) -> anyhow::Result<Self> {
        let root = nix::unistd::geteuid().is_root();
        let dir = if root { options.dir.clone() } else { std::env::temp_dir().join("edgeward-demo") };
        let program = std::env::current_exe().context("find this program")?;
        remove_leftovers(&dir)?;
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}; choose another with --dir", dir.display()))?;
        let mut factories = Vec::new();
        for number in 1..=FACTORIES {
            let short = u8::try_from(number).unwrap_or(u8::MAX);
            let name = format!("factory-{number}");
            let factory_dir = dir.join(&name);
            std::fs::create_dir_all(&factory_dir)?;
            let link = root.then(|| Link::new(short));
            if let Some(link) = &link {
                link.build()?;
            }
            factories.push(Factory { name, link, dir: factory_dir, agent: None, number: short.into() });
        }
        Ok(Self {
            kubectl: Kubectl::find(&dir.join("cloud/admin.kubeconfig")),
            containers: root && which("containerd").is_some() && which("runc").is_some(),
            dir,
            factories,
            server: None,
            simulators: BTreeMap::new(),
            data: options.data.clone(),
            program,
            root,
        })
    }

    /// What this machine cannot show, and why.
    pub(super) fn left_out(&self) -> Vec<(&'static str, &'static str)> {
        let mut left_out = Vec::new();
        if !self.root {
            left_out.push((
                "network namespaces, containers and the cut link",
                "not root: everything runs in plain processes",
            ));
        } else if !self.containers {
            left_out.push(("containers", "containerd or runc is missing: apt-get install containerd runc"));
        }
        if self.kubectl.is_none() {
            left_out.push(("kubectl", "no kubectl found: apt-get install kubernetes-client"));
        }
        left_out
    }

    /// Whether pods can run.
    pub(super) fn has_containers(&self) -> bool {
        self.containers
    }

    /// Whether links can be cut.
    pub(super) fn has_links(&self) -> bool {
        self.root
    }

    pub(super) fn cloud_dir(&self) -> PathBuf {
        self.dir.join("cloud")
    }

    pub(super) fn kubectl(&self) -> anyhow::Result<&Kubectl> {
        self.kubectl.as_ref().context("no kubectl")
    }

    pub(super) fn start_server(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("server").arg("--data-dir").arg(self.cloud_dir());
        command.arg(format!("--https-listen-port={API_PORT}")).arg("--node-monitor-grace-period=8s");
        if !self.root {
            command.arg("--hub-address=127.0.0.1");
        }
        self.server = Some(Process::start("server", command, &self.dir.join("server.log"))?);
        Ok(())
    }

    /// A join token, made as an operator would.
    pub(super) fn token(&self, ttl: &str) -> anyhow::Result<String> {
        let output = Command::new(&self.program)
            .args(["token", "create", "--ttl", ttl, "--data-dir"])
            .arg(self.cloud_dir())
            .output()
            .context("run edgeward token create")?;
        if !output.status.success() {
            bail!("edgeward token create: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The command line of a factory's agent.
    pub(super) fn agent_command(&self, factory: &Factory, name: &str, dir: &Path, token: Option<&str>) -> Command {
        let mut command = factory.command(&self.program);
        command.arg("agent").arg(format!("--server={}", factory.cloud())).arg(format!("--node-name={name}"));
        command.arg("--data-dir").arg(dir);
        command.arg(format!("--mqtt-listen={}", factory.mqtt())).arg(format!("--rest-listen={}", factory.rest()));
        command.arg(format!("--local-api-listen={}", factory.local_api()));
        command
            .arg(format!("--node-label=openyurt.io/is-edge-worker=true,topology.kubernetes.io/zone={}", factory.name));
        command.arg("--heartbeat=2s").arg("--stop-pods");
        command.arg(format!("--pod-cidr=10.42.{}.0/24", factory.number));
        command.arg("--images").arg(self.dir.join("images"));
        if !self.containers {
            command.arg("--disable-pods");
        }
        if let Some(token) = token {
            // By environment: a command line is there for all to see.
            command.env("EDGEWARD_TOKEN", token);
        }
        command
    }

    /// Starts (or starts again) the agent of a factory.
    pub(super) fn start_agent(&mut self, index: usize, token: Option<&str>) -> anyhow::Result<()> {
        let factory = &self.factories[index];
        let command = self.agent_command(factory, &factory.name, &factory.dir.join("agent"), token);
        let log = self.dir.join(format!("{}.log", factory.name));
        let process = Process::start(&factory.name, command, &log)?;
        self.factories[index].agent = Some(process);
        Ok(())
    }

    /// Starts a simulator in a factory.
    pub(super) fn simulate(&mut self, index: usize, what: &str, arguments: &[String]) -> anyhow::Result<()> {
        let factory = &self.factories[index];
        let mut command = factory.command(&self.program);
        command.arg("simulate").args(arguments);
        let name = format!("{}-{what}", factory.name);
        let process = Process::start(&name, command, &self.dir.join(format!("{name}.log")))?;
        self.simulators.insert(name, process);
        Ok(())
    }

    /// Fails when something that should run has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let agents = self.factories.iter_mut().filter_map(|factory| factory.agent.as_mut());
        self.server.iter_mut().chain(agents).try_for_each(Process::check)
    }

    pub(super) fn show_around(&self) {
        let kubeconfig = self.cloud_dir().join("admin.kubeconfig");
        output::line(format!(
            "\nIt stays up until Ctrl-C. Look around:\n\n  export KUBECONFIG={}",
            kubeconfig.display()
        ));
        if let Some(kubectl) = &self.kubectl {
            let kubectl = kubectl.program().display();
            output::line(format!("  {kubectl} get nodes,nodepools\n  {kubectl} get pods,devices -n {NAMESPACE}"));
            output::line(format!("  {kubectl} logs -n {NAMESPACE} -l app=iot-processor"));
        }
        output::line(format!("  {} readings --data-dir {}", self.program.display(), self.cloud_dir().display()));
        for factory in &self.factories {
            let inside = factory.command(Path::new("curl"));
            let words: Vec<_> = std::iter::once(inside.get_program())
                .chain(inside.get_args())
                .map(|word| word.to_string_lossy())
                .collect();
            output::line(format!(
                "  {}: MQTT {}, rules: {} http://{}/rules",
                factory.name,
                factory.mqtt(),
                words.join(" "),
                factory.rest()
            ));
        }
        output::line(format!("  logs: {}/*.log", self.dir.display()));
    }

    /// Ends everything, in the order in which it depends on each other, and removes what was made.
    pub(super) fn tear_down(&mut self) {
        for link in self.factories.iter().filter_map(|factory| factory.link.as_ref()) {
            // A link that is cut may hold up an orderly end.
            let _ = link.heal();
        }
        self.simulators.clear();
        for factory in &mut self.factories {
            if let Some(mut agent) = factory.agent.take() {
                agent.stop(GRACE);
            }
        }
        if let Some(mut server) = self.server.take() {
            server.stop(GRACE);
        }
        for link in self.factories.iter().filter_map(|factory| factory.link.as_ref()) {
            link.remove();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tear_down();
    }
}

/// Ends what a killed demo left running and empties its folder.
fn remove_leftovers(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for process in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let ours = !command.is_empty() && pid != std::process::id().cast_signed() && mentions(&command, dir);
        if ours {
            // It may have ended by now.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
    unmount_below(dir)?;
    std::fs::remove_dir_all(dir).with_context(|| format!("empty {}", dir.display()))
}

/// Whether a command line names a file below `dir`; the demo's own says `--dir`, which names `dir` itself.
fn mentions(command: &[u8], dir: &Path) -> bool {
    let below = format!("{}/", dir.display());
    String::from_utf8_lossy(command).contains(&below)
}

fn unmount_below(dir: &Path) -> anyhow::Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let prefix = format!("{}/", dir.display());
    for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&prefix))
    {
        nix::mount::umount2(mount, nix::mount::MntFlags::MNT_DETACH).with_context(|| format!("unmount {mount}"))?;
    }
    Ok(())
}

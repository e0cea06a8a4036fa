//! A place for one scenario: a folder and loopback addresses that no other scenario uses.

use std::fs::File;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};

use crate::process::Process;
use crate::{machine, say};

/// The ports that scenarios use: not the program's own, which something on this machine may have on all addresses.
pub mod ports {
    /// Kubernetes API of the cloud.
    pub const API: u16 = 26_443;
    /// The link.
    pub const LINK: u16 = 21_000;
    /// Joining.
    pub const ENROLL: u16 = 21_002;
    /// A node's MQTT broker.
    pub const MQTT: u16 = 21_883;
    /// A node's rules.
    pub const REST: u16 = 29_081;
    /// A node's own Kubernetes API.
    pub const LOCAL_API: u16 = 20_550;
}

/// Lines of each log that a failure shows.
const TAIL: usize = 25;

/// A folder and addresses of one scenario. Everything in the folder goes with it, unless the scenario fails.
pub struct Site {
    name: String,
    slot: u8,
    dir: PathBuf,
    program: PathBuf,
    _slot: Flock<File>,
}

/// Runs a scenario to its end. A failure shows the end of every log it made and keeps its folder.
pub fn scenario<F, R>(name: &str, run: F)
where
    F: FnOnce(Arc<Site>) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let outcome = on_a_site(name, run);
    // A scenario has no caller that could handle this: it is the test.
    assert!(outcome.is_ok(), "{name}: {:#}", outcome.err().unwrap_or_else(|| anyhow::anyhow!("unknown")));
}

/// Runs something on a site of its own and gives its result.
pub fn on_a_site<F, R, T>(name: &str, run: F) -> anyhow::Result<T>
where
    F: FnOnce(Arc<Site>) -> R,
    R: Future<Output = anyhow::Result<T>>,
{
    let site = Arc::new(Site::new(name)?);
    // The scenario runs on this thread, wires and clients beside it: it may block.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let outcome = runtime.block_on(run(site.clone()));
    runtime.shutdown_background();
    if outcome.is_err() {
        site.keep();
    }
    outcome
}

impl Site {
    fn new(name: &str) -> anyhow::Result<Self> {
        let program = machine::program()?;
        let root = std::env::temp_dir().join("edgeward-tests");
        std::fs::create_dir_all(&root)?;
        let (slot, lock) = free_slot(&root)?;
        let dir = root.join(format!("{slot}"));
        machine::remove_leftovers(&dir)?;
        std::fs::create_dir_all(&dir)?;
        Ok(Self { name: name.to_owned(), slot, dir, program, _slot: lock })
    }

    /// The scenario's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The number that no other running scenario has, 1 to 250.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// A loopback address of this scenario alone: every party has its own, with the same [`ports`].
    pub fn address(&self, party: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 77, self.slot, party)
    }

    /// The program, with nothing of the caller's environment that could change what it does.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_remove("KUBECONFIG").stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EDGEWARD_")) {
            command.env_remove(name);
        }
        command
    }

    /// Path of the program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.command().args(arguments).output().context("run the program")
    }

    /// Starts a program with a log file of its own in the site's folder.
    pub fn spawn(&self, name: &str, command: Command) -> anyhow::Result<Process> {
        Process::start(name, command, &self.log(name))
    }

    /// Where the log of the process of that name is.
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// Shows the ends of all logs and moves the folder to where the next scenario leaves it alone.
    fn keep(&self) {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut logs: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_log(path)).collect();
        logs.sort();
        for log in logs {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            say(format!("--- end of {} ---", log.display()));
            lines.iter().skip(lines.len().saturating_sub(TAIL)).for_each(say);
        }
        let failed = self.dir.with_file_name("failed");
        let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let kept = failed.join(format!("{}-{second}", self.name));
        if std::fs::create_dir_all(&failed).is_ok() && std::fs::rename(&self.dir, &kept).is_ok() {
            say(format!("--- {}: everything is kept in {} ---", self.name, kept.display()));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep();
        }
        if let Err(error) = machine::remove_leftovers(&self.dir) {
            say(format!("{}: {error:#}", self.name));
        }
    }
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

fn free_slot(root: &Path) -> anyhow::Result<(u8, Flock<File>)> {
    for slot in 1..=250 {
        let file = File::create(root.join(format!("{slot}.lock")))?;
        if let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            return Ok((slot, lock));
        }
    }
    anyhow::bail!("250 scenarios run on this machine already")
}

/// Waits until no other scenario of this machine holds `what`; it is free again when the result is dropped.
pub async fn alone(what: &str) -> anyhow::Result<Flock<File>> {
    let path = std::env::temp_dir().join("edgeward-tests").join(format!("{what}.lock"));
    let waiting = tokio::task::spawn_blocking(move || {
        let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| anyhow::Error::from(error))
    });
    waiting.await?
}

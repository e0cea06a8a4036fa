//! The operating system's side of a plugin: its process group, its output, its end.

use std::io::ErrorKind;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use edgeward_service::Tasks;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::{Language, Options, Spec};
use crate::error::{PluginError, Result};

/// How long a process may take to end by itself.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// A process and everything it starts. Killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    id: u32,
}

impl Process {
    pub(super) fn spawn(spec: &Spec, options: &Options, tasks: &Tasks) -> Result<Process> {
        let failed = |error: std::io::Error| {
            let program = match spec.runs() {
                Some(Language::Python) => options.python.display().to_string(),
                _ => spec.executable.clone(),
            };
            PluginError::Process { name: spec.name.clone(), reason: format!("{program} cannot be started: {error}") }
        };
        let spawn = |options: &Options| {
            let mut command = command(spec, options);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
            // A group of its own, so that what the plugin starts ends with it.
            command.process_group(0).spawn()
        };
        let spawned = match spawn(options) {
            // eKuiper's default, which systems of today no longer have.
            Err(error) if error.kind() == ErrorKind::NotFound && options.python.as_os_str() == "python" => {
                spawn(&Options { python: "python3".into(), ..options.clone() })
            }
            spawned => spawned,
        };
        let mut child = spawned.map_err(failed)?;
        if let Some(out) = child.stdout.take() {
            tasks.spawn_until_cancelled("stdout", log(out, spec.name.clone(), "stdout", options.max_log_line));
        }
        if let Some(out) = child.stderr.take() {
            tasks.spawn_until_cancelled("stderr", log(out, spec.name.clone(), "stderr", options.max_log_line));
        }
        let id = child.id().unwrap_or_default();
        Ok(Process { child, id })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Waits for the end and says how it came.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => reason(status),
            Err(error) => format!("it cannot be waited for: {error}"),
        }
    }

    /// Asks the process to end, then kills it and whatever it started.
    pub(super) async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
            tracing::warn!(process = self.id, "a plugin's process did not end when asked to; it is killed");
        }
    }

    fn signal(&self, signal: Signal) {
        if let Ok(id @ 1..) = i32::try_from(self.id) {
            // An error means that nobody of the group is left.
            let _ = killpg(Pid::from_raw(id), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

fn reason(status: ExitStatus) -> String {
    format!("its process ended ({status}); its output is in the log")
}

fn command(spec: &Spec, options: &Options) -> Command {
    let folder = options.folder.join(&spec.name);
    let executable = folder.join(&spec.executable);
    let mut command = match (spec.runs(), &spec.env) {
        (Some(Language::Go) | None, _) => Command::new(&executable),
        (Some(Language::Python), Some(env)) if spec.virtual_env.is_some() => {
            let mut command = Command::new("conda");
            command.args(["run", "--no-capture-output", "-n", env]).arg(&options.python).arg(&executable);
            command
        }
        (Some(Language::Python), _) => {
            let mut command = Command::new(&options.python);
            command.arg(&executable);
            command
        }
    };
    // The one argument of the protocol; nanoseconds, as Go counts durations.
    command.arg(format!("{{\"sendTimeout\":{}}}", options.send_timeout.as_nanos()));
    command.current_dir(folder);
    command
}

/// Writes the output of a process into the log, line by line.
async fn log(out: impl AsyncRead + Unpin, plugin: String, stream: &'static str, longest: usize) {
    let mut reader = BufReader::new(out);
    let mut line = Vec::new();
    while let Ok(bytes) = reader.fill_buf().await {
        if bytes.is_empty() {
            break;
        }
        let (piece, whole) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&bytes[..=end], true),
            None => (bytes, false),
        };
        let used = piece.len();
        let room = longest.saturating_sub(line.len()).min(used);
        line.extend_from_slice(&piece[..room]);
        reader.consume(used);
        if whole {
            tracing::info!(plugin, stream, line = %String::from_utf8_lossy(&line).trim_end(), "plugin");
            line.clear();
        }
    }
}

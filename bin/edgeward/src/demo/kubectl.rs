//! The real kubectl, as people use it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// A kubectl that talks to one API.
#[derive(Clone)]
pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// kubectl on the PATH, or the one `tools/setup.sh` keeps apart.
    pub(super) fn find(kubeconfig: &Path) -> Option<Self> {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
        let kept =
            cache.map(|cache| cache.join("edgeward/kubectl-debian/usr/bin/kubectl")).filter(|path| path.is_file());
        let program = which("kubectl").or(kept)?;
        Some(Self { program, kubeconfig: kubeconfig.to_owned() })
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig).stdin(Stdio::null());
        command
    }

    /// Runs kubectl and gives what it printed.
    pub(super) async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command();
        command.args(arguments);
        let shown = arguments.join(" ");
        let output = tokio::task::spawn_blocking(move || command.output()).await?.context("run kubectl")?;
        text(&shown, &output)
    }

    /// The JSON of `kubectl get … -o json`.
    pub(super) async fn get(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut all = vec!["get"];
        all.extend(arguments);
        all.extend(["-o", "json"]);
        Ok(serde_json::from_str(&self.run(&all).await?)?)
    }
}

pub(super) fn text(shown: &str, output: &Output) -> anyhow::Result<String> {
    if !output.status.success() {
        bail!("kubectl {shown}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program of that name on the PATH (or where Debian puts daemons).
pub(super) fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

//! The real kubectl, old and new.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{machine, say};

/// One kubectl that talks to one API. Its cache of the API's groups is its own, so that nothing of another API is in it.
pub struct Kubectl {
    /// `1.20`, as it says itself.
    pub version: String,
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// Every kubectl there is: Debian's 1.20, which `make setup-tests` keeps apart, and the one on the PATH.
    pub fn all(kubeconfig: &Path) -> Vec<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
        let kept = Some(cache.join("edgeward/kubectl-debian/usr/bin/kubectl")).filter(|path| path.is_file());
        if kept.is_none() {
            say("\n=== NO KUBECTL 1.20 (make setup-tests brings it): scenarios with it are left out ===\n");
        }
        let programs = kept.into_iter().chain(machine::which("kubectl"));
        let open = |program: PathBuf| {
            let kubeconfig = kubeconfig.to_owned();
            Some(Self { version: version(&program)?, program, kubeconfig })
        };
        programs.filter_map(open).collect()
    }

    /// Runs it and gives what it printed; a failure is an error with what it said.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let (success, out, err) = self.output(arguments, "")?;
        if !success {
            bail!("kubectl {} {}: {}", self.version, arguments.join(" "), err.trim());
        }
        Ok(out)
    }

    /// `kubectl apply -f -` of this text.
    pub fn apply(&self, text: &str) -> anyhow::Result<String> {
        let (success, out, err) = self.output(&["apply", "-f", "-"], text)?;
        if !success {
            bail!("kubectl {} apply: {}", self.version, err.trim());
        }
        Ok(out)
    }

    /// The JSON that `kubectl get … -o json` prints.
    pub fn get(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let all: Vec<_> = std::iter::once("get").chain(arguments.iter().copied()).chain(["-o", "json"]).collect();
        Ok(serde_json::from_str(&self.run(&all)?)?)
    }

    /// Runs it: whether it succeeded, what it printed and what it said on standard error.
    pub fn output(&self, arguments: &[&str], input: &str) -> anyhow::Result<(bool, String, String)> {
        let cache = self.kubeconfig.with_file_name(format!("kubectl-cache-{}", self.version));
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig).arg("--cache-dir").arg(cache).args(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("kubectl")?;
        child.stdin.take().context("stdin")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
    }
}

fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).args(["version", "--client", "-o", "json"]).output().ok()?;
    let version: Value = serde_json::from_slice(&output.stdout).ok()?;
    let part = |name: &str| version.pointer(&format!("/clientVersion/{name}")).and_then(Value::as_str);
    Some(format!("{}.{}", part("major")?, part("minor")?.trim_end_matches('+')))
}

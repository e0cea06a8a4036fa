//! `edgeward server` under test.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::site::ports;
use crate::{Api, Cable, Kubectl, PATIENCE, Process, Site, eventually};

/// A server with its data folder; the process comes and goes.
pub struct Cloud {
    site: Arc<Site>,
    address: Ipv4Addr,
    hub: Ipv4Addr,
    flags: Vec<String>,
    process: Option<Process>,
}

impl Cloud {
    /// The usual server of a scenario, on the site's first address, that notices lost nodes soon. Not started yet.
    pub fn new(site: &Arc<Site>) -> Self {
        Self::with(site, &["--node-monitor-grace-period=3s"])
    }

    /// A server with flags of its own.
    pub fn with(site: &Arc<Site>, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self { site: site.clone(), address: site.address(1), hub: site.address(1), flags, process: None }
    }

    /// The usual server, for the node at the end of a cable.
    pub fn behind(site: &Arc<Site>, cable: &Cable) -> Self {
        Self { hub: cable.cloud, ..Self::new(site) }
    }

    /// The usual server, running and ready.
    pub async fn start(site: &Arc<Site>) -> anyhow::Result<Self> {
        let mut cloud = Self::new(site);
        cloud.launch()?;
        cloud.ready().await?;
        Ok(cloud)
    }

    /// Where it listens.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its data folder.
    pub fn dir(&self) -> PathBuf {
        self.site.dir().join("cloud")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir().join("admin.kubeconfig")
    }

    /// Starts the process, without waiting for it to be ready.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        let mut command = self.site.command();
        command.arg("server").arg("--data-dir").arg(self.dir());
        command.arg(format!("--bind-address={}", self.address)).arg(format!("--hub-address={}", self.hub));
        command.arg(format!("--https-listen-port={}", ports::API));
        command.arg(format!("--link-port={}", ports::LINK)).arg(format!("--enroll-port={}", ports::ENROLL));
        // The wire that scenarios put before the server answers on the site's second address.
        command.arg(format!("--tls-san={}", self.site.address(2)));
        command.args(&self.flags);
        self.process = Some(self.site.spawn("server", command)?);
        Ok(())
    }

    /// Waits until the API says that it is ready.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        eventually("the server being ready", PATIENCE, async || {
            if let Err(ended) = self.process()?.check() {
                return Ok(Some(Err(ended)));
            }
            let api = self.api().await?;
            Ok((api.call(http::Method::GET, "/readyz", "", Vec::new()).await?.0 == 200).then_some(Ok(())))
        })
        .await?
    }

    /// The running process.
    pub fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().context("the server is not started")
    }

    /// Kill -9.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the server is not started")?.kill()
    }

    /// SIGTERM; fails when the server does not end cleanly.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let status = self.process()?.stop(Duration::from_secs(30)).await?;
        anyhow::ensure!(status.success(), "the server ended with {status}");
        self.process = None;
        Ok(())
    }

    /// A client with the administrator's access.
    pub async fn api(&self) -> anyhow::Result<Api> {
        Api::open(&self.kubeconfig()).await
    }

    /// The kubectls of this machine, oldest first.
    pub fn kubectls(&self) -> Vec<Kubectl> {
        Kubectl::all(&self.kubeconfig())
    }

    /// A join token, made as an operator would.
    pub fn token(&self) -> anyhow::Result<String> {
        self.token_for("1h")
    }

    /// A join token that is good for `ttl`.
    pub fn token_for(&self, ttl: &str) -> anyhow::Result<String> {
        let dir = self.dir();
        let output = self.site.command().args(["token", "create", "--ttl", ttl, "--data-dir"]).arg(dir).output()?;
        if !output.status.success() {
            bail!("token create: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// What `edgeward readings -o json` prints with these arguments more.
    pub fn readings(&self, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
        let mut command = self.site.command();
        command.arg("readings").arg("--data-dir").arg(self.dir()).args(["-o", "json"]).args(arguments);
        let output = command.output()?;
        if !output.status.success() {
            bail!("readings: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// How many readings of a node's stream are stored.
    pub fn stored(&self, node: &str, stream: &str) -> anyhow::Result<u64> {
        let counts = self.readings(&[])?;
        let of = counts.iter().find(|count| count["node"] == node && count["stream"] == stream);
        Ok(of.and_then(|count| count["readings"].as_u64()).unwrap_or(0))
    }
}

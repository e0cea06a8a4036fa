//! `edgeward agent` under test.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::api::{condition, text};
use crate::netns::Cable;
use crate::site::ports;
use crate::{Api, PATIENCE, Process, Site, eventually, http, machine, say};

/// An edge node with its data folder; the process comes and goes.
pub struct Node {
    /// Its name in the cloud.
    pub name: String,
    /// Flags beside the usual ones.
    pub flags: Vec<String>,
    site: Arc<Site>,
    address: Ipv4Addr,
    cloud: Ipv4Addr,
    cable: Option<Cable>,
    process: Option<Process>,
}

impl Node {
    /// A node without pods that reaches the cloud (or the wire before it) at `cloud`. `number` tells the nodes of a
    /// site apart, from 1.
    pub fn new(site: &Arc<Site>, number: u8, name: &str, cloud: Ipv4Addr) -> Self {
        Self {
            name: name.to_owned(),
            flags: vec!["--disable-pods".to_owned(), "--heartbeat=1s".to_owned()],
            site: site.clone(),
            address: site.address(10 + number),
            cloud,
            cable: None,
            process: None,
        }
    }

    /// A node with pods, in a network namespace at the end of `cable`. Its pods end with it.
    pub fn with_pods(site: &Arc<Site>, name: &str, cable: Cable) -> Self {
        let flags = ["--heartbeat=1s", "--stop-pods"].map(str::to_owned).to_vec();
        let (address, cloud) = (Ipv4Addr::LOCALHOST, cable.cloud);
        let site = site.clone();
        let node = Self { name: name.to_owned(), flags, site, address, cloud, cable: Some(cable), process: None };
        node.remove_pods();
        node
    }

    /// A scenario that failed, or killed the agent, leaves containerd and pods behind.
    fn remove_pods(&self) {
        if let Err(error) = machine::remove_leftovers(&self.run_dir()) {
            say(format!("{}: {error:#}", self.name));
        }
        machine::remove_cgroups(&self.name);
    }

    /// Its data folder.
    pub fn dir(&self) -> PathBuf {
        self.site.dir().join(&self.name)
    }

    /// Where its container runtime has its sockets and state.
    pub fn run_dir(&self) -> PathBuf {
        Path::new("/run/edgeward").join(&self.name)
    }

    /// Its broker.
    pub fn mqtt(&self) -> SocketAddr {
        (self.address, ports::MQTT).into()
    }

    /// Its rules' REST API.
    pub fn rest(&self) -> SocketAddr {
        (self.address, ports::REST).into()
    }

    /// Its Kubernetes API.
    pub fn local_api(&self) -> SocketAddr {
        (self.address, ports::LOCAL_API).into()
    }

    /// Its network namespace, if it has one.
    pub fn cable(&self) -> Option<&Cable> {
        self.cable.as_ref()
    }

    /// A command line that runs the program where the node is.
    pub fn command(&self) -> Command {
        match &self.cable {
            None => self.site.command(),
            Some(cable) => cable.command(&self.site.command()),
        }
    }

    /// Starts the agent.
    pub fn launch(&mut self, token: Option<&str>) -> anyhow::Result<()> {
        let mut command = self.command();
        command.arg("agent").arg(format!("--server={}", self.cloud)).arg(format!("--node-name={}", self.name));
        command.arg("--data-dir").arg(self.dir());
        command.arg(format!("--link-port={}", ports::LINK)).arg(format!("--enroll-port={}", ports::ENROLL));
        command.arg(format!("--mqtt-listen={}", self.mqtt())).arg(format!("--rest-listen={}", self.rest()));
        command.arg(format!("--local-api-listen={}", self.local_api())).args(&self.flags);
        if let Some(token) = token {
            command.env("EDGEWARD_TOKEN", token);
        }
        self.process = Some(self.site.spawn(&self.name, command)?);
        Ok(())
    }

    /// The running process.
    pub fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().context("the agent is not started")
    }

    /// Kill -9.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the agent is not started")?.kill()
    }

    /// SIGTERM; fails when the agent does not end cleanly.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let status = self.process()?.stop(Duration::from_secs(40)).await?;
        anyhow::ensure!(status.success(), "the agent ended with {status}");
        self.process = None;
        Ok(())
    }

    /// Waits until everything the agent serves answers.
    pub async fn serves(&mut self) -> anyhow::Result<()> {
        eventually("what the agent serves", PATIENCE, async || {
            if let Err(ended) = self.process()?.check() {
                return Ok(Some(Err(ended)));
            }
            let served =
                self.get("/readyz").await?.0 == 200 && self.rules("GET", "/rules", &Value::Null).await?.0 == 200;
            Ok(served.then_some(Ok(())))
        })
        .await?
    }

    /// Waits until the agent serves and the cloud says that the node is ready.
    pub async fn ready(&mut self, api: &Api) -> anyhow::Result<Value> {
        self.serves().await?;
        let path = format!("/api/v1/nodes/{}", self.name);
        eventually(&format!("node {} being ready", self.name), PATIENCE, async || {
            if let Err(ended) = self.process()?.check() {
                return Ok(Some(Err(ended)));
            }
            let node = api.find(&path).await?;
            Ok(node.filter(|node| condition(node, "Ready")).map(Ok))
        })
        .await?
    }

    /// GET of the local API.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        http::call(self.cable.as_ref(), self.local_api(), "GET", path, "").await
    }

    /// Names of the local API's objects at a list's path.
    pub async fn names(&self, path: &str) -> anyhow::Result<Vec<String>> {
        let (status, list) = self.get(path).await?;
        anyhow::ensure!(status == 200, "local API: {path}: {status}: {list}");
        let items = list.get("items").and_then(Value::as_array).context("a list")?;
        Ok(items.iter().map(|item| text(item, "/metadata/name").to_owned()).collect())
    }

    /// A call of the rules' REST API: status and body.
    pub async fn rules(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        http::call(self.cable.as_ref(), self.rest(), method, path, &body).await
    }

    /// Makes a stream or a rule; fails when it is refused.
    pub async fn make(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let (status, answer) = self.rules("POST", path, body).await?;
        anyhow::ensure!(status == 201 || status == 200, "POST {path}: {status}: {answer}");
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process = None;
        if self.cable.is_none() {
            return;
        }
        self.remove_pods();
    }
}

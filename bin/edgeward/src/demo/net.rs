//! The demo's networks: each node in a network namespace of its own, joined to the cloud by a veth pair, so that a cut
//! is a real cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

/// Everything the demo makes is named so; leftovers of a killed run are found by it.
const PREFIX: &str = "ewd";

/// One node's place in the network.
#[derive(Clone, Debug)]
pub(super) struct Link {
    namespace: String,
    cloud_end: String,
    node_end: String,
    /// The cloud's address on this link.
    pub cloud: Ipv4Addr,
    /// The node's address.
    pub node: Ipv4Addr,
}

impl Link {
    /// The `number`-th link, from 1.
    pub(super) fn new(number: u8) -> Self {
        Self {
            namespace: format!("{PREFIX}-{number}"),
            cloud_end: format!("{PREFIX}{number}c"),
            node_end: format!("{PREFIX}{number}n"),
            cloud: Ipv4Addr::new(10, 231, number, 1),
            node: Ipv4Addr::new(10, 231, number, 2),
        }
    }

    /// Makes namespace and cable; what an earlier run left is removed first.
    pub(super) fn build(&self) -> anyhow::Result<()> {
        self.remove();
        let (ns, cloud_end, node_end) = (&self.namespace, &self.cloud_end, &self.node_end);
        let (cloud, node) = (format!("{}/24", self.cloud), format!("{}/24", self.node));
        ip(&["netns", "add", ns])?;
        ip(&["link", "add", cloud_end, "type", "veth", "peer", "name", node_end, "netns", ns])?;
        ip(&["addr", "add", &cloud, "dev", cloud_end])?;
        ip(&["link", "set", cloud_end, "up"])?;
        ip(&["-n", ns, "addr", "add", &node, "dev", node_end])?;
        ip(&["-n", ns, "link", "set", node_end, "up"])?;
        ip(&["-n", ns, "link", "set", "lo", "up"])?;
        ip(&["-n", ns, "route", "add", "default", "via", &self.cloud.to_string()])
    }

    /// Takes the cable out of the cloud.
    pub(super) fn cut(&self) -> anyhow::Result<()> {
        ip(&["link", "set", &self.cloud_end, "down"])
    }

    /// Puts it back.
    pub(super) fn heal(&self) -> anyhow::Result<()> {
        ip(&["link", "set", &self.cloud_end, "up"])
    }

    /// Removes both; interfaces, addresses, iptables rules and sysctls of the namespace go with it.
    pub(super) fn remove(&self) {
        // Missing things are what we want.
        let _ = ip(&["link", "del", &self.cloud_end]);
        let _ = ip(&["netns", "del", &self.namespace]);
    }

    /// A command line that runs `program` inside. `nsenter` rather than `ip netns exec`, because the latter would give
    /// each process mounts of its own, and containers must see the agent's.
    pub(super) fn command(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.namespace)
    }

    /// Opens a TCP connection from inside the namespace: a socket stays where it was made.
    pub(super) async fn connect(&self, address: SocketAddr) -> anyhow::Result<tokio::net::TcpStream> {
        let path = self.path();
        let (done, made) = tokio::sync::oneshot::channel();
        // A thread of its own, because the namespace belongs to the thread, and ends with it.
        std::thread::spawn(move || {
            // The receiver may have given up.
            let _ = done.send(connect_inside(&path, address));
        });
        let stream = made.await.context("the connecting thread ended")??;
        stream.set_nonblocking(true)?;
        Ok(tokio::net::TcpStream::from_std(stream)?)
    }
}

fn connect_inside(namespace: &std::path::Path, address: SocketAddr) -> anyhow::Result<std::net::TcpStream> {
    let file = std::fs::File::open(namespace).with_context(|| format!("open {}", namespace.display()))?;
    nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET).context("enter the network namespace")?;
    std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_secs(2))
        .with_context(|| format!("connect to {address}"))
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("run ip; apt-get install iproute2")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

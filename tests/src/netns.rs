//! A node in a network namespace of its own, joined to the cloud by a cable (a veth pair).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpStream;

use crate::Site;

/// A cable with a namespace at its end; both go when it is dropped, and interfaces, addresses, iptables rules and sysctls
/// of the namespace with them.
pub struct Cable {
    namespace: String,
    cloud_end: String,
    /// The cloud's address on this cable.
    pub cloud: Ipv4Addr,
    /// The node's address.
    pub node: Ipv4Addr,
}

impl Cable {
    /// The cable of a site; what an interrupted run left is removed first. Needs root.
    pub fn new(site: &Site) -> anyhow::Result<Self> {
        let slot = site.slot();
        let cable = Self {
            namespace: format!("ewt-{slot}"),
            cloud_end: format!("ewt{slot}c"),
            cloud: Ipv4Addr::new(10, 232, slot, 1),
            node: Ipv4Addr::new(10, 232, slot, 2),
        };
        cable.remove();
        let (ns, cloud_end, node_end) = (&cable.namespace, &cable.cloud_end, format!("ewt{slot}n"));
        ip(&["netns", "add", ns])?;
        ip(&["link", "add", cloud_end, "type", "veth", "peer", "name", &node_end, "netns", ns])?;
        ip(&["addr", "add", &format!("{}/24", cable.cloud), "dev", cloud_end])?;
        ip(&["link", "set", cloud_end, "up"])?;
        ip(&["-n", ns, "addr", "add", &format!("{}/24", cable.node), "dev", &node_end])?;
        ip(&["-n", ns, "link", "set", &node_end, "up"])?;
        ip(&["-n", ns, "link", "set", "lo", "up"])?;
        ip(&["-n", ns, "route", "add", "default", "via", &cable.cloud.to_string()])?;
        Ok(cable)
    }

    /// Takes the cable out of the cloud.
    pub fn cut(&self) -> anyhow::Result<()> {
        ip(&["link", "set", &self.cloud_end, "down"])
    }

    /// Puts it back.
    pub fn heal(&self) -> anyhow::Result<()> {
        ip(&["link", "set", &self.cloud_end, "up"])
    }

    fn remove(&self) {
        // Missing things are what we want.
        let _ = ip(&["link", "del", &self.cloud_end]);
        let _ = ip(&["netns", "del", &self.namespace]);
    }

    /// A command line that runs `inner` at the cable's end. `nsenter` rather than `ip netns exec`, because the latter would
    /// give it mounts of its own, and containers must see the agent's.
    pub fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path().display()))
            .arg("--")
            .arg(inner.get_program())
            .args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// What a program prints at the cable's end.
    pub fn output(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut inner = Command::new(program);
        inner.args(arguments);
        let output = self.command(&inner).output().with_context(|| format!("run {program}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.namespace)
    }

    /// Opens a TCP connection from inside: a socket stays where it was made.
    pub async fn connect(&self, address: SocketAddr) -> anyhow::Result<TcpStream> {
        let path = self.path();
        let (done, made) = tokio::sync::oneshot::channel();
        // A thread of its own, because the namespace belongs to the thread, and ends with it.
        std::thread::spawn(move || {
            // The receiver may have given up.
            let _ = done.send(connect_inside(&path, address));
        });
        let stream = made.await.context("the connecting thread ended")??;
        stream.set_nonblocking(true)?;
        Ok(TcpStream::from_std(stream)?)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.remove();
    }
}

fn connect_inside(namespace: &Path, address: SocketAddr) -> anyhow::Result<std::net::TcpStream> {
    let file = std::fs::File::open(namespace).with_context(|| format!("open {}", namespace.display()))?;
    nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET).context("enter the network namespace")?;
    std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2))
        .with_context(|| format!("connect to {address}"))
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("run ip; apt-get install iproute2")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

//! After the end nothing of ours is left on the machine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edgeward_tests::site::{alone, ports};
use edgeward_tests::{Cable, Cloud, Node, PATIENCE, Site, eventually, machine, say, scenario};

use crate::workload;

const NODE: &str = "leaves-nothing";

#[test]
fn a_stopped_node_leaves_nothing_behind() {
    scenario("clean-stop", async |site| {
        if !machine::has_containers() {
            say("\n=== NO ROOT OR NO CONTAINERD: the clean end of pods is left out ===\n");
            return Ok(());
        }
        let _alone = alone("containers").await?;
        let cable = Cable::new(&site)?;
        let before = Surroundings::of(&cable)?;
        let mut cloud = Cloud::behind(&site, &cable);
        cloud.launch()?;
        cloud.ready().await?;
        let mut node = Node::with_pods(&site, NODE, cable);
        node.flags.push(workload::images_flag(&site)?);
        node.launch(Some(&cloud.token()?))?;
        let api = cloud.api().await?;
        node.ready(&api).await?;
        workload::deploy(&api, "worker", 2).await?;
        workload::running(&api, &mut node, "worker", 2).await?;
        // The check below can fail: while the node runs it has all of this.
        anyhow::ensure!(!left(&site, &node).is_empty(), "the node runs and yet nothing of it is seen");
        // A node that is killed and adopts its pods must end as cleanly.
        node.kill()?;
        node.launch(None)?;
        node.serves().await?;
        workload::running(&api, &mut node, "worker", 2).await?;
        node.stop().await?;
        cloud.stop().await?;
        eventually("nothing being left", Duration::from_secs(20), async || {
            let left = left(&site, &node);
            anyhow::ensure!(left.is_empty(), "left behind: {left:#?}");
            Ok(Some(()))
        })
        .await?;
        let cable = node.cable().ok_or_else(|| anyhow::anyhow!("no cable"))?;
        before.same_as(&Surroundings::of(cable)?)
    });
}

/// Processes, mounts, cgroups and the folder of the node.
fn left(site: &Arc<Site>, node: &Node) -> Vec<String> {
    let folders = [site.dir().to_owned(), node.run_dir()];
    let mut left = Vec::new();
    for folder in &folders {
        let mentioned = machine::processes_that_mention(&format!("{}/", folder.display()));
        left.extend(mentioned.into_iter().map(|(pid, command)| format!("process {pid}: {command}")));
        left.extend(machine::mounts_below(folder).into_iter().map(|mount| format!("mount {mount}")));
    }
    left.extend(machine::cgroups(NODE).into_iter().map(|folder| format!("cgroup {}", folder.display())));
    left.extend(node.run_dir().exists().then(|| format!("folder {}", node.run_dir().display())));
    left
}

/// What the node's network namespace looks like.
#[derive(Debug, PartialEq, Eq)]
struct Surroundings {
    interfaces: Vec<String>,
    rules: Vec<String>,
    forwarding: String,
}

impl Surroundings {
    fn of(cable: &Cable) -> anyhow::Result<Self> {
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let links = lines(cable.output("ip", &["-o", "link"])?);
        let name = |line: &String| line.split(": ").nth(1).unwrap_or_default().to_owned();
        let rules = [["-S"].as_slice(), &["-t", "nat", "-S"]];
        let mut all = Vec::new();
        for table in rules {
            all.extend(lines(cable.output("iptables", table)?));
        }
        let forwarding = cable.output("cat", &["/proc/sys/net/ipv4/ip_forward"])?;
        Ok(Self { interfaces: links.iter().map(name).collect(), rules: all, forwarding })
    }

    fn same_as(&self, after: &Self) -> anyhow::Result<()> {
        anyhow::ensure!(self == after, "the network was {self:#?} and is now {after:#?}");
        Ok(())
    }
}

#[test]
fn a_stopped_program_frees_its_ports_and_ends_at_once() {
    scenario("clean-ports", async |site| {
        let mut cloud = Cloud::start(&site).await?;
        let mut node = Node::new(&site, 1, "brief", cloud.address());
        node.launch(Some(&cloud.token()?))?;
        node.ready(&cloud.api().await?).await?;
        node.stop().await?;
        cloud.stop().await?;
        for port in [ports::API, ports::LINK, ports::ENROLL] {
            std::net::TcpListener::bind((cloud.address(), port))?;
        }
        for address in [node.mqtt(), node.rest(), node.local_api()] {
            std::net::TcpListener::bind(address)?;
        }
        anyhow::ensure!(!Path::new(&node.run_dir()).exists(), "{} is left", node.run_dir().display());
        // SIGTERM while it starts is heard, too.
        cloud.launch()?;
        tokio::time::sleep(Duration::from_millis(30)).await;
        let status = cloud.process()?.stop(PATIENCE).await?;
        anyhow::ensure!(status.success() || status.code().is_none(), "ended with {status}");
        Ok(())
    });
}

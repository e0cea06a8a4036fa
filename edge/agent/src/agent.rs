//! Putting the node together: disk first, the link last.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edgeward_broker as broker;
use edgeward_drivers::modbus::{self, ModbusDriver};
use edgeward_pods as pods;
use edgeward_service::Tasks;
use edgeward_twin::{self as twin, TwinHandle};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use crate::devices::{self, Membership, TwinReports};
use crate::link::{self, Link, LinkState, Logs, Served, SessionWork};
use crate::node::{self, NodeKeeper, Readiness};
use crate::outbox::{self, Outbox};
use crate::pods::PodsApi;
use crate::replica::Replica;
use crate::{Error, api, events};

/// What the agent consists of; parts that are `None` are left out.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of everything the agent keeps: `replica.db`, `twin.db`, `broker.db`, `outbox/`, `pki/`.
    pub data_dir: PathBuf,
    /// What the node says of itself; its name is the node's name everywhere.
    pub node: node::Options,
    /// The way to the cloud.
    pub link: link::Options,
    /// Telemetry.
    pub outbox: outbox::Options,
    /// The MQTT broker, which is also the node's bus.
    pub broker: broker::Options,
    /// Device twins.
    pub twin: twin::Options,
    /// The Modbus driver.
    pub modbus: Option<modbus::Options>,
    /// Containers.
    pub pods: Option<pods::Options>,
    /// Where the local read API listens, plain HTTP without authentication: a loopback address.
    pub local_api: Option<SocketAddr>,
}

impl Options {
    /// Everything but containers, under `data_dir`, for a hub at `host` on KubeEdge's ports.
    pub fn new(node: &str, host: &str, data_dir: &Path) -> Self {
        let link = link::Options::new(host, node, data_dir.join("pki"));
        Self {
            data_dir: data_dir.to_owned(),
            node: node::Options::new(node, &link.server, data_dir.to_owned(), 0),
            link,
            outbox: outbox::Options { folder: data_dir.join("outbox"), ..outbox::Options::default() },
            broker: broker::Options { store: Some(data_dir.join("broker.db")), ..broker::Options::default() },
            twin: twin::Options::new(data_dir.join("twin.db"), node),
            modbus: Some(modbus::Options::default()),
            pods: None,
            local_api: Some(SocketAddr::from(([127, 0, 0, 1], 10550))),
        }
    }
}

/// The agent of one node.
#[derive(Debug)]
pub struct Agent;

/// The running agent; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    node: Arc<str>,
    replica: Replica,
    outbox: Outbox,
    broker: broker::Handle,
    twin: TwinHandle,
    node_api: Arc<dyn pods::NodeApi>,
    pods: Option<pods::Handle>,
    local_api: Option<SocketAddr>,
    link: Link,
}

impl Agent {
    /// Starts every part under `tasks`, each from what is on disk, and the link last. Returns when all of them work; the
    /// cloud is not waited for.
    pub async fn start(options: Options, tasks: &Tasks) -> Result<Handle, Error> {
        let Options { data_dir, mut node, link, outbox, broker, twin, modbus, pods, local_api } = options;
        std::fs::create_dir_all(&data_dir).map_err(|error| Error::io("data folder", &data_dir, &error))?;
        let replica = Replica::open(&data_dir.join("replica.db")).await?;
        let outbox = Outbox::open(outbox, tasks)?;
        let broker = broker::Broker::start(broker, tasks).await.map_err(|error| part("broker", &error))?;
        let (twin, uplink) = twin::Twin::start(twin, broker.clone(), tasks).await?;
        if let Some(modbus) = modbus {
            ModbusDriver::start(modbus, &twin, broker.clone(), tasks).await?;
        }
        let revision = devices::load(&replica, &twin).await?;
        tasks.spawn_until_cancelled("devices", devices::follow(replica.clone(), twin.clone(), revision));

        let readiness = watch::Sender::new(Readiness::default());
        // Pods ask for their node before they start.
        NodeKeeper::new(node.clone(), replica.clone(), readiness.subscribe()).prepare().await?;
        let link = Link::new(link);
        let node_api = pods_api(&node.name, &replica, &link, tasks);
        let pods = match pods {
            Some(options) => {
                let started = pods::Pods::start(options, node_api.clone(), tasks).await;
                let pods = started.map_err(|error| part("pods", &error))?;
                node.runtime_version = pods.runtime_version().await.map_err(|error| part("pods", &error))?;
                tasks.spawn_until_cancelled("readiness", follow_runtime(pods.trouble(), readiness.clone()));
                Some(pods)
            }
            None => None,
        };
        let local_api = match local_api {
            Some(address) => Some(api::start(address, &replica, twin.clone(), pods.clone(), tasks).await?),
            None => None,
        };
        let keeper = Arc::new(NodeKeeper::new(node.clone(), replica.clone(), readiness.subscribe()));
        let work: Vec<Arc<dyn SessionWork>> = vec![keeper, Arc::new(TwinReports::new(uplink))];
        let served = Served {
            replica: replica.clone(),
            outbox: Some(outbox.clone()),
            devices: Some(Arc::new(Membership(twin.clone()))),
            logs: pods.clone().map(|pods| Arc::new(api::PodLogs(pods)) as Arc<dyn Logs>),
        };
        link.start(served, work, tasks);
        let node = node.name.as_str().into();
        Ok(Handle { node, replica, outbox, broker, twin, node_api, pods, local_api, link })
    }
}

/// The Node is Ready as long as its containers can run.
async fn follow_runtime(mut trouble: watch::Receiver<Option<String>>, readiness: watch::Sender<Readiness>) {
    loop {
        let now = match trouble.borrow_and_update().clone() {
            Some(message) => Readiness { ready: false, reason: "RuntimeNotReady".to_owned(), message },
            None => Readiness::default(),
        };
        readiness.send_if_modified(|current| {
            let changed = *current != now;
            *current = now;
            changed
        });
        if trouble.changed().await.is_err() {
            return;
        }
    }
}

/// The replica as pods see it.
fn pods_api(node: &str, replica: &Replica, link: &Link, tasks: &Tasks) -> Arc<dyn pods::NodeApi> {
    let (events, received) = mpsc::channel(events::QUEUE);
    tasks.spawn_until_cancelled("events", events::run(replica.clone(), node.to_owned(), received));
    Arc::new(PodsApi {
        node: node.into(),
        replica: replica.clone(),
        link: link.clone(),
        events,
        tasks: tasks.child("pods-api"),
        asked: Arc::new(Mutex::new(HashSet::new())),
    })
}

impl Handle {
    /// This node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The node's copy of its part of the cluster.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Telemetry on its way up.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The node's bus.
    pub fn broker(&self) -> &broker::Handle {
        &self.broker
    }

    /// The devices.
    pub fn twin(&self) -> &TwinHandle {
        &self.twin
    }

    /// The cluster as this node's pods see it: desired pods, their status, ConfigMaps, Secrets, tokens, events.
    pub fn node_api(&self) -> &Arc<dyn pods::NodeApi> {
        &self.node_api
    }

    /// Containers, if this node runs any.
    pub fn pods(&self) -> Option<&pods::Handle> {
        self.pods.as_ref()
    }

    /// Where the local read API listens.
    pub fn local_api(&self) -> Option<SocketAddr> {
        self.local_api
    }

    /// Follows the link.
    pub fn link_state(&self) -> watch::Receiver<LinkState> {
        self.link.state()
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("node", &self.node).field("link", &self.link).finish_non_exhaustive()
    }
}

fn part(part: &'static str, error: &dyn std::error::Error) -> Error {
    Error::Part { part, reason: error.to_string() }
}

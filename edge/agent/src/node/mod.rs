//! The node's own objects: its Node, registered or adopted, with status; and the Lease that shows it is alive.
//!
//! A Node that was made beforehand (by kubectl) is adopted: missing labels are added, none is overwritten.

mod machine;
mod pressure;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edgeward_objects::Object;
use edgeward_service::{Counter, clock};
use edgeward_wire::{Envelope, group, null, operation, source};
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use self::pressure::Pressure;
use crate::Error;
use crate::link::{Answer, End, Refusal, Session, SessionWork, encode};
use crate::replica::Replica;
use crate::replica::kinds::NODE;

/// Kubernetes' version as nodes report it, with our own behind it.
const KUBELET_VERSION: &str = concat!("v1.36.2-edgeward-", env!("CARGO_PKG_VERSION"));
/// The Lease is this long valid without renewal (kubelet: 40 s).
const LEASE_SECONDS: u64 = 40;

/// What the node says of itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// Node name.
    pub name: String,
    /// Labels besides the usual ones.
    pub labels: BTreeMap<String, String>,
    /// Addresses of the node, the main one first. Empty: the one the route to the hub begins at.
    pub addresses: Vec<IpAddr>,
    /// Where the address of the default route is looked for: `host:port` of the hub.
    pub server: String,
    /// Most pods; 0 when the node runs none, which keeps the scheduler away.
    pub max_pods: usize,
    /// Container runtime and version, such as `containerd://1.6.20`; empty when there is none. The agent fills it in.
    pub runtime_version: String,
    /// File system whose size is reported as `ephemeral-storage`.
    pub data_dir: PathBuf,
    /// Memory kept back from pods, bytes.
    pub reserved_memory: u64,
    /// How often the Lease is renewed (kubelet: 10 s).
    pub lease_interval: Duration,
    /// How often the status is sent when nothing changes (kubelet: 5 min).
    pub status_interval: Duration,
}

impl Options {
    /// The usual intervals, for a node that runs up to `max_pods` pods.
    pub fn new(name: &str, server: &str, data_dir: PathBuf, max_pods: usize) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            addresses: Vec::new(),
            server: server.to_owned(),
            max_pods,
            runtime_version: String::new(),
            data_dir,
            reserved_memory: 100 << 20,
            lease_interval: Duration::from_secs(10),
            status_interval: Duration::from_secs(300),
        }
    }
}

/// Whether the node can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The Ready condition.
    pub ready: bool,
    /// Its reason, one CamelCase word.
    pub reason: String,
    /// Its message.
    pub message: String,
}

impl Default for Readiness {
    fn default() -> Self {
        let (reason, message) = ("EdgewardReady".to_owned(), "agent is posting ready status".to_owned());
        Self { ready: true, reason, message }
    }
}

/// Keeps the node's objects up to date.
pub(crate) struct NodeKeeper {
    options: Options,
    replica: Replica,
    readiness: watch::Receiver<Readiness>,
}

impl NodeKeeper {
    pub(crate) fn new(options: Options, replica: Replica, readiness: watch::Receiver<Readiness>) -> Self {
        Self { options, replica, readiness }
    }

    /// Makes the Node in the replica if there is none, so that the local API shows it before the cloud was ever reached,
    /// and writes the present status.
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        let key = NODE.key(None, &self.options.name);
        if self.replica.get(&key).await?.is_none() {
            self.replica.put_own(&key, self.object(), false).await?;
        }
        self.report().await.map(drop)
    }

    /// Writes the status of this moment into the replica; the link sends it.
    async fn report(&self) -> Result<Pressure, Error> {
        let key = NODE.key(None, &self.options.name);
        let readiness = self.readiness.borrow().clone();
        let pressure = Pressure::now(&self.options.data_dir);
        let status = machine::status(&self.options, &readiness, pressure).await;
        let change = |node: &mut Object| {
            let mut status = status.clone();
            machine::keep_transition_times(node.get(&["status"]), &mut status);
            node.set(&["status"], status);
            true
        };
        self.replica.report(&key, "", change).await?;
        Ok(pressure)
    }

    /// The Node as this node would make it.
    fn object(&self) -> Object {
        let mut node = Object::new(&NODE.gvk(), None, &self.options.name);
        node.set(&["metadata", "creationTimestamp"], clock::now_rfc3339());
        node.set(&["metadata", "labels"], Value::Object(self.labels()));
        node.set(&["spec"], json!({}));
        node
    }

    fn labels(&self) -> Map<String, Value> {
        let arch = machine::architecture();
        let own = [
            ("beta.kubernetes.io/arch", arch),
            ("beta.kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", arch),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/hostname", self.options.name.as_str()),
            ("node-role.kubernetes.io/edge", ""),
            ("node-role.kubernetes.io/agent", ""),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value.into()));
        own.chain(self.options.labels.iter().map(|(key, value)| (key.clone(), value.as_str().into()))).collect()
    }

    /// Registers or adopts the Node: asks for it, makes it, or adds the labels it lacks.
    async fn register(&self, session: &Session) -> Result<(), Error> {
        let resource = format!("null/node/{}", self.options.name);
        let ask = |operation, content| session.request(request(operation, &resource, content));
        let found = ask(operation::QUERY, null()).await?;
        let answer = match found.object() {
            Ok(Some(object)) => {
                let node = Object::from_bytes(object.get().as_bytes()).unwrap_or_default();
                let missing = self.labels().into_iter().filter(|(key, _)| node.label(key).is_none());
                let missing: Map<String, Value> = missing.collect();
                if !missing.is_empty() {
                    let patch = json!({"metadata": {"name": self.options.name, "labels": missing}});
                    let done = ask(operation::UPDATE, encode(&patch)?).await?;
                    done.object().map_err(|refusal| self.refused(&refusal))?;
                }
                found
            }
            Ok(None) => found,
            Err(refusal) if refusal.is_not_found() => {
                let key = NODE.key(None, &self.options.name);
                let mut node = self.object();
                if let Some(stored) = self.replica.get(&key).await? {
                    node.set(&["status"], stored.object.get(&["status"]).cloned().unwrap_or_default());
                }
                ask(operation::INSERT, encode(node.as_map())?).await?
            }
            Err(refusal) => return Err(self.refused(&refusal)),
        };
        self.keep(&answer).await
    }

    /// The Node as the cloud has it goes into the replica.
    async fn keep(&self, answer: &Answer) -> Result<(), Error> {
        let object = answer.object().map_err(|refusal| self.refused(&refusal))?;
        let Some(Ok(node)) = object.map(|object| Object::from_bytes(object.get().as_bytes())) else { return Ok(()) };
        if node.name() != self.options.name {
            return Ok(());
        }
        let version = node.resource_version().to_owned();
        // Labels added just now are not in it; the cloud sends the newer version by itself.
        self.replica.apply(NODE, node, &version).await.map(drop)
    }

    fn refused(&self, refusal: &Refusal) -> Error {
        let (server, node) = (self.options.server.clone(), self.options.name.clone());
        Error::Refused { server, node, reason: format!("its Node: {refusal}") }
    }

    async fn work(&self, session: Session) -> Result<std::convert::Infallible, Error> {
        let mut readiness = self.readiness.clone();
        let mut lease = Lease { node: self.options.name.clone(), last: None };
        let mut renew = tokio::time::interval(self.options.lease_interval);
        renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut status = tokio::time::interval(self.options.status_interval);
        let (mut registered, mut told) = (false, None);
        loop {
            tokio::select! {
                _ = renew.tick() => {
                    if !registered {
                        registered = self.settle(self.register(&session).await)?;
                        status.reset_immediately();
                    }
                    if registered {
                        if told.is_some_and(|told| told != Pressure::now(&self.options.data_dir)) {
                            told = Some(self.report().await?);
                        }
                        self.settle(lease.renew(&session, &self.replica).await)?;
                    }
                }
                _ = status.tick(), if registered => told = Some(self.report().await?),
                // The sender lives as long as the agent; without it the status is only sent at intervals.
                Ok(()) = readiness.changed(), if registered => told = Some(self.report().await?),
            }
        }
    }

    /// A refusal is tried again with the next Lease; a session that ended is not.
    fn settle(&self, result: Result<(), Error>) -> Result<bool, Error> {
        match result {
            Ok(()) => Ok(true),
            Err(Error::Offline) => Err(Error::Offline),
            Err(error) => {
                FAILURES.inc();
                tracing::warn!(node = self.options.name, %error, "node is not registered or its lease not renewed");
                Ok(false)
            }
        }
    }
}

impl SessionWork for NodeKeeper {
    fn run(self: Arc<Self>, session: Session) -> BoxFuture<'static, End> {
        Box::pin(async move {
            match self.work(session).await {
                Ok(never) => match never {},
                Err(error) => End::Failed(error),
            }
        })
    }
}

/// The Lease `kube-node-lease/<node>`.
struct Lease {
    node: String,
    /// As the cloud last answered it; `None` when it has to be asked for.
    last: Option<Object>,
}

impl Lease {
    async fn renew(&mut self, session: &Session, replica: &Replica) -> Result<(), Error> {
        let resource = format!("kube-node-lease/lease/{}", self.node);
        if self.last.is_none() {
            let found = session.request(request(operation::QUERY, &resource, null())).await?;
            self.last = parse(&found).ok().flatten();
        }
        let operation = if self.last.is_some() { operation::UPDATE } else { operation::INSERT };
        let mut lease = match self.last.take() {
            Some(lease) => lease,
            None => self.first(replica).await?,
        };
        lease.set(&["spec", "holderIdentity"], self.node.as_str());
        lease.set(&["spec", "leaseDurationSeconds"], LEASE_SECONDS);
        lease.set(&["spec", "renewTime"], clock::now_rfc3339_micros());
        let answer = session.request(request(operation, &resource, encode(lease.as_map())?)).await?;
        self.last = parse(&answer).map_err(|refusal| Error::Message(format!("lease refused: {refusal}")))?;
        Ok(())
    }

    /// A new Lease goes away with its Node.
    async fn first(&self, replica: &Replica) -> Result<Object, Error> {
        let mut lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.node, "namespace": "kube-node-lease"},
        });
        let node = replica.get(&NODE.key(None, &self.node)).await?.unwrap_or_default();
        if !node.object.uid().is_empty() {
            lease["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "Node", "name": self.node, "uid": node.object.uid()}]);
        }
        Ok(Object::from_value(lease).unwrap_or_default())
    }
}

fn parse(answer: &Answer) -> Result<Option<Object>, Refusal> {
    let object = answer.object()?;
    Ok(object
        .and_then(|object| Object::from_bytes(object.get().as_bytes()).ok())
        .filter(|lease| !lease.name().is_empty()))
}

fn request(operation: &str, resource: &str, content: edgeward_wire::Content) -> Envelope {
    Envelope::new(clock::now_ms(), source::EDGED, group::META, operation, resource.to_owned(), content)
}

static FAILURES: Counter =
    Counter::new("edgeward_agent_heartbeat_failures_total", "registrations and lease renewals that failed");

//! What the hub is given: limits and addresses, and the parts of the cloud that take what nodes report.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use edgeward_wire::{Limits, Telemetry};
use futures::future::BoxFuture;

/// Settings of the hub. The defaults are KubeEdge's where it has one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where nodes join (HTTPS).
    pub enroll_listen: SocketAddr,
    /// Where nodes hold their sessions (WebSocket over mutual TLS).
    pub link_listen: SocketAddr,
    /// Host names and addresses nodes reach this hub by; its certificate is made for them.
    pub hosts: Vec<String>,
    /// Sessions at once; further nodes are refused with status 503.
    pub node_limit: usize,
    /// A KubeEdge session ends after this long without any message (its edges send one every 15 s).
    pub keepalive: Duration,
    /// A session of our own agent ends after this long without any frame; after a third of it a ping is sent.
    pub own_silence: Duration,
    /// TLS and HTTP upgrade together.
    pub handshake_timeout: Duration,
    /// Handshakes at once; further connections wait in the kernel's queue.
    pub handshakes: usize,
    /// A peer that takes no byte for this long has its session ended.
    pub write_timeout: Duration,
    /// Read buffer of each session: memory that idle sessions hold.
    pub read_buffer_bytes: usize,
    /// Longest message and frame.
    pub limits: Limits,
    /// Messages waiting to be written to one node.
    pub outgoing_messages: usize,
    /// Messages of one node being worked on or waiting for it; the node's further messages wait in its socket.
    /// Requests to the API and reports of devices have a share of this size each.
    pub upstream_messages: usize,
    /// API calls at once for one node, and likewise device reports at once.
    pub upstream_parallel: usize,
    /// Unacknowledged deliveries at once to our own agents (KubeEdge edges get one).
    pub window: usize,
    /// Changed objects remembered for one node; beyond that the node's whole view is compared again.
    pub changed_objects: usize,
    /// An unacknowledged delivery is repeated after this long, then after twice as long, up to 16 times as long.
    pub resend: Duration,
    /// How long our agent may take to say what it has, before it is taken to have nothing.
    pub have_timeout: Duration,
    /// Objects of an agent's inventory that are noted; what it has beyond them is sent again.
    pub inventory_objects: usize,
    /// Life of the certificates nodes get.
    pub node_certificate_lifetime: Duration,
    /// Refused joins of one address in one minute; further requests of it get status 429.
    pub refusals_per_minute: u32,
    /// The cluster's CA as PEM: the answer to `k8s/ca.crt`. Empty: the hub's own CA.
    pub cluster_ca_pem: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            enroll_listen: (Ipv4Addr::UNSPECIFIED, 10002).into(),
            link_listen: (Ipv4Addr::UNSPECIFIED, 10000).into(),
            hosts: vec!["localhost".into(), "127.0.0.1".into()],
            node_limit: 1_000,
            keepalive: Duration::from_secs(30),
            own_silence: Duration::from_secs(9),
            handshake_timeout: Duration::from_secs(10),
            handshakes: 256,
            write_timeout: Duration::from_secs(30),
            read_buffer_bytes: 4 << 10,
            limits: Limits::default(),
            outgoing_messages: 256,
            upstream_messages: 1_024,
            upstream_parallel: 16,
            window: 64,
            changed_objects: 16_384,
            resend: Duration::from_secs(5),
            have_timeout: Duration::from_secs(10),
            inventory_objects: 65_536,
            node_certificate_lifetime: Duration::from_secs(365 * 86_400),
            refusals_per_minute: 30,
            cluster_ca_pem: String::new(),
        }
    }
}

/// Why a handler did not take a report. The node is answered with the text.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// Takes what devices report. The hub calls it only for devices that belong to the node, in order per device, several
/// devices at once, and confirms to the node when it returns `Ok`: then the report must be in the API.
pub trait DeviceUplink: Send + Sync + 'static {
    /// Property values: `{event_id,timestamp,twin:{<property>:MsgTwin}}`, JSON.
    fn twin_update<'a>(
        &'a self,
        node: &'a str,
        namespace: &'a str,
        device: &'a str,
        content: &'a str,
    ) -> BoxFuture<'a, Result<(), HandlerError>>;

    /// Online or not: `{event_id,timestamp,device:{name,state,lastOnlineTime}}`, JSON.
    fn state_update<'a>(
        &'a self,
        node: &'a str,
        namespace: &'a str,
        device: &'a str,
        content: &'a str,
    ) -> BoxFuture<'a, Result<(), HandlerError>>;
}

/// Takes readings.
pub trait TelemetrySink: Send + Sync + 'static {
    /// Stores a batch of `node` and gives the highest sequence number up to which everything is stored. Batches of one
    /// node come one after another. On an error nothing is acknowledged and the node sends the batch again later.
    fn store<'a>(&'a self, node: &'a str, batch: Telemetry) -> BoxFuture<'a, Result<u64, HandlerError>>;
}

/// The parts of the cloud that take what nodes report.
#[derive(Clone)]
pub struct Handlers {
    /// Usually `cloud/fleet`.
    pub devices: Arc<dyn DeviceUplink>,
    /// Usually `cloud/ingest`.
    pub telemetry: Arc<dyn TelemetrySink>,
}

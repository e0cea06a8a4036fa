//! Settings of the API server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::subresources::log::NodeProxy;

/// Settings of the API server; the defaults are those of a cloud server.
#[derive(Clone)]
pub struct Options {
    /// If set, every write is refused with this reason (a node's local API over its replica).
    pub read_only: Option<String>,
    /// Network of Service cluster IPs.
    pub service_network: Ipv4Net,
    /// A bearer token that is the administrator.
    pub admin_token: Option<String>,
    /// File of the key that signs service-account tokens; made if missing. `None` keeps a key in memory.
    pub token_key: Option<PathBuf>,
    /// The namespaces made at start, besides Kubernetes' own.
    pub namespaces: Vec<String>,
    /// Reaches into nodes for logs; `None` answers 503.
    pub node_proxy: Option<Arc<dyn NodeProxy>>,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: None,
            service_network: Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 43, 0, 0), 16),
            admin_token: None,
            token_key: None,
            namespaces: vec!["edge-system".to_owned()],
            node_proxy: None,
            limits: Limits::default(),
        }
    }
}

/// Bounds on what clients may ask at once.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one request body (upstream: 3 MiB).
    pub body_bytes: usize,
    /// Ordinary requests in flight (upstream: 600).
    pub requests_in_flight: usize,
    /// Watches one identity may hold.
    pub watches_per_identity: usize,
    /// Connections of one listener.
    pub connections: usize,
    /// Concurrent streams of one HTTP/2 connection; client-go keeps hundreds of watches on one.
    pub streams_per_connection: u32,
    /// Bytes of all headers of a request.
    pub header_bytes: u32,
    /// How long a client may take for the TLS handshake and for the headers of a request.
    pub header_time: Duration,
    /// How long a client may take to send a request body.
    pub body_time: Duration,
    /// Time between the bookmarks of a watch.
    pub bookmark_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 3 * 1024 * 1024,
            requests_in_flight: 600,
            watches_per_identity: 10_000,
            connections: 8_192,
            streams_per_connection: 1_000,
            header_bytes: 64 * 1024,
            header_time: Duration::from_secs(15),
            body_time: Duration::from_secs(60),
            bookmark_interval: Duration::from_secs(60),
        }
    }
}

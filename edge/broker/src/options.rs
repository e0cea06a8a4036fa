//! What the broker is told at start.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::Access;

/// Options of the broker.
#[derive(Clone)]
pub struct Options {
    /// TCP addresses to listen on; port 0 takes a free one ([`crate::Handle::addresses`] tells which). Empty: in-process only.
    pub listen: Vec<SocketAddr>,
    /// Bind the addresses, but let nobody in before [`crate::Handle::open`]: for a program whose own subscribers must be there
    /// before the first message is acknowledged. Clients wait in the system's queue meanwhile.
    pub hold: bool,
    /// SQLite file for persistent sessions and retained messages; none keeps them in memory only.
    pub store: Option<PathBuf>,
    /// Who may connect, publish and subscribe; none lets everybody.
    pub access: Option<Arc<dyn Access>>,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        let listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 1883))];
        Options { listen, hold: false, store: None, access: None, limits: Limits::default() }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Options")
            .field("listen", &self.listen)
            .field("hold", &self.hold)
            .field("store", &self.store)
            .field("access", &self.access.is_some())
            .field("limits", &self.limits)
            .finish()
    }
}

/// Bounds of the broker. Each has a counter in the metrics that moves when it bites.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Sockets at a time; more are closed at once.
    pub max_connections: usize,
    /// Sessions known, connected or not; a client beyond that is refused with code 3.
    pub max_sessions: usize,
    /// Largest packet in bytes, either way.
    pub max_packet_bytes: usize,
    /// Time a new socket has for its CONNECT.
    pub connect_timeout: Duration,
    /// QoS 1 messages sent to one client and not yet acknowledged.
    pub max_inflight: usize,
    /// Messages waiting for one client, QoS 0 and QoS 1 each.
    pub max_queued_messages: usize,
    /// Bytes of messages waiting for one client.
    pub max_queued_bytes: usize,
    /// How long publishers on sockets wait for a client that falls behind.
    pub slow_client_grace: Duration,
    /// Messages of one publisher waiting for confirmation; then its socket is not read.
    pub max_unconfirmed: usize,
    /// Subscriptions of one client; a filter beyond that is refused in the SUBACK.
    pub max_subscriptions: usize,
    /// Retained messages; a new topic beyond that is routed but not kept.
    pub max_retained: usize,
    /// Bytes of retained messages.
    pub max_retained_bytes: usize,
    /// How long a session without a connection is kept.
    pub session_expiry: Duration,
    /// Changes waiting for the disk; then publishers' sockets are not read.
    pub max_unwritten: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_connections: 10_000,
            max_sessions: 20_000,
            max_packet_bytes: 1 << 20,
            connect_timeout: Duration::from_secs(10),
            max_inflight: 100,
            max_queued_messages: 4_096,
            max_queued_bytes: 8 << 20,
            slow_client_grace: Duration::from_millis(200),
            max_unconfirmed: 4_096,
            max_subscriptions: 1_024,
            max_retained: 20_000,
            max_retained_bytes: 32 << 20,
            session_expiry: Duration::from_secs(7 * 24 * 3600),
            max_unwritten: 8_192,
        }
    }
}

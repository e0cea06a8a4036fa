//! What the hub counts.

use edgeward_service::{Counter, Gauge};

pub(crate) static SESSIONS: Gauge = Gauge::new("edgeward_hub_sessions", "nodes connected");
pub(crate) static STREAMS: Gauge = Gauge::new("edgeward_hub_streams", "logs being read from nodes");
pub(crate) static REPLACED: Counter =
    Counter::new("edgeward_hub_sessions_replaced_total", "sessions ended because the node connected again");
pub(crate) static REFUSED_SESSIONS: Counter = Counter::new(
    "edgeward_hub_sessions_refused_total",
    "connections refused: wrong name, wrong key, or too many nodes",
);
pub(crate) static SILENT: Counter = Counter::new("edgeward_hub_sessions_silent_total", "sessions ended by silence");
pub(crate) static BROKEN: Counter =
    Counter::new("edgeward_hub_frames_broken_total", "messages and frames that could not be decoded");
pub(crate) static UNKNOWN: Counter =
    Counter::new("edgeward_hub_messages_unknown_total", "messages of a kind this hub does nothing with");
pub(crate) static VIOLATIONS: Counter =
    Counter::new("edgeward_hub_violations_total", "messages refused because they concern what is not the node's own");
pub(crate) static UPSTREAM_WAITS: Counter =
    Counter::new("edgeward_hub_upstream_waits_total", "times a node had to wait because its share of work was full");
pub(crate) static SENT: Counter = Counter::new("edgeward_hub_deliveries_total", "objects and deletions sent");
pub(crate) static RESENT: Counter =
    Counter::new("edgeward_hub_deliveries_repeated_total", "deliveries repeated because no acknowledgement came");
pub(crate) static NACKED: Counter =
    Counter::new("edgeward_hub_deliveries_refused_total", "deliveries a node answered with an error");
pub(crate) static RESYNCS: Counter = Counter::new(
    "edgeward_hub_resyncs_total",
    "times a node's whole view was compared again because too many of its objects changed at once",
);
pub(crate) static WATCH_ERRORS: Counter =
    Counter::new("edgeward_hub_watch_errors_total", "interruptions of the watches on the API");
pub(crate) static TELEMETRY_ERRORS: Counter =
    Counter::new("edgeward_hub_telemetry_errors_total", "telemetry batches that could not be stored");
pub(crate) static JOINED: Counter = Counter::new("edgeward_hub_certificates_total", "node certificates issued");
pub(crate) static REFUSED_JOINS: Counter =
    Counter::new("edgeward_hub_joins_refused_total", "certificate requests refused");
pub(crate) static LIMITED: Counter =
    Counter::new("edgeward_hub_joins_limited_total", "requests refused because their address failed too often");

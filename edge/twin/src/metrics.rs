//! Counters of this room.

use edgeward_service::{Counter, Gauge};

pub(crate) static UPDATES: Counter =
    Counter::new("edgeward_twin_updates_total", "twin updates accepted from MQTT peers and drivers");
pub(crate) static UNCHANGED: Counter = Counter::new(
    "edgeward_twin_updates_unchanged_total",
    "accepted twin updates that changed nothing and cost no write",
);
pub(crate) static REFUSED: Counter =
    Counter::new("edgeward_twin_updates_refused_total", "twin requests answered with an error");
pub(crate) static COMMITS: Counter = Counter::new("edgeward_twin_commits_total", "transactions of the twin store");
pub(crate) static COMMIT_FAILURES: Counter =
    Counter::new("edgeward_twin_commit_failures_total", "transactions of the twin store that failed");
pub(crate) static DESIRED_REFUSED: Counter =
    Counter::new("edgeward_twin_desired_refused_total", "desired values that do not fit the device model");
pub(crate) static SENT: Counter =
    Counter::new("edgeward_twin_uplink_sent_total", "twin and state messages handed to the link, repeats included");
pub(crate) static CONFIRMED: Counter =
    Counter::new("edgeward_twin_uplink_confirmed_total", "twin and state messages the cloud confirmed");
pub(crate) static PUBLISH_FAILED: Counter =
    Counter::new("edgeward_twin_publish_failed_total", "results and deltas the broker did not take");
pub(crate) static DEVICES: Gauge = Gauge::new("edgeward_twin_devices", "devices of this node");

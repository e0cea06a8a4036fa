//! What the broker counts.

use edgeward_service::{Counter, Gauge};

pub(crate) static CONNECTIONS: Gauge = Gauge::new("edgeward_broker_connections", "MQTT connections open");
pub(crate) static RECEIVED: Counter = Counter::new("edgeward_broker_received_total", "messages published");
pub(crate) static SENT: Counter = Counter::new("edgeward_broker_sent_total", "messages sent to MQTT clients");
pub(crate) static DELIVERED: Counter =
    Counter::new("edgeward_broker_delivered_total", "messages handed to in-process subscribers");
pub(crate) static REFUSED_CONNECTIONS: Counter = Counter::new(
    "edgeward_broker_refused_connections_total",
    "connections beyond the limit or refused by the access hook",
);
pub(crate) static PROTOCOL_ERRORS: Counter = Counter::new(
    "edgeward_broker_protocol_errors_total",
    "connections closed because of a malformed or misplaced packet",
);
pub(crate) static KEEPALIVE_TIMEOUTS: Counter =
    Counter::new("edgeward_broker_keepalive_timeouts_total", "connections closed because the client was silent");
pub(crate) static DROPPED_QOS0: Counter =
    Counter::new("edgeward_broker_dropped_qos0_total", "QoS 0 messages dropped for slow clients, oldest first");
pub(crate) static DROPPED_QOS1: Counter = Counter::new(
    "edgeward_broker_dropped_qos1_total",
    "QoS 1 messages dropped for clients with a full queue, newest first",
);
pub(crate) static DROPPED_LOCAL: Counter =
    Counter::new("edgeward_broker_dropped_local_total", "messages dropped for slow in-process subscribers");
pub(crate) static SLOW_CLIENTS: Counter =
    Counter::new("edgeward_broker_slow_clients_total", "times publishers stopped waiting for a slow client");
pub(crate) static DENIED: Counter =
    Counter::new("edgeward_broker_denied_total", "messages and subscriptions refused by the access hook or a limit");
pub(crate) static NOT_RETAINED: Counter =
    Counter::new("edgeward_broker_not_retained_total", "messages not retained because the limit is reached");
pub(crate) static GIVEN_UP: Counter = Counter::new(
    "edgeward_broker_given_up_total",
    "connections closed so that their client sends an unconfirmed message again",
);
pub(crate) static STORE_RETRIES: Counter = Counter::new(
    "edgeward_broker_store_retries_total",
    "commits of sessions and retained messages that failed and are tried again",
);

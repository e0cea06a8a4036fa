//! The node's MQTT broker: MQTT 3.1.1 clients on sockets and parts of this program in-process, on one bus.
//!
//! In-process subscribers get a message without a socket and without a copy. Invariant: memory per client is bounded
//! ([`Limits`]), and whatever a bound forces out is counted.
//!
//! What is promised:
//! - **QoS 1 and 2 from a client.** PUBACK (PUBREC) is sent after every in-process subscriber that asked for it
//!   ([`SubscribeOptions::acknowledge`]) has confirmed the message, and after it is on disk where a persistent session or
//!   the retained store wants it there. Replies keep the order of the messages. If one of them gives up, the publisher's
//!   connection is closed, which is how MQTT 3.1.1 makes a client send again.
//! - **QoS 1 to a client.** In order, up to [`Limits::max_inflight`] unacknowledged, then up to
//!   [`Limits::max_queued_messages`] and [`Limits::max_queued_bytes`] waiting; beyond that new messages are dropped and
//!   counted. QoS 2 subscriptions are granted as QoS 1.
//! - **QoS 0 to a client.** The oldest waiting message is dropped and counted beyond the same bounds. Publishers on sockets are slowed
//!   down first: each waits up to [`Limits::slow_client_grace`] for a client that falls behind, then no more until it
//!   has caught up.
//! - **Sessions.** With [`Options::store`] sessions, subscriptions, retained messages and queued QoS 1 messages survive a
//!   restart; the packet identifiers of half-finished QoS 2 exchanges do not.
//!
//! This room knows no topic by name: device topics are `edge/twin`'s, telemetry is the rules'.

mod access;
mod batch;
mod broker;
mod confirm;
mod connection;
mod core;
mod error;
mod handle;
mod local;
mod message;
mod metrics;
mod options;
mod registry;
mod retained;
mod router;
mod session;
mod store;

pub use access::{Access, Client};
pub use broker::Broker;
pub use confirm::Confirm;
pub use edgeward_mqtt::{ConnectCode, Filter, QoS, Text};
pub use error::BrokerError;
pub use handle::Handle;
pub use local::{OnFull, SubscribeOptions, Subscription};
pub use message::{Delivery, Message};
pub use options::{Limits, Options};

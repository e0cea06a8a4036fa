//! A client of MQTT 3.1, 3.1.1 and 5: connects in the background, reconnects with backoff, and keeps its promises across connections.
//!
//! - Publishing waits for space in a bounded queue; the [`Published`] it returns resolves when a QoS 0 message is on its
//!   way, or when the server has acknowledged a QoS 1 or 2 message. What was not acknowledged is sent again after a
//!   reconnect.
//! - Each message received carries a promise ([`Incoming::confirm`]): the server gets its acknowledgement only then, in
//!   the order of the messages.
//!
//! - Messages go to a [`Taker`] in the client's own task, as many at a time as one read of the socket has brought; or into
//!   a queue, [`Messages`].
//!
//! Invariant: at most [`Options::queue`] messages wait to be sent, [`Options::max_inflight`] wait for the server, and
//! one read ([`Options::queue`] more with [`Messages`]) waits for whoever receives; then the socket is not read.

mod connection;
mod driver;
mod error;
mod handle;
mod incoming;
mod options;
mod session;
mod terms;
mod transport;

pub use edgeward_mqtt::v5::{Properties, Property, Publish, Reason, RetainHandling, Subscription};
pub use edgeward_mqtt::{Filter, QoS, Text, Version, Will};
pub use error::ClientError;
pub use handle::{Client, Handle, Published};
pub use incoming::{Incoming, Messages, Promise, Rest, Taker};
pub use options::{Options, Server};

/// State of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// A connection is being made.
    Connecting,
    /// The server has accepted the client.
    Connected,
    /// The connection failed or ended, with the reason; it is tried again.
    Disconnected(String),
}

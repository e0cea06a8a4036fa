//! The node: everything an edge node does besides containers, devices and rules.
//!
//! It keeps what the node needs and what the node still has to tell on the node's own disk, and talks to the cloud when
//! there is a link. It does not know containers, MQTT packets or SQL, and nothing in it waits for the cloud.
//!
//! Invariant: everything starts from disk. What came down is acknowledged only when it is in the replica, and what is
//! accepted for the way up stays on disk until the cloud has confirmed it.

mod agent;
mod api;
mod devices;
mod error;
mod events;
pub mod link;
pub mod node;
pub mod outbox;
mod pods;
pub mod replica;
mod tokens;

pub use agent::{Agent, Handle, Options};
pub use error::Error;

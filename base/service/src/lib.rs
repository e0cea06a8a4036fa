//! What every long-running part of Edgeward is made of: a task tree that shuts down cleanly, retry, the clock, and
//! metrics.
//!
//! Invariant: every task belongs to a [`Tasks`] tree. Nothing is spawned bare, and nothing is dropped before it had the
//! grace period of [`Tasks::shutdown`]. This crate knows nothing of Kubernetes, MQTT, SQL or the link.

pub mod clock;
pub mod metrics;
mod retry;
mod tasks;

pub use metrics::{Counter, Gauge};
pub use retry::Backoff;
pub use tasks::Tasks;

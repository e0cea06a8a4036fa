//! The cloud's end of the link: nodes join, hold a session, get what concerns them and report what they did.
//!
//! - `:10002` HTTPS, [`enroll`]: the CA, node certificates for join tokens, certificate rotation.
//! - `:10000` WebSocket over mutual TLS, [`session`]: KubeEdge edges and our own agents alike.
//! - [`view`]: one shared watch per kind, and which node each object concerns. [`delivery`] sends a node the differences
//!   between that and what it has, newest version only, until it acknowledges.
//! - [`upstream`] and [`requests`]: what nodes send, checked against what they own, done in the API, then answered.
//! - [`streams`]: container logs, read through the session of our own agents.
//!
//! It talks to Kubernetes only through `kube::Client`, and to devices and telemetry through the traits of [`Handlers`].
//! It judges no node: whether a node is ready follows from its Lease, which others read.
//!
//! Invariant: a message is acknowledged upstream only after its effect is in the API or the store; a node sees and
//! writes only what is its own.
//!
//! # Differences from KubeEdge 1.23 that a peer can see
//! - Objects are sent without `metadata.managedFields`, and not again when only their status changed.
//! - Deletions carry `apiVersion`, `kind` and `metadata{name,namespace,uid}`, never the whole last object.
//! - Two machines cannot share a node name: the first key that joined under a name keeps it ([`Handle::forget_node`]).
//! - What a node may not do is answered with operation `error`, and requests for objects that no pod of the node
//!   mentions are refused.

mod api;
mod changes;
mod deliverer;
mod delivery;
mod enroll;
mod error;
mod forms;
mod keys;
mod listen;
mod metrics;
mod object;
mod objectsync;
mod options;
mod requests;
mod service;
mod session;
mod streams;
mod upstream;
mod view;
mod watch;

pub use error::Error;
pub use object::DEVICE_NODE_ANNOTATION;
pub use options::{DeviceUplink, HandlerError, Handlers, Options, TelemetrySink};
pub use service::{Handle, LogsError, PeerKind, Service, SessionEvent, SessionInfo, forget_node};
pub use streams::NodeStream;

//! Pods on this node: the kubelet's work over the Container Runtime Interface of containerd.
//!
//! Desired pods come from a [`NodeApi`] (the node's own copy of the API, on disk), containers run in containerd, and what
//! is seen there becomes pod status. Nothing here knows the link or the cloud.
//!
//! Invariant: a container that can be adopted is never stopped, and nothing here waits for the link.

pub mod images;

mod cgroups;
mod command;
mod containerd;
mod context;
mod cri;
mod error;
mod events;
mod files;
mod logs;
mod network;
mod node_api;
mod options;
mod pod;
mod probes;
mod references;
mod resources;
mod service;
mod spec;
mod status;
mod volumes;
mod worker;

pub use error::Error;
pub use logs::{LogOptions, LogStream};
pub use node_api::{Change, NodeApi, PodKey, Token, TokenRequest};
pub use options::{ContainerdOptions, NetworkOptions, Options};
pub use service::{Handle, Pods};

use sha2::{Digest, Sha256};

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Eight hexadecimal digits that tell one input from another in names that must be short.
pub(crate) fn short_hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..4])
}

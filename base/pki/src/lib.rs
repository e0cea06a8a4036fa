//! Keys, certificates and join tokens of the cloud↔edge link, in the forms KubeEdge 1.23 uses.
//!
//! The cloud side opens an [`Authority`] (a folder with the CA) and issues: server certificates for itself, an
//! administrator's client certificate, node certificates from requests, join tokens. The edge side makes its key and
//! request ([`NodeRequest`]), checks the cloud with the [`JoinToken`] it was given, and keeps the result as an
//! [`Identity`]. Both build their TLS settings in [`tls`].
//!
//! This room speaks to no network. A private key never leaves the process that made it, except into its own 0600 file.

mod authority;
mod error;
mod files;
mod identity;
mod request;
mod rotation;
pub mod tls;
mod token;

pub use authority::{Authority, SignedNode};
pub use error::Error;
pub use identity::{Identity, Peer, certificate_fingerprint};
pub use request::{MAX_REQUEST_BYTES, NodeRequest, node_common_name, request_fingerprint};
pub use rotation::{expires_ms, near_expiry, rotate_after};
pub use token::{JoinToken, TokenError};

/// Organisation of node certificates.
pub const NODES_ORGANIZATION: &str = "system:nodes";
/// Organisation of administrators' certificates; the API grants it everything.
pub const ADMINS_ORGANIZATION: &str = "system:masters";

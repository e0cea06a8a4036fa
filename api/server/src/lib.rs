//! The Kubernetes HTTP surface over a store: discovery, verbs, watches, tables, subresources, admission, authentication and
//! authorization.
//!
//! In the cloud the store is the origin; on a node the same surface stands read-only over a replica. This room knows no
//! controller: garbage collection, scheduling and everything else that reacts to objects lives elsewhere and uses this API.
//! Whatever it refuses, it refuses with a Status.
//!
//! A request passes `serve` or `service` → `dispatch` (who, what, may they) → `verbs` or `subresources` → `admission` and
//! the store → `render`. `catalog` is what is served at this moment.

mod admission;
mod auth;
mod authz;
mod bootstrap;
mod call;
mod catalog;
mod convert;
mod dispatch;
mod error;
mod http;
mod limits;
mod options;
mod render;
mod schema;
mod select;
mod serve;
mod server;
mod service;
mod subresources;
mod system;
mod tables;
mod verbs;

pub use auth::{Identity, MASTERS, NODES};
pub use error::Error;
pub use http::body::{Body, BodyError, ByteStream};
pub use options::{Limits, Options};
pub use server::ApiServer;
pub use service::LocalService;
pub use subresources::log::{LogOptions, NodeProxy, NodeProxyError};

//! JSON patch, JSON merge patch and Kubernetes' strategic merge patch: pure functions of two documents.
//!
//! This room knows which lists of the built-in kinds merge and by which key ([`types`](types.txt)); it knows no schema of any
//! other sort, checks nothing about the result, and never touches a store. Server-side apply has its place beside `strategic`.

mod error;
mod json;
mod strategic;
mod types;

pub use error::PatchError;
pub use json::{json_patch, merge_patch};
pub use strategic::strategic_merge;
pub use types::is_strategic;

//! The pipeline every sink that writes bytes shares: rows to payloads.

mod encode;
mod options;
mod transform;

pub(crate) use encode::{Encoder, Payloads};
pub use options::SinkOptions;

//! The pipeline every sink that writes bytes shares: rows to payloads.

mod encode;
mod messages;
mod options;
mod pack;
mod transform;

pub(crate) use encode::{Encoder, Payloads};
pub use messages::SinkMessage;
pub use options::{SinkFormat, SinkOptions};
pub(crate) use transform::SentRow;

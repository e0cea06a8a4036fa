//! The pipeline every sink shares: batch, cache, transform, encode, compress, encrypt.

mod batch;
mod cache;
mod encode;
mod messages;
mod omit;
mod options;
mod pack;
mod stage;
#[cfg(test)]
mod tests;
mod transform;

pub(crate) use cache::{Folder, forget};
pub(crate) use encode::{Encoder, Payloads};
pub use messages::SinkMessage;
pub(crate) use omit::Omitting;
pub use options::{SinkFormat, SinkOptions};
pub(crate) use pack::Packing;
pub(crate) use stage::{Behind, Staged};
pub(crate) use transform::SentRow;

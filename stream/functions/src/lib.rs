//! Values of the stream engine and the SQL functions over them, with eKuiper 2.4's names, null rules and error texts.
//!
//! This room knows no streams, windows or rules: scalar functions are pure (what they need of the world comes in a context),
//! aggregate and analytic functions are small state machines that the engine feeds and keeps.

pub mod format;
pub mod json;
mod value;

pub use value::{Map, Value, timestamp_ms};

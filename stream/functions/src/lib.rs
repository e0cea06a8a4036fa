//! Values of the stream engine and the SQL functions over them, with eKuiper 2.4's names, null rules and error texts.
//!
//! This room knows no streams, windows or rules: scalar functions are pure (what they need of the world comes in a [`Context`]),
//! aggregates are small state machines that the engine feeds and keeps.
//!
//! What eKuiper takes from Go's library lives here once, templates use it too: text forms of values ([`format`]), time layouts and
//! durations ([`time`]), regular expressions ([`regexp`]), JSON ([`json`]) and the last digit of mathematical functions.

mod aggregate;
mod error;
pub mod format;
mod gomath;
pub mod json;
pub mod ops;
pub mod quote;
pub mod regexp;
mod registry;
mod scalar;
pub mod time;
mod user;
mod value;

pub use aggregate::Aggregate;
pub use error::{Error, Result};
pub use registry::{Analytic, Args, Context, Engine, Function, Nulls, Run, Srf, Type, lookup, names};
pub use user::{UserFunction, UserFunctions};
pub use value::{Map, Value, timestamp_ms};

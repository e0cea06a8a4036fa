//! Functions, sources and sinks that users bring themselves: eKuiper 2.4's portable plugins (processes of any language),
//! JavaScript functions, and functions from Wasm modules.
//!
//! - [`portable`]: packages, processes, and their functions, sources and sinks as the engine wants them;
//!   they talk the scalability protocols (`base/sp`).
//! - `javascript` (feature): scripts, each call site with a context of its own.
//! - `wasm` (feature): modules, the same way.
//!
//! The room knows no SQL, no catalogue and no REST. A plugin is a program the user trusts with the rights of this process;
//! what it sends is not trusted: frames, queues, waiting times and restarts are bounded.

mod error;
#[cfg(feature = "javascript")]
pub mod javascript;
mod manager;
pub mod portable;
#[cfg(feature = "wasm")]
pub mod wasm;

pub use error::PluginError;
pub use manager::{Fetch, Manager, ManagerOptions, native_refusal};

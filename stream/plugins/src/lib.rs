//! Functions, sources and sinks that users bring themselves: eKuiper 2.4's portable plugins (processes of any language).
//!
//! - [`sp`]: the scalability-protocols wire (nanomsg, mangos, NNG) over unix sockets, which portable plugins speak.
//! - [`portable`]: packages, processes, and their functions, sources and sinks as the engine wants them.
//!
//! The room knows no SQL, no catalogue and no REST. A plugin is a program the user trusts with the rights of this process;
//! what it sends is not trusted: frames, queues, waiting times and restarts are bounded.

mod error;
pub mod portable;
pub mod sp;

pub use error::PluginError;

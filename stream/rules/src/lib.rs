//! The catalogue of streams, tables and rules, the life of the rules, and eKuiper's REST interface over both.
//!
//! Invariant: what REST acknowledged is on disk; a rule that was running when the program ended runs again after the next
//! start. Paths, bodies, success sentences and error shapes are those of eKuiper 2.4; differences are in
//! `docs/differences.md`.
//!
//! The room knows how rules live, not what they do (`stream/engine`) or what they talk to (`stream/connect`).

mod catalog;
mod columns;
mod conf;
mod definition;
mod error;
mod fetch;
mod go_json;
mod handle;
mod keys;
mod life;
mod metadata;
mod needed;
mod options;
mod registry;
mod rest;
mod restart;
mod run;
mod schedule;
mod secrets;
mod shared;
mod status;
mod store;
mod trace;
mod transfer;
mod transfer_v2;
mod trial;
mod uploads;
mod usage;
mod users;

pub use edgeward_connect::Hosts;
pub use error::{Code, RulesError};
pub use handle::{Handle, Rules};
pub use options::{LogChange, Logs, Options, RestTls, Tracing, log_level};

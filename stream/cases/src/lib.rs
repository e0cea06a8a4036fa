//! Rules as testable code: files of cases, each with streams, a rule, timed inputs and what must come out, run on the engine's
//! virtual clock without any network (`edgeward rule test`, and the project's own SQL tests under `tests/sql`).
//!
//! Every case gets a store, a clock and functions of its own, so thousands run in one process in any order; one that is wrong, or
//! that makes the engine panic, is reported and stops no other. Values, messages and refusals are those of eKuiper 2.4.
//!
//! The room knows no files beyond those it is told to read, opens no connector and keeps nothing.

mod actions;
mod case;
mod compare;
mod file;
mod report;
mod run;
mod scripts;
mod session;
mod sink;
mod sources;
mod statements;
mod values;
mod yaml;

pub use case::{Action, Case, Input, Rule, Show, Step};
pub use file::documents;
pub use report::{Report, Stage, Verdict};
pub use session::{Outcome, Session, files};
pub use values::{CaseValueError, from_json};

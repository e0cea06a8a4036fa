//! `edgeward stream` from outside: the program as it is delivered, over REST and its files.

// A failed unwrap is a failed test; a test that is left out says so.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod commands;
mod kuiper;
mod plugins;
mod program;
#[path = "../../../../stream/plugins/tests/common/mod.rs"]
mod sdk;
mod settings;

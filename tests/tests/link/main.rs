//! The link between a real agent and a real cloud in one process, with a network between them that can be cut.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a failed unwrap in a test is a failed test"
)]

mod join;
mod kubeedge;
mod lab;
mod sync;
mod telemetry;

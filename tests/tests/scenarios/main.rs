//! Black-box scenarios: one file for each promise, against the real program.

mod alarms;
mod clean_stop;
mod exactly_once;
mod failures;
mod idle;
mod join;
mod lab;
mod offline;
mod workload;

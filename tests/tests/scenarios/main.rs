//! Black-box scenarios: one file for each promise, against the real program.

mod join;
mod lab;

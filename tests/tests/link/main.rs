//! The link between a real agent and a real cloud in one process, with a network between them that can be cut.

mod join;
mod kubeedge;
mod lab;
mod sync;
mod telemetry;

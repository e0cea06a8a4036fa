//! What goes wrong is said in one clear line or in the form its client expects, breaks nothing else, and loses nothing
//! that was acknowledged.

mod disk;
mod input;
mod start;

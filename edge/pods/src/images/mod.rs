//! Images: archives made here, archives imported at start, and pull rules.

mod assemble;
mod tar;

pub use assemble::{ImageEntry, ImageSpec, assemble};

//! The built-in kinds: their fields from a table, their defaults and rules in code.

mod defaults;
mod pods;
mod rules;
mod table;

pub(crate) use defaults::default;
pub(crate) use rules::check;
pub(crate) use table::{metadata, root};

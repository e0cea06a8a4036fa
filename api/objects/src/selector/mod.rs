//! Label, field and node selectors.

mod field;
mod label;
mod node;

pub use field::{FieldRequirement, FieldSelector};
pub use label::{LabelSelector, Operator, Requirement};
pub use node::{NodeSelector, NodeSelectorTerm};

use thiserror::Error;

/// Why a selector was refused; the text goes into a 400 or an `Invalid value` cause.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

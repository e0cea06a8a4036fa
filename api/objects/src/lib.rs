//! The words of the Kubernetes API: the dynamic object, resource types and their table, Status errors, selectors,
//! quantities, names, and the custom resources this platform itself ships.
//!
//! This room knows no store, no HTTP and no clock. Objects stay dynamic (ordered JSON maps) on purpose: an API server must
//! return every field it was given, also those a typed struct of some version would drop.

mod cause;
mod error;
pub mod names;
mod object;
mod owner;
pub mod platform;
mod quantity;
mod registry;
mod resource;
mod selector;

pub use cause::{Cause, CauseReason};
pub use error::{ApiError, Details, Reason};
pub use object::{Object, ObjectError};
pub use owner::OwnerReference;
pub use quantity::{Quantity, QuantityError};
pub use registry::builtin;
pub use resource::{GroupResource, GroupVersionKind, ResourceType, Subresource};
pub use selector::{
    FieldRequirement, FieldSelector, LabelSelector, NodeSelector, NodeSelectorTerm, Operator, Requirement,
    SelectorError,
};

//! Structural schemas: validate, prune and default, for custom resources (compiled from a CRD's `openAPIV3Schema`) and for the
//! built-in kinds (a table of their fields, with their defaults and rules in code); and the small OpenAPI documents clients ask
//! for before they trust a server's validation.
//!
//! Everything is a pure function of a schema and a document: no store, no network, no clock.

mod builtin;
mod compile;
mod defaults;
mod formats;
mod node;
mod openapi;
mod prune;
mod validate;

use std::sync::Arc;

use edgeward_objects::{Cause, GroupVersionKind, Object};
use serde_json::Value;

pub use openapi::{openapi_document, openapi_index};

use node::Node;

/// The shape of one kind in one version. Cloning is a reference count.
#[derive(Clone, Debug)]
pub struct Schema {
    root: Arc<Node>,
    /// Set for built-in kinds: whose code defaults and rules apply.
    kind: Option<Arc<GroupVersionKind>>,
}

impl Schema {
    /// Compiles a CRD version's `schema.openAPIV3Schema`. `path` is where it stands, for the causes of a refusal.
    pub fn compile(schema: &Value, path: &str) -> Result<Self, Vec<Cause>> {
        Ok(Self { root: Arc::new(compile::root(schema, path)?), kind: None })
    }

    /// A schema that accepts everything: a CRD version with `x-kubernetes-preserve-unknown-fields` at its root.
    pub fn open() -> Self {
        Self { root: Arc::new(Node::open_root()), kind: None }
    }

    /// The schema of a built-in kind.
    pub fn builtin(kind: &GroupVersionKind) -> Option<Self> {
        Some(Self { root: builtin::root(kind)?, kind: Some(Arc::new(kind.clone())) })
    }

    /// Removes fields the schema does not know, and nulls where null means absent. Returns the paths of the unknown fields, such
    /// as `spec.dat`, for the texts of `fieldValidation=Warn` and `Strict`.
    pub fn prune(&self, object: &mut Object) -> Vec<String> {
        prune::prune(&self.root, object.as_map_mut())
    }

    /// Fills in what the user left out, as the API server would.
    pub fn default(&self, object: &mut Object) {
        defaults::apply(&self.root, object.as_map_mut());
        if self.kind.is_some() {
            builtin::default(object);
        }
    }

    /// Everything wrong with an object, pruned and defaulted before.
    pub fn validate(&self, object: &Object) -> Vec<Cause> {
        let mut causes = validate::validate(&self.root, object);
        // Rules of a built-in kind read typed fields; of an object of wrong types they could only say confusing things.
        if self.kind.is_some() && causes.is_empty() {
            causes.extend(builtin::check(object));
        }
        causes
    }
}

use std::fmt;
use std::sync::Arc;

use edgeward_objects::GroupResource;

/// Address of one object. Ordered by resource, namespace and name, the order of lists. Cloning is four reference counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub resource: GroupResource,
    /// Where it lives; `None` for cluster-scoped objects.
    pub namespace: Option<Arc<str>>,
    /// What it is called.
    pub name: Arc<str>,
}

impl Key {
    /// Addresses one object.
    pub fn new(resource: GroupResource, namespace: Option<&str>, name: &str) -> Self {
        Self { resource, namespace: namespace.map(Arc::from), name: name.into() }
    }
}

/// `pods edge-system/web-1` or `nodes edge-1`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.resource, self.name),
            None => write!(f, "{} {}", self.resource, self.name),
        }
    }
}

/// What a list or watch addresses: all objects of a resource, or those of one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// What they are.
    pub resource: GroupResource,
    /// `None` for all namespaces and for cluster-scoped resources.
    pub namespace: Option<Arc<str>>,
}

impl Scope {
    /// All objects of a resource, or those of one namespace.
    pub fn new(resource: GroupResource, namespace: Option<&str>) -> Self {
        Self { resource, namespace: namespace.map(Arc::from) }
    }

    /// Whether a key lies in this scope.
    pub fn contains(&self, key: &Key) -> bool {
        self.resource == key.resource && (self.namespace.is_none() || self.namespace == key.namespace)
    }
}

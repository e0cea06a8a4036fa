use std::fmt;
use std::sync::Arc;

/// A resource without its version, the unit of storage and of permissions: `deployments` in group `apps`.
///
/// The core group is the empty string. Cloning is two reference counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// API group, empty for the core group.
    pub group: Arc<str>,
    /// Plural lower-case name as in URLs.
    pub plural: Arc<str>,
}

impl GroupResource {
    /// Names a resource; `GroupResource::new("", "pods")`.
    pub fn new(group: impl Into<Arc<str>>, plural: impl Into<Arc<str>>) -> Self {
        Self { group: group.into(), plural: plural.into() }
    }
}

/// `pods` or `deployments.apps`, the form used in error texts.
impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(&self.plural) } else { write!(f, "{}.{}", self.plural, self.group) }
    }
}

/// Group, version and kind of an object, as its `apiVersion` and `kind` spell them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// API group, empty for the core group.
    pub group: String,
    /// Version, such as `v1`.
    pub version: String,
    /// CamelCase kind.
    pub kind: String,
}

impl GroupVersionKind {
    /// Names a kind from its three parts.
    pub fn new(group: impl Into<String>, version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// Splits an `apiVersion` (`v1`, `apps/v1`) and joins it with a kind.
    pub fn from_api_version(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::new(group, version, kind)
    }

    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        join_api_version(&self.group, &self.version)
    }
}

/// `apps/v1, Kind=Deployment`, as Kubernetes prints it.
impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// One served resource in one version: everything discovery says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceType {
    /// API group, empty for the core group.
    pub group: Arc<str>,
    /// Version, such as `v1`.
    pub version: Arc<str>,
    /// Plural name as in URLs.
    pub plural: Arc<str>,
    /// Singular name.
    pub singular: String,
    /// CamelCase kind.
    pub kind: String,
    /// Kind of a list of these, usually the kind followed by `List`.
    pub list_kind: String,
    /// False for cluster-scoped resources.
    pub namespaced: bool,
    /// What `kubectl get` accepts besides the names.
    pub short_names: Vec<String>,
    /// Groups such as `all`.
    pub categories: Vec<String>,
    /// Verbs in the order discovery lists them.
    pub verbs: Vec<String>,
    /// Subresources (`status`, `scale`, `log`, …) in the order discovery lists them.
    pub subresources: Vec<Subresource>,
}

/// One subresource of a [`ResourceType`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// Last path segment, such as `scale`.
    pub name: String,
    /// Kind of its bodies. Group and version are those of the parent unless they differ (`autoscaling/v1, Kind=Scale`).
    pub kind: GroupVersionKind,
    /// Verbs in the order discovery lists them.
    pub verbs: Vec<String>,
}

impl ResourceType {
    /// The resource without its version.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.group.clone(), plural: self.plural.clone() }
    }

    /// The kind of its objects.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(&*self.group, &*self.version, &*self.kind)
    }

    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        join_api_version(&self.group, &self.version)
    }

    /// Whether discovery lists this verb for the resource itself.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// Whether clients may create or list it at all: review kinds are answered, never stored.
    pub fn is_stored(&self) -> bool {
        self.allows("get")
    }
}

fn join_api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

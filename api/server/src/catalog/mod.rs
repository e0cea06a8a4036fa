//! What is served at this moment: the built-in resources and those of the stored CRDs, in discovery order.
//!
//! A [`Catalog`] is immutable; a CRD change makes a new one. So a request works on one consistent picture, and discovery
//! documents are rendered once per change.

mod crd;
mod discovery;
mod openapi;
pub(crate) mod removal;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use edgeward_objects::{GroupResource, Object, ResourceType};
use edgeward_schema::Schema;
use edgeward_store::Revision;

use crate::http::reply::Tagged;
pub(crate) use crd::{Column, Definition, ScalePaths};

/// One resource in one version, with what serving it needs.
pub(crate) struct Served {
    /// What discovery says of it.
    pub(crate) kind: ResourceType,
    /// `apps/v1`
    pub(crate) api_version: String,
    /// Its name in error texts and permissions.
    pub(crate) resource: GroupResource,
    /// Where its objects are stored. Two groups may share one (`events` and `events.events.k8s.io`).
    pub(crate) storage: GroupResource,
    /// The `apiVersion` of stored objects.
    pub(crate) storage_version: String,
    /// The shape of its objects; `None` if nothing is known of it.
    pub(crate) schema: Option<Schema>,
    /// The CRD version behind it; `None` for built-ins.
    pub(crate) custom: Option<Custom>,
}

/// What a CRD adds to a served resource.
pub(crate) struct Custom {
    /// The schema as the CRD has it, for OpenAPI.
    pub(crate) schema_source: Option<Arc<serde_json::Value>>,
    /// Whether some field has a default, so that reads must fill it in.
    pub(crate) has_defaults: bool,
    /// Printer columns, `Age` if the CRD has none.
    pub(crate) columns: Vec<crd::Column>,
    /// Where `/scale` reads and writes.
    pub(crate) scale: Option<ScalePaths>,
    /// Sent with every answer of a deprecated version.
    pub(crate) deprecation: Option<String>,
    /// Revision of the CRD this came from.
    pub(crate) revision: Revision,
}

impl Served {
    fn builtin(kind: &ResourceType) -> Self {
        let (storage_group, storage_version) = match (&*kind.group, &*kind.plural) {
            ("events.k8s.io", "events") => ("", "v1".to_owned()),
            ("autoscaling", _) => ("autoscaling", "autoscaling/v2".to_owned()),
            (group, _) => (group, kind.api_version()),
        };
        Self {
            api_version: kind.api_version(),
            resource: kind.group_resource(),
            storage: GroupResource::new(storage_group, kind.plural.clone()),
            storage_version,
            schema: Schema::builtin(&kind.gvk()),
            custom: None,
            kind: kind.clone(),
        }
    }

    /// Whether this is a resource of the core group with that plural name.
    pub(crate) fn is_core(&self, plural: &str) -> bool {
        self.resource.group.is_empty() && &*self.resource.plural == plural
    }

    /// Whether `/status` is a subresource, so that ordinary writes leave the status alone.
    pub(crate) fn has_status(&self) -> bool {
        self.kind.subresource("status").is_some()
    }
}

/// All versions of one group, the preferred one first.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) versions: Vec<Version>,
}

/// One version of a group.
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) resources: Vec<Arc<Served>>,
}

/// Everything served, in discovery order: built-in groups, then those of CRDs.
pub(crate) struct Catalog {
    /// The core group is the first, with an empty name.
    pub(crate) groups: Vec<Group>,
    index: HashMap<(String, String, String), Arc<Served>>,
    documents: OnceLock<discovery::Documents>,
    openapi: OnceLock<openapi::Documents>,
}

impl Catalog {
    /// Builds the catalog from stored CRDs, given with their revisions. A CRD that cannot be served is left out; its own
    /// conditions say why.
    pub(crate) fn build<'a>(crds: impl IntoIterator<Item = (&'a Object, Revision)>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for kind in edgeward_objects::builtin() {
            version_of(&mut groups, &kind.group, &kind.version).resources.push(Arc::new(Served::builtin(kind)));
        }
        let mut custom: Vec<Group> = Vec::new();
        for (object, revision) in crds {
            let Some(definition) = Definition::parse(object, revision).filter(|definition| definition.established)
            else {
                continue;
            };
            for served in definition.served {
                version_of(&mut custom, &served.kind.group, &served.kind.version).resources.push(Arc::new(served));
            }
        }
        sort_custom(&mut custom);
        for group in custom {
            // A CRD may extend a built-in group only if upstream approved it; such versions follow the built-in ones.
            match groups.iter_mut().find(|known| known.name == group.name) {
                Some(known) => known.versions.extend(group.versions),
                None => groups.push(group),
            }
        }
        let index = index(&groups);
        Self { groups, index, documents: OnceLock::new(), openapi: OnceLock::new() }
    }

    /// The resource at a path.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Served>> {
        self.index.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// Any served version of a kind in a group, and its resource; the preferred version first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.groups.iter().flat_map(|group| &group.versions).flat_map(|version| &version.resources)
    }

    /// Whether a group-version has anything.
    pub(crate) fn has_version(&self, group: &str, version: &str) -> bool {
        self.groups.iter().any(|known| known.name == group && known.versions.iter().any(|known| known.name == version))
    }

    fn documents(&self) -> &discovery::Documents {
        self.documents.get_or_init(|| discovery::Documents::render(self))
    }

    fn openapi(&self) -> &openapi::Documents {
        self.openapi.get_or_init(|| openapi::Documents::render(self))
    }

    /// `/api` or `/apis`, in the legacy or the aggregated form.
    pub(crate) fn root_document(&self, core: bool, aggregated: bool) -> &Tagged {
        let documents = self.documents();
        match (core, aggregated) {
            (true, true) => &documents.core_aggregated,
            (true, false) => &documents.core_legacy,
            (false, true) => &documents.groups_aggregated,
            (false, false) => &documents.groups_legacy,
        }
    }

    /// `/apis/<group>`
    pub(crate) fn group_document(&self, group: &str) -> Option<&Tagged> {
        self.documents().groups.get(group)
    }

    /// `/api/v1`, `/apis/<group>/<version>`
    pub(crate) fn version_document(&self, group: &str, version: &str) -> Option<&Tagged> {
        self.documents().versions.get(&(group.to_owned(), version.to_owned()))
    }

    /// `/openapi/v3`
    pub(crate) fn openapi_root(&self) -> &Tagged {
        &self.openapi().root
    }

    /// `/openapi/v3/<path>`
    pub(crate) fn openapi_document(&self, path: &str) -> Option<&Tagged> {
        self.openapi().versions.get(path)
    }
}

fn version_of<'a>(groups: &'a mut Vec<Group>, group: &str, version: &str) -> &'a mut Version {
    let at = groups.iter().position(|known| known.name == group).unwrap_or_else(|| {
        groups.push(Group { name: group.to_owned(), versions: Vec::new() });
        groups.len() - 1
    });
    let versions = &mut groups[at].versions;
    let at = versions.iter().position(|known| known.name == version).unwrap_or_else(|| {
        versions.push(Version { name: version.to_owned(), resources: Vec::new() });
        versions.len() - 1
    });
    &mut versions[at]
}

fn index(groups: &[Group]) -> HashMap<(String, String, String), Arc<Served>> {
    let all = groups.iter().flat_map(|group| &group.versions).flat_map(|version| &version.resources);
    let key = |served: &Served| {
        (served.kind.group.to_string(), served.kind.version.to_string(), served.kind.plural.to_string())
    };
    all.map(|served| (key(served), served.clone())).collect()
}

/// Groups by name, versions newest first, resources by name: Kubernetes' order. Only `devices.kubeedge.io` moves before any
/// other group with `devices`, so that `kubectl get devices` means KubeEdge's.
fn sort_custom(groups: &mut [Group]) {
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    for group in groups.iter_mut() {
        group.versions.sort_by_key(|version| std::cmp::Reverse(crd::version_order(&version.name)));
        for version in &mut group.versions {
            version.resources.sort_by(|a, b| a.kind.plural.cmp(&b.kind.plural));
        }
    }
    let has_devices =
        |group: &Group| group.versions.iter().any(|v| v.resources.iter().any(|r| &*r.kind.plural == "devices"));
    if let Some(first) = groups.iter().position(has_devices)
        && let Some(kubeedge) = groups.iter().position(|group| group.name == "devices.kubeedge.io")
        && first < kubeedge
    {
        groups[first..=kubeedge].rotate_right(1);
    }
}

//! Authorization: may this identity do this? One function decides; RBAC can take its place without touching a handler.

mod node;
pub(crate) mod rules;

use std::sync::Arc;

use edgeward_objects::{ApiError, GroupResource, Object};

use crate::auth::{Identity, MASTERS};
use crate::catalog::Served;
use crate::http::path::ResourcePath;
use crate::http::query::Query;
use crate::select::Filter;
use crate::server::Server;
use crate::verbs::Verb;

/// Service accounts of this namespace are the platform's own and may do everything.
const TRUSTED_NAMESPACE: &str = "kube-system";

/// What is asked for, in the words of permissions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The node a list or watch of pods is limited to by its field selector.
    pub(crate) selected_node: Option<String>,
    /// The name a list or watch is limited to by its field selector.
    pub(crate) selected_name: Option<String>,
}

impl Attributes {
    /// The attributes of a request.
    pub(crate) fn of(path: &ResourcePath, served: &Served, verb: Verb, query: &Query) -> Self {
        // A selector that cannot be parsed limits nothing here and is refused by its handler.
        let filter = Filter::parse(query, served).unwrap_or_default();
        Self {
            verb: verb.as_str().to_owned(),
            group: path.group.clone(),
            resource: path.resource.clone(),
            subresource: path.subresource.clone().unwrap_or_default(),
            namespace: path.namespace.clone().unwrap_or_default(),
            name: path.name.clone().unwrap_or_default(),
            selected_node: filter.exactly("spec.nodeName").map(str::to_owned),
            selected_name: filter.exactly("metadata.name").map(str::to_owned),
        }
    }

    /// The one object a request is about, if it names it by path or selector.
    pub(crate) fn target(&self) -> Option<&str> {
        if self.name.is_empty() { self.selected_name.as_deref() } else { Some(&self.name) }
    }
}

/// Refuses with Kubernetes' wording what the identity may not do.
pub(crate) async fn authorize(server: &Arc<Server>, identity: &Identity, asked: &Attributes) -> Result<(), ApiError> {
    if allowed(server, identity, asked).await { Ok(()) } else { Err(forbidden(identity, asked)) }
}

/// The decision.
pub(crate) async fn allowed(server: &Arc<Server>, identity: &Identity, asked: &Attributes) -> bool {
    if identity.is_in(MASTERS) || asks_about_oneself(asked) {
        return !identity.is_anonymous();
    }
    if let Some(node) = identity.as_node() {
        return node::allowed(server, node, asked).await;
    }
    identity.as_service_account().is_some_and(|(namespace, _)| namespace == TRUSTED_NAMESPACE)
}

/// Paths that are no resource.
pub(crate) fn authorize_path(identity: &Identity, verb: &str, path: &str) -> Result<(), ApiError> {
    let trusted = identity.as_service_account().is_some_and(|(namespace, _)| namespace == TRUSTED_NAMESPACE);
    if identity.is_in(MASTERS) || trusted {
        return Ok(());
    }
    let why = format!("User {:?} cannot {verb} path {path:?}", identity.user);
    Err(ApiError::forbidden(&GroupResource::new("", ""), "", &why))
}

/// The second half of the rules for nodes: what a node creates has its own name, which only the body tells.
pub(crate) fn check_created(identity: &Identity, served: &Served, object: &Object) -> Result<(), ApiError> {
    let Some(node) = identity.as_node().filter(|_| !identity.is_in(MASTERS)) else { return Ok(()) };
    let bound = served.is_core("nodes") || &*served.kind.plural == "leases";
    if bound && object.name() != node {
        let why = format!("node {node:?} can only create what has its own name");
        return Err(ApiError::forbidden(&served.resource, object.name(), &why));
    }
    Ok(())
}

/// Everybody who logged in may ask what they may do.
fn asks_about_oneself(asked: &Attributes) -> bool {
    let reviews = matches!(
        asked.resource.as_str(),
        "selfsubjectaccessreviews" | "selfsubjectrulesreviews" | "selfsubjectreviews"
    );
    asked.verb == "create"
        && reviews
        && matches!(asked.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io")
}

/// `pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "y"`
fn forbidden(identity: &Identity, asked: &Attributes) -> ApiError {
    let resource = if asked.subresource.is_empty() {
        asked.resource.clone()
    } else {
        format!("{}/{}", asked.resource, asked.subresource)
    };
    let place = if asked.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", asked.namespace)
    };
    let why = format!(
        "User {:?} cannot {} resource {resource:?} in API group {:?} {place}",
        identity.user, asked.verb, asked.group
    );
    ApiError::forbidden(&GroupResource::new(asked.group.as_str(), asked.resource.as_str()), &asked.name, &why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_like_kubernetes() {
        let asked = |namespace: &str, name: &str, subresource: &str| Attributes {
            verb: "list".into(),
            resource: "pods".into(),
            namespace: namespace.into(),
            name: name.into(),
            subresource: subresource.into(),
            ..Attributes::default()
        };
        let identity = Identity::new("jane", ["dev"]);
        let cases = [
            (
                asked("", "", ""),
                "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" at the cluster scope",
            ),
            (
                asked("x", "", ""),
                "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"x\"",
            ),
            (
                asked("x", "p", "log"),
                "pods \"p\" is forbidden: User \"jane\" cannot list resource \"pods/log\" in API group \"\" in the namespace \"x\"",
            ),
        ];
        for (asked, expected) in cases {
            assert_eq!(forbidden(&identity, &asked).message, expected);
        }
    }
}

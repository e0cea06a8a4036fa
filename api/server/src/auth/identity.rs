//! Who asks.

/// The group whose members may do everything.
pub const MASTERS: &str = "system:masters";
/// The group of edge nodes.
pub const NODES: &str = "system:nodes";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const NODE_PREFIX: &str = "system:node:";
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// A user and the groups they belong to, as Kubernetes names them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// `system:admin`, `system:node:factory-1`, `system:serviceaccount:<namespace>:<name>`, …
    pub user: String,
    /// Groups, `system:authenticated` among them unless anonymous.
    pub groups: Vec<String>,
    /// The uid of a service account; empty for others.
    pub uid: String,
}

impl Identity {
    /// A known user in these groups.
    pub fn new<G: Into<String>>(user: impl Into<String>, groups: impl IntoIterator<Item = G>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self { user: user.into(), groups, uid: String::new() }
    }

    /// May do everything; for the platform's own controllers and the operator's kubeconfig.
    pub fn admin() -> Self {
        Self::new("system:admin", [MASTERS])
    }

    /// The identity of an edge node.
    pub fn node(name: &str) -> Self {
        Self::new(format!("{NODE_PREFIX}{name}"), [NODES])
    }

    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self { user: "system:anonymous".into(), groups: vec![UNAUTHENTICATED.into()], uid: String::new() }
    }

    /// A service account, with the groups Kubernetes gives it.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        let mut identity = Self::new(format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"), groups);
        uid.clone_into(&mut identity.uid);
        identity
    }

    /// Reads CN and O of a client certificate that was already verified; `None` without a CN.
    pub fn from_certificate(der: &[u8]) -> Option<Self> {
        let peer = edgeward_pki::Peer::from_certificate(der).ok()?;
        (!peer.common_name.is_empty()).then(|| Self::new(peer.common_name, peer.organizations))
    }

    /// Whether a group is among this identity's.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Whether nobody logged in.
    pub fn is_anonymous(&self) -> bool {
        self.is_in(UNAUTHENTICATED)
    }

    /// The node's name if this is an edge node.
    pub fn as_node(&self) -> Option<&str> {
        if self.is_in(NODES) { self.user.strip_prefix(NODE_PREFIX) } else { None }
    }

    /// Namespace and name if this is a service account.
    pub fn as_service_account(&self) -> Option<(&str, &str)> {
        self.user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(Identity::node("n1").as_node(), Some("n1"));
        assert_eq!(Identity::new("system:node:n1", ["other"]).as_node(), None);
        let account = Identity::service_account("kube-system", "x", "u");
        assert_eq!(account.as_service_account(), Some(("kube-system", "x")));
        assert!(account.is_in("system:serviceaccounts:kube-system") && account.is_in("system:authenticated"));
        assert!(Identity::admin().is_in(MASTERS) && !Identity::admin().is_anonymous());
        assert!(Identity::anonymous().is_anonymous());
        assert!(Identity::from_certificate(b"junk").is_none());
    }
}

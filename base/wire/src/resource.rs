//! The resource grammar of `route.resource`, as a typed parse and print.
//!
//! Inside a KubeEdge cloud every resource begins `node/<node>/`; the hub drops that prefix before it sends and puts it back
//! on what it receives ([`split_node`], [`with_node`]). What is left has the forms of [`Resource`].

use std::fmt;

/// A parsed `route.resource`. Printing gives back exactly the text that was parsed, whatever it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// `<namespace>/<type>[/<name>]`, `null` standing for no namespace: Kubernetes objects and requests about them.
    Object {
        /// `None` is written `null`: cluster-scoped.
        namespace: Option<&'a str>,
        /// Lower-case kind, or a request name such as `podpatch` and `serviceaccounttoken`.
        kind: &'a str,
        /// Object name; absent in list requests (`default/pod`).
        name: Option<&'a str>,
    },
    /// `device/<namespace>/<name>/…`: what a device reports.
    Device {
        /// Namespace of the Device.
        namespace: &'a str,
        /// Name of the Device.
        name: &'a str,
        /// What is reported.
        topic: DeviceTopic,
    },
    /// `node`: keepalive.
    Keepalive,
    /// `membership`: devices joined or left this node (downward).
    Membership,
    /// `membership/detail`: the node asks for its devices; a Go cloud never answers.
    MembershipDetail,
    /// `twin`: confirmation of a device report (downward).
    Twin,
    /// `k8s/ca.crt`: the cluster's CA.
    ClusterCa,
    /// `null`: a call of the node's local API, upward.
    Application,
    /// `ignore/Application/ignore`: the answer to one.
    ApplicationAnswer,
    /// `watchapp/sync`: the node lists the watches it still wants.
    WatchSync,
    /// `operations.kubeedge.io/<version>/<type>/<job>/node/<node>`: result of a node job.
    Task {
        /// `v1alpha2`.
        version: &'a str,
        /// `nodeupgradejob`, `imageprepulljob` or `configupdatejob`.
        kind: &'a str,
        /// Job name.
        job: &'a str,
        /// Node name.
        node: &'a str,
    },
    /// `task/<id>/node/<node>`: result of a node job of an older edge.
    LegacyTask {
        /// Task id.
        id: &'a str,
        /// Node name.
        node: &'a str,
    },
    /// Anything else, as it is; every resource of group `user`.
    Other(&'a str),
}

/// What a device message reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceTopic {
    /// `twin/edge_updated`: property values.
    Twin,
    /// `state/update`: online, offline and so on.
    State,
}

impl DeviceTopic {
    fn as_str(self) -> &'static str {
        match self {
            Self::Twin => "twin/edge_updated",
            Self::State => "state/update",
        }
    }
}

const TASK_GROUP: &str = "operations.kubeedge.io";

impl<'a> Resource<'a> {
    /// A namespaced or cluster-scoped object.
    pub fn object(namespace: Option<&'a str>, kind: &'a str, name: &'a str) -> Self {
        Self::Object { namespace, kind, name: Some(name) }
    }

    /// Parses a resource without `node/<node>/` prefix. Never fails: what has no known form is [`Resource::Other`].
    pub fn parse(text: &'a str) -> Self {
        // Seven, so that a text with more than six segments matches none of the forms.
        let mut parts = [""; 7];
        let mut count = 0;
        for part in text.splitn(7, '/') {
            parts[count] = part;
            count += 1;
        }
        let parts = &parts[..count];
        if parts.len() > 1 && parts.iter().any(|part| part.is_empty()) {
            return Self::Other(text);
        }
        match *parts {
            ["node"] => Self::Keepalive,
            ["membership"] => Self::Membership,
            ["twin"] => Self::Twin,
            ["null"] => Self::Application,
            ["membership", "detail"] => Self::MembershipDetail,
            ["k8s", "ca.crt"] => Self::ClusterCa,
            ["watchapp", "sync"] => Self::WatchSync,
            ["ignore", "Application", "ignore"] => Self::ApplicationAnswer,
            ["task", id, "node", node] => Self::LegacyTask { id, node },
            ["device", namespace, name, "twin", "edge_updated"] => {
                Self::Device { namespace, name, topic: DeviceTopic::Twin }
            }
            ["device", namespace, name, "state", "update"] => {
                Self::Device { namespace, name, topic: DeviceTopic::State }
            }
            [TASK_GROUP, version, kind, job, "node", node] => Self::Task { version, kind, job, node },
            [namespace, kind] => Self::Object { namespace: not_null(namespace), kind, name: None },
            [namespace, kind, name] => Self::Object { namespace: not_null(namespace), kind, name: Some(name) },
            _ => Self::Other(text),
        }
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Object { namespace, kind, name: None } => write!(f, "{}/{kind}", namespace.unwrap_or("null")),
            Self::Object { namespace, kind, name: Some(name) } => {
                write!(f, "{}/{kind}/{name}", namespace.unwrap_or("null"))
            }
            Self::Device { namespace, name, topic } => write!(f, "device/{namespace}/{name}/{}", topic.as_str()),
            Self::Keepalive => f.write_str("node"),
            Self::Membership => f.write_str("membership"),
            Self::MembershipDetail => f.write_str("membership/detail"),
            Self::Twin => f.write_str("twin"),
            Self::ClusterCa => f.write_str("k8s/ca.crt"),
            Self::Application => f.write_str("null"),
            Self::ApplicationAnswer => f.write_str("ignore/Application/ignore"),
            Self::WatchSync => f.write_str("watchapp/sync"),
            Self::Task { version, kind, job, node } => write!(f, "{TASK_GROUP}/{version}/{kind}/{job}/node/{node}"),
            Self::LegacyTask { id, node } => write!(f, "task/{id}/node/{node}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Splits `node/<node>/<rest>` into node and rest; a text without that prefix has no node.
/// (KubeEdge 1.23 `TrimMessage`: only when there are three segments or more.)
pub fn split_node(resource: &str) -> (Option<&str>, &str) {
    match resource.strip_prefix("node/").and_then(|rest| rest.split_once('/')) {
        Some((node, rest)) => (Some(node), rest),
        None => (None, resource),
    }
}

/// The form used inside a KubeEdge cloud: `node/<node>/<resource>`.
pub fn with_node(node: &str, resource: &Resource<'_>) -> String {
    format!("node/{node}/{resource}")
}

fn not_null(namespace: &str) -> Option<&str> {
    (namespace != "null").then_some(namespace)
}

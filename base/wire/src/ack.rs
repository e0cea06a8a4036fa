//! Which downward messages the node acknowledges.

use crate::{Envelope, Resource, group, operation, source};

/// Whether the cloud waits for an acknowledgement of this downward message before it sends the next one
/// (KubeEdge 1.23 cloudhub, `noAckRequired`, negated). Such a message must carry a resourceVersion unless it deletes.
///
/// The node may acknowledge more than that; surplus acknowledgements are ignored.
pub fn needs_ack(message: &Envelope) -> bool {
    let route = &message.route;
    let resource = route.resource.as_str();
    let unacknowledged = UNACKNOWLEDGED_RESOURCES.iter().any(|part| resource.contains(part))
        || UNACKNOWLEDGED_OPERATIONS.contains(&route.operation.as_str())
        || matches!(route.source.as_str(), source::TASK_MANAGER | source::NODE_UPGRADE)
        || route.group == group::USER
        || (route.operation == operation::RESPONSE && is_ok_or_error(message.content.get()))
        || (route.source == source::EDGE_CONTROLLER && is_plain_answer(message));
    !unacknowledged
}

const UNACKNOWLEDGED_RESOURCES: &[&str] =
    &["podlist", "membership", "twin/cloud_updated", "serviceaccounttoken", "k8s/ca.crt"];

const UNACKNOWLEDGED_OPERATIONS: &[&str] = &[
    operation::APPLICATION_RESPONSE,
    operation::ERROR,
    "createvolume",
    "deletevolume",
    "controllerpublishvolume",
    "controllerunpublishvolume",
];

fn is_ok_or_error(content: &str) -> bool {
    content == "\"OK\"" || content.starts_with("{\"ErrStatus\":")
}

/// Answers of the edge controller about things the node keeps no row of.
fn is_plain_answer(message: &Envelope) -> bool {
    let Resource::Object { kind, .. } = message.resource() else { return false };
    match kind {
        "node" => message.route.operation != operation::UPDATE,
        "pod" => message.route.operation == operation::RESPONSE,
        "lease" | "nodepatch" | "podpatch" | "podstatus" | "certificatesigningrequest" => true,
        _ => false,
    }
}
